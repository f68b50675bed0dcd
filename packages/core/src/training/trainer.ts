import { CircuitscopeError } from '@circuitscope/schema';
import {
  compileTraining,
  type ExecuteOptions,
  type Executor,
  mutableWeight,
  type TrainingProgram,
  trainingSizes,
  type Weight,
  type Weights,
} from '../plan/index.ts';
import type { Floats, Tensor } from '../tensor/index.ts';
import type { Batch } from './batch.ts';
import { adamW, type Gradients, type Moments, type OptimiserSettings } from './optimiser.ts';
import type { Measurement, TrainableModel } from './recipe.ts';
import { learningRateFactor, type Schedule } from './schedule.ts';

export interface TrainerOptions {
  readonly executor: Executor;
  readonly optimiser: OptimiserSettings;
  readonly schedule: Schedule;
  readonly steps: number;
  /** f64 for comparison with recorded values; f32 if left out. */
  readonly precision?: 'f32' | 'f64';
  /** Where an interrupted training stood; its weights are those of the model. */
  readonly from?: { readonly done: number; readonly moments: ReadonlyMap<string, Moments> };
}

export interface StepReport {
  /** Σ weight·loss before the step. */
  readonly loss: number;
  readonly learningRate: number;
  /** Global norm before clipping. */
  readonly gradientNorm: number;
}

export interface Trainer {
  /** Steps that were made. */
  readonly done: () => number;
  /** Shaped as the graph says; training changes them in place. */
  readonly trained: ReadonlyMap<string, Tensor>;
  readonly moments: ReadonlyMap<string, Moments>;
  /** The same weights and the fixed ones, as executors take them. */
  readonly weights: Weights;
  /** One step; a step that is cancelled or fails changes nothing. */
  readonly step: (batch: Batch, options?: ExecuteOptions) => Promise<StepReport>;
  readonly measure: (batch: Batch, sites?: readonly string[], options?: ExecuteOptions) => Promise<Measurement>;
}

/** Weights, moments and the compiled programs of one training. */
export function makeTrainer(model: TrainableModel, options: TrainerOptions): Trainer {
  const { executor, precision = 'f32', from } = options;
  const mutable = [...model.weights].map(([name, { shape, data }]) =>
    mutableWeight(name, shape, precision === 'f64' ? Float64Array.from(data) : Float32Array.from(data)),
  );
  const trained = new Map<string, Tensor>(mutable.map(({ name, shape, data }) => [name, { shape, data }]));
  const fixed = [...(model.fixed ?? [])].map(([name, { shape, data }]): Weight => ({ name, shape, read: () => data }));
  const weights: Weights = new Map([...mutable, ...fixed].map((weight) => [weight.name, weight]));
  const optimiser = adamW(options.optimiser, trained, { ...from, executor });
  const program = compileTraining(model.loss, { params: [...trained.keys()] });
  const measuring = new Map<string, TrainingProgram>();
  let done = from?.done ?? 0;

  const run = (compiled: TrainingProgram, batch: Batch, execute: ExecuteOptions) => {
    const sizes = trainingSizes(batch.batch, batch.pos);
    return executor.execute(compiled.program, weights, { sizes, inputs: inputsOf(compiled, batch) }, execute);
  };
  return {
    done: () => done,
    trained,
    moments: optimiser.moments,
    weights,
    step: async (batch, execute = {}) => {
      const outputs = await run(program, batch, execute);
      const loss = weighted(floats(outputs, program.lossOutput), batch.lossWeights);
      const gradients: Gradients = new Map(
        [...program.gradientOutput].map(([name, output]) => [name, floats(outputs, output)]),
      );
      const learningRate = options.optimiser.learningRate * learningRateFactor(options.schedule, done, options.steps);
      if (!Number.isFinite(loss)) throw diverged(done);
      const gradientNorm = optimiser.update(gradients, learningRate);
      if (!Number.isFinite(gradientNorm)) throw diverged(done);
      for (const weight of mutable) weight.touch();
      done += 1;
      return { loss, learningRate, gradientNorm };
    },
    measure: async (batch, sites = [], execute = {}) => {
      const key = JSON.stringify(sites);
      const compiled = measuring.get(key) ?? compileTraining(model.loss, { params: [], capture: sites });
      measuring.set(key, compiled);
      const outputs = await run(compiled, batch, execute);
      const losses = floats(outputs, compiled.lossOutput);
      return {
        loss: weighted(losses, batch.lossWeights),
        losses,
        sites: new Map(sites.map((site) => [site, tensorOf(compiled, site, outputs, batch)])),
      };
    },
  };
}

function inputsOf({ program }: TrainingProgram, batch: Batch): { readonly [name: string]: Floats | Int32Array } {
  const given: { readonly [name: string]: Floats | Int32Array } = { ...batch.inputs, seed: batch.lossWeights };
  return Object.fromEntries(
    program.inputs.map(({ name }) => {
      const data = given[name];
      if (data) return [name, data];
      throw new CircuitscopeError('bad_batch', `The batch lacks the input ${name}, which the model reads.`, {
        at: name,
        expected: program.inputs.map((input) => input.name).join(', '),
        got: Object.keys(batch.inputs).join(', '),
      });
    }),
  );
}

function tensorOf(
  { program }: TrainingProgram,
  site: string,
  outputs: { readonly [name: string]: Floats | Int32Array },
  batch: Batch,
): Tensor {
  const value = program.outputs.find(({ name }) => name === site)?.value ?? -1;
  const sizes = trainingSizes(batch.batch, batch.pos);
  const shape = (program.values[value]?.shape ?? []).map((dim) => (typeof dim === 'number' ? dim : (sizes[dim] ?? 0)));
  return { shape, data: floats(outputs, site) };
}

function floats(outputs: { readonly [name: string]: Floats | Int32Array }, name: string): Floats {
  const found = outputs[name];
  if (found && !(found instanceof Int32Array)) return found;
  throw new CircuitscopeError('bad_program', `The training program does not give ${name}.`, { at: name });
}

/** Σ factor·loss, one chain in float64. */
function weighted(losses: Floats, factors: Float64Array): number {
  if (losses.length !== factors.length) {
    throw new CircuitscopeError('bad_batch', 'The batch must weigh every entry of the loss.', {
      at: 'lossWeights',
      expected: `${losses.length} entries`,
      got: `${factors.length} entries`,
    });
  }
  let sum = 0;
  for (let at = 0; at < losses.length; at++) if (factors[at] !== 0) sum += (losses[at] ?? 0) * (factors[at] ?? 0);
  return sum;
}

function diverged(step: number): CircuitscopeError {
  return new CircuitscopeError(
    'diverged',
    `The loss or its gradient is not finite at step ${step}; lower the learning rate or clip the gradient.`,
    { at: `step ${step}`, expected: 'finite numbers' },
  );
}

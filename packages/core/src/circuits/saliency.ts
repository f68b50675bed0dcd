import { type Ablation, CircuitscopeError, type GradientTarget, type Intervention } from '@circuitscope/schema';
import { captured, type Engine, makePlan, type Run, runPlan } from '../plan/index.ts';
import { spearman } from '../statistics/index.ts';
import type { Floats } from '../tensor/index.ts';
import { ablationValue, type MeasureOptions, meanOf, measure, rowValues, sourceRuns } from './measure.ts';
import type { TaskData } from './task-data.ts';

// Which tokens matter: what gradients say, beside what happens when a token's embedding is taken away.

/** One number an example and position, [example, position]; 0 where a prompt is padded. */
export type PositionTable = Float64Array;

export interface SaliencyOptions extends MeasureOptions {
  /** `accuracy` has no gradient. */
  readonly metric: 'logit_diff' | 'loss';
  /** What stands in place of an embedding: nothing, its mean over the clean prompts, or that of the corrupt prompt. */
  readonly baseline: Ablation;
  /** Steps of the integrated gradients; 20 by default. */
  readonly steps?: number;
}

export interface SaliencyContrast {
  readonly metric: 'logit_diff' | 'loss';
  readonly baseline: Ablation;
  readonly steps: number;
  readonly examples: number;
  readonly positions: number;
  /** Real positions of each example. */
  readonly lengths: readonly number[];
  /** (e − e₀)·∂f/∂e at the prompt. */
  readonly gradientTimesInput: PositionTable;
  /** (e − e₀)·mean of ∂f/∂e on the way from the baseline, by the trapezoid rule. */
  readonly integratedGradients: PositionTable;
  /** Exact: f of the prompt minus f with this one embedding replaced. */
  readonly patchEffect: PositionTable;
  /** [example] f of the prompt, and of the baseline at every position at once. */
  readonly whole: Float64Array;
  readonly empty: Float64Array;
  /** Largest |Σ integrated gradients − (f(prompt) − f(baseline))| over examples: shrinks as steps grow. */
  readonly completenessGap: number;
  readonly report: {
    readonly gradientTimesInput: SaliencyReport;
    readonly integratedGradients: SaliencyReport;
  };
}

/** A gradient method beside the exact effects. */
export interface SaliencyReport {
  /** Mean over examples of the rank correlation over positions, by size; null where no example has two different sizes. */
  readonly rank: number | null;
  /** By position, over the examples that reach it. */
  readonly byPosition: readonly {
    readonly examples: number;
    readonly saliency: number;
    readonly effect: number;
    /** Of the examples where both have a sign, the share with different ones; null where none has. */
    readonly signDisagreement: number | null;
    /** Examples where the effect has a sign and the saliency is none, and the other way round. */
    readonly missed: number;
    readonly imagined: number;
  }[];
}

/** Numbers up to this share of the largest effect or saliency count as none, and such differences as ties. */
const NEGLIGIBLE = 1e-6;

/**
 * Gradient × input (Simonyan et al. 2014 as products, Shrikumar et al. 2017) and integrated gradients (Sundararajan et al.
 * 2017) of the token embeddings beside the exact effect of patching each embedding. Positional embeddings stay as they are.
 * Costs `steps` + 1 passes and as many backwards, a pass a position, four more, and one for a baseline that comes of a run.
 *
 * @throws CircuitscopeError `bad_steps` for fewer than one step
 */
export async function saliencyContrast(
  engine: Engine,
  data: TaskData,
  { metric, baseline, steps = 20, ...options }: SaliencyOptions,
): Promise<SaliencyContrast> {
  if (!Number.isInteger(steps) || steps < 1) {
    throw new CircuitscopeError('bad_steps', 'Integrated gradients need a whole number of steps, at least one.', {
      expected: 'at least 1',
      got: String(steps),
    });
  }
  const { onProgress: _, ...shared } = options;
  const runs = options.runs ?? (await sourceRuns(engine, data, baseline, shared));
  const context = { ...shared, runs };
  const examples = data.examples;
  const positions = data.clean.tokens[0]?.length ?? 0;
  const lengths = data.clean.tokens.map(
    (tokens, example) => data.clean.mask?.[example]?.filter((real) => real === 1).length ?? tokens.length,
  );
  const shape = { examples, positions, lengths };

  const { gradients, distance } = await alongPath(engine, data, { metric, baseline, steps }, context);
  const product = (gradient: Floats): PositionTable => tableOf(shape, gradient, distance);
  const integrated = new Float64Array(examples * positions);
  gradients.forEach((gradient, step) => {
    const weight = (step === 0 || step === steps ? 0.5 : 1) / steps;
    product(gradient).forEach((value, at) => {
      integrated[at] = (integrated[at] as number) + weight * value;
    });
  });

  const replace = (places: readonly number[] | null): Intervention[] => [
    {
      kind: 'write',
      at: { site: 'hook_embed', ...(places ? { at: { kind: 'positions', positions: places } } : {}) },
      op: 'set',
      value: ablationValue(baseline),
    },
  ];
  const each = Array.from({ length: positions }, (__, place) => replace([place]));
  const measured = await measure(engine, data, metric, [[], replace(null), ...each], context);
  const [whole, empty] = [rowValues(measured, 0), rowValues(measured, 1)];
  const patchEffect = new Float64Array(examples * positions);
  for (let example = 0; example < examples; example++)
    for (let place = 0; place < (lengths[example] ?? 0); place++)
      patchEffect[example * positions + place] =
        (whole[example] as number) - (rowValues(measured, place + 2)[example] as number);

  const gradientTimesInput = product(gradients[steps] ?? new Float64Array(0));
  const gaps = Array.from({ length: examples }, (__, example) => {
    const sum = integrated.subarray(example * positions, (example + 1) * positions).reduce((a, b) => a + b, 0);
    return Math.abs(sum - ((whole[example] as number) - (empty[example] as number)));
  });
  return {
    metric,
    baseline,
    steps,
    ...shape,
    gradientTimesInput,
    integratedGradients: integrated,
    patchEffect,
    whole: whole.slice(),
    empty: empty.slice(),
    completenessGap: Math.max(...gaps),
    report: {
      gradientTimesInput: reportOf(shape, gradientTimesInput, patchEffect),
      integratedGradients: reportOf(shape, integrated, patchEffect),
    },
  };
}

/** ∂f/∂e at e₀ + (k / steps)(e − e₀) for k = 0 … steps, and e − e₀; each [example, position, model]. */
async function alongPath(
  engine: Engine,
  data: TaskData,
  { metric, baseline, steps }: Required<Pick<SaliencyOptions, 'metric' | 'baseline' | 'steps'>>,
  context: MeasureOptions & { readonly runs: ReadonlyMap<string, Run> },
): Promise<{ readonly gradients: readonly Floats[]; readonly distance: Floats }> {
  const at = { site: 'hook_embed' };
  const target: GradientTarget =
    metric === 'loss'
      ? { kind: 'loss', at: data.at, reduce: 'sum' }
      : { kind: 'logitDiff', at: data.at, answer: [...data.answer], wrong: [...data.wrong], reduce: 'sum' };
  const share = (part: number): Intervention[] => [
    { kind: 'write', at, op: 'scale', value: { kind: 'const', value: part } },
    { kind: 'write', at, op: 'add', value: ablationValue(baseline), coefficient: 1 - part },
  ];
  const plan = makePlan(engine.graph, {
    readouts: [{ kind: 'gradient', of: [target], wrt: { kind: 'site', at } }],
    sweep: Array.from({ length: steps + 1 }, (_, step) => share(step / steps)),
  });
  const ends = makePlan(engine.graph, {
    readouts: [{ kind: 'capture', at }],
    sweep: [[], [{ kind: 'write', at, op: 'set', value: ablationValue(baseline) }]],
  });
  const gradient = (await runPlan(engine, plan, data.clean, context)).results[0];
  const embedded = captured(await runPlan(engine, ends, data.clean, context), 'hook_embed').data;
  // [variant, target, example, position, model], of one target.
  const all = gradient?.kind === 'gradient' ? gradient.tensor.data : new Float64Array(0);
  const size = embedded.length / 2;
  return {
    gradients: Array.from({ length: steps + 1 }, (_, step) => all.subarray(step * size, (step + 1) * size)),
    distance: Float64Array.from(
      { length: size },
      (_, entry) => (embedded[entry] as number) - (embedded[size + entry] as number),
    ),
  };
}

interface Shape {
  readonly examples: number;
  readonly positions: number;
  readonly lengths: readonly number[];
}

/** Products summed over the model's width. */
function tableOf({ examples, positions, lengths }: Shape, gradient: Floats, distance: Floats): PositionTable {
  const width = distance.length / (examples * positions);
  const table = new Float64Array(examples * positions);
  for (let example = 0; example < examples; example++)
    for (let place = 0; place < (lengths[example] ?? 0); place++) {
      const row = example * positions + place;
      let sum = 0;
      for (let entry = row * width; entry < (row + 1) * width; entry++)
        sum += (gradient[entry] as number) * (distance[entry] as number);
      table[row] = sum;
    }
  return table;
}

function reportOf(
  { examples, positions, lengths }: Shape,
  saliency: PositionTable,
  effect: PositionTable,
): SaliencyReport {
  let largest = 0;
  for (const table of [saliency, effect]) for (const value of table) largest = Math.max(largest, Math.abs(value));
  // Sizes that differ by rounding alone tie; where all is zero any step will do.
  const step = NEGLIGIBLE * largest || 1;
  const signOf = (value: number): number => (Math.abs(value) <= step ? 0 : Math.sign(value));
  const ranks = Array.from({ length: examples }, (_, example) => {
    const of = (table: PositionTable): Float64Array =>
      table
        .subarray(example * positions, example * positions + (lengths[example] ?? 0))
        .map((value) => Math.round(Math.abs(value) / step));
    const [a, b] = [of(saliency), of(effect)];
    const varies = (values: Float64Array): boolean => values.some((value) => value !== values[0]);
    return varies(a) && varies(b) ? [spearman(a, b).value] : [];
  }).flat();
  const byPosition = Array.from({ length: positions }, (_, place) => {
    const rows = Array.from({ length: examples }, (__, example) => example)
      .filter((example) => place < (lengths[example] ?? 0))
      .map((example) => example * positions + place);
    const signs = rows.map((row) => [signOf(saliency[row] as number), signOf(effect[row] as number)] as const);
    const both = signs.filter(([a, b]) => a !== 0 && b !== 0);
    return {
      examples: rows.length,
      saliency: rows.length === 0 ? 0 : meanOf(rows.map((row) => saliency[row] as number)),
      effect: rows.length === 0 ? 0 : meanOf(rows.map((row) => effect[row] as number)),
      signDisagreement: both.length === 0 ? null : both.filter(([a, b]) => a !== b).length / both.length,
      missed: signs.filter(([a, b]) => a === 0 && b !== 0).length,
      imagined: signs.filter(([a, b]) => a !== 0 && b === 0).length,
    };
  });
  return { rank: ranks.length === 0 ? null : meanOf(ranks), byPosition };
}

import { CircuitscopeError } from '@circuitscope/schema';
import type { Executor } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import type { Metrics, Recipe, Trained } from './recipe.ts';
import { makeTrainer, type Trainer } from './trainer.ts';
import { openTrainingFolder, type TrainingFolder } from './training-folder.ts';
import { type TrainingIdentity, trainingIdentity } from './training-identity.ts';
import type { LogLine } from './training-log.ts';

export interface TrainOptions {
  readonly executor: Executor;
  readonly seed: number;
  /** As many as the recipe says, if left out. */
  readonly steps?: number;
  /** Folder for log, checkpoint and model; nothing is written if left out. */
  readonly out?: string;
  /** Go on where the training in `out` was interrupted, with the same bytes as if it never was. */
  readonly resume?: boolean;
  readonly threads?: number;
  /** Aborting writes a checkpoint and rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly onLine?: (line: LogLine) => void;
  /** After every step, and once before the first. */
  readonly onProgress?: (done: number, steps: number) => void;
}

export interface Training {
  readonly identity: TrainingIdentity;
  /** By name, shaped as the graph says. */
  readonly weights: ReadonlyMap<string, Tensor>;
  /** Lines of this run. The last one has the final measurements. */
  readonly log: readonly LogLine[];
}

/**
 * Trains a model. Seed, recipe and steps decide every byte of weights and log, whatever the number of threads and however
 * often it was interrupted.
 *
 * @throws CircuitscopeError `diverged` where loss or gradient stop being finite, and what the folder gives
 */
export async function train(recipe: Recipe, options: TrainOptions): Promise<Training> {
  const { executor, seed, steps = recipe.steps, out, resume = false, threads, signal } = options;
  const identity = trainingIdentity(recipe, seed, steps, executor.info);
  const model = recipe.model(seed);
  const folder = out === undefined ? undefined : openTrainingFolder(out, recipe, identity, model, resume);
  const state = folder?.state;
  const trainer = makeTrainer(state ? { ...model, weights: state.weights } : model, {
    executor,
    optimiser: recipe.optimiser,
    schedule: recipe.schedule,
    steps,
    ...(state ? { from: state } : {}),
  });
  const run = { ...(threads ? { threads } : {}), ...(signal ? { signal } : {}) };
  const trained = (): Trained => ({
    step: trainer.done(),
    seed,
    weights: new Map([...(model.fixed ?? []), ...trainer.trained]),
    engine: { graph: model.graph, weights: trainer.weights, executor },
    run,
    measure: (batch, sites) => trainer.measure(batch, sites, run),
  });
  const evaluate = async (): Promise<Metrics | undefined> => checked(await recipe.evaluate?.(trained()));

  const log: LogLine[] = [];
  const write = (line: Omit<LogLine, 'metrics'>, metrics: Metrics | undefined): void => {
    const whole = metrics ? { ...line, metrics } : line;
    log.push(whole);
    folder?.append(whole);
    options.onLine?.(whole);
  };
  const record = recorder(folder, trainer, executor, threads);
  let ended: 'finished' | 'cancelled' | 'failed' = 'failed';
  try {
    if (folder && !state) folder.checkpoint(trainer);
    options.onProgress?.(trainer.done(), steps);
    const pause = breathing();
    while (trainer.done() < steps) {
      signal?.throwIfAborted();
      const step = trainer.done();
      const metrics = step % recipe.every.evaluate === 0 ? await evaluate() : undefined;
      const report = await trainer.step(recipe.batch(seed, step), run);
      if (step % recipe.every.log === 0 || metrics) write({ step, ...report }, metrics);
      if (trainer.done() % recipe.every.checkpoint === 0 || trainer.done() === steps) folder?.checkpoint(trainer);
      options.onProgress?.(trainer.done(), steps);
      await pause();
    }
    const { loss } = await trainer.measure(recipe.batch(seed, steps), [], run);
    write({ step: steps, loss }, await evaluate());
    folder?.export(recipe.export(trainer.trained));
    ended = 'finished';
  } catch (error) {
    if (!signal?.aborted) throw error;
    ended = 'cancelled';
    folder?.checkpoint(trainer);
    throw signal.reason;
  } finally {
    record(ended);
  }
  return { identity, weights: trainer.trained, log };
}

/** Whoever waits for a signal or a timer needs a turn of the event loop; awaiting small programs gives none. */
function breathing(): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < 20) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    last = performance.now();
  };
}

function recorder(
  folder: TrainingFolder | undefined,
  trainer: Trainer,
  { info }: Executor,
  threads: number | undefined,
): (ended: string) => void {
  const [startedAt, start, from] = [new Date().toISOString(), performance.now(), trainer.done()];
  const executor = { ...info, threads: threads ?? info.threads };
  return (ended) =>
    folder?.ended({
      kind: 'training_run',
      version: 1,
      startedAt,
      wallTimeMs: Math.round(performance.now() - start),
      from,
      to: trainer.done(),
      ended,
      executor,
    });
}

function checked(metrics: Metrics | undefined): Metrics | undefined {
  const bad = Object.entries(metrics ?? {}).find(([, value]) => !Number.isFinite(value));
  if (!bad) return metrics;
  throw new CircuitscopeError(
    'bad_metric',
    `The measurement ${bad[0]} is ${bad[1]}; a recipe measures finite numbers.`,
    {
      at: bad[0],
      got: String(bad[1]),
    },
  );
}

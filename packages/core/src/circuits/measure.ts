import {
  type Ablation,
  CircuitscopeError,
  type Intervention,
  type Readout,
  type Site,
  type Value,
} from '@circuitscope/schema';
import { attentionSite, type Edge, type Graph, inputSites, listSites, placeOf } from '../graph/index.ts';
import { type Engine, makePlan, type Run, type RunOptions, runPlan } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import type { TaskData } from './task-data.ts';

// One metric, read once per example, for many variants of the model at once.

export type Metric = 'logit_diff' | 'accuracy' | 'loss';

export interface MeasureOptions extends Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'> {
  readonly artefacts?: ReadonlyMap<`sha256:${string}`, Tensor>;
  /** Runs that interventions take values from; made by {@link sourceRuns}. */
  readonly runs?: ReadonlyMap<string, Run>;
}

/** A metric for every variant and example. */
export interface MetricValues {
  readonly metric: Metric;
  readonly variants: number;
  readonly examples: number;
  /** [variant, example] */
  readonly values: Float64Array;
}

export async function measure(
  engine: Engine,
  data: TaskData,
  metric: Metric,
  variants: readonly (readonly Intervention[])[],
  options: MeasureOptions = {},
): Promise<MetricValues> {
  const plan = makePlan(engine.graph, {
    readouts: [readoutFor(metric, data)],
    sweep: variants.map((list) => [...list]),
  });
  const run = await runPlan(engine, plan, data.clean, options);
  return { metric, variants: variants.length, examples: data.examples, values: perExample(metric, data, run) };
}

export function rowValues(measured: MetricValues, variant: number): Float64Array {
  return measured.values.subarray(variant * measured.examples, (variant + 1) * measured.examples);
}

export function meanValue(measured: MetricValues, variant: number): number {
  return meanOf(rowValues(measured, variant));
}

export function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] ?? 0;
  return sum / values.length;
}

/** What a plan reads for a metric. */
export function readoutFor(metric: Metric, { at, answer, wrong, clean, end, task }: TaskData): Readout {
  switch (metric) {
    case 'logit_diff':
      return { kind: 'logitDiff', at, answer: [...answer], wrong: [...wrong] };
    case 'accuracy':
      return { kind: 'topK', at, k: 1 };
    case 'loss': {
      const last = end.findIndex(
        (position, example) =>
          clean.tokens[example]?.[position + 1] === undefined || clean.mask?.[example]?.[position + 1] === 0,
      );
      if (last >= 0) {
        throw new CircuitscopeError(
          'bad_task',
          `The loss is of the token after the place where it is read, and prompt ${last} of ${task.name} ends there; read it earlier or choose logit_diff.`,
          { at: task.name },
        );
      }
      return { kind: 'loss', at };
    }
  }
}

function perExample(metric: Metric, data: TaskData, run: Run): Float64Array {
  const result = run.results[0];
  const rows = (run.variants ?? 1) * run.batch;
  if (metric === 'accuracy' && result?.kind === 'topK') {
    return Float64Array.from({ length: rows }, (_, row) =>
      result.indices.data[row] === data.answer[row % run.batch] ? 1 : 0,
    );
  }
  if (metric === 'loss' && result?.kind === 'loss') {
    return Float64Array.from(
      { length: rows },
      (_, row) => result.tensor.data[row * run.pos + (data.end[row % run.batch] ?? 0)] ?? 0,
    );
  }
  if (metric === 'logit_diff' && result?.kind === 'logitDiff') return Float64Array.from(result.tensor.data);
  throw new CircuitscopeError('bad_readout', `The metric ${metric} was not read.`);
}

/** What stands in place of an edge's writer. Resampling takes it from the corrupt prompt, the mean from all clean ones. */
export function ablationValue(ablation: Ablation): Value {
  switch (ablation) {
    case 'zero':
      return { kind: 'const', value: 0 };
    case 'resample':
      return { kind: 'run', name: 'corrupt' };
    case 'mean':
      return { kind: 'mean', run: 'clean', over: 'batch_pos' };
  }
}

export function cutEdges(edges: readonly Edge[], ablation: Ablation): Intervention[] {
  const value = ablationValue(ablation);
  return edges.map(({ from, to }) => ({ kind: 'edge', from, to, value }));
}

/** The runs that {@link ablationValue} takes values from: outputs of every unit on the clean and the corrupt prompts. */
export async function sourceRuns(
  engine: Engine,
  data: TaskData,
  ablation: Ablation,
  options: MeasureOptions = {},
): Promise<ReadonlyMap<string, Run>> {
  if (ablation === 'zero') return new Map();
  const name = ablation === 'mean' ? 'clean' : 'corrupt';
  const plan = makePlan(engine.graph, {
    readouts: unitSites(engine.graph).map((site) => ({ kind: 'capture', at: { site } })),
  });
  const { signal, memoryBytes, threads } = options;
  const run = await runPlan(engine, plan, data[name], {
    ...(signal ? { signal } : {}),
    ...(memoryBytes ? { memoryBytes } : {}),
    ...(threads ? { threads } : {}),
  });
  return new Map([[name, run]]);
}

/** The sites that hold what units write. */
export function unitSites(graph: Graph): Site[] {
  const sites = listSites(graph).map(({ site }) => site);
  const known = new Set(sites);
  const inputs = ([undefined, 'encoder', 'decoder'] as const).flatMap((stack) =>
    inputSites((site) => known.has(site), stack),
  );
  const written = sites.filter((site) => {
    const found = placeOf(site);
    return found && (site === `${attentionSite(found.place)}.hook_z` || found.rest === 'hook_mlp_out');
  });
  return [...inputs, ...written];
}

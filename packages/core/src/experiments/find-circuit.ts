import { type Ablation, type Circuit, CircuitscopeError, type Evidence, type Task } from '@circuitscope/schema';
import { type Model, modelRef } from '../architectures/index.ts';
import {
  attentionOnAnswer,
  circuitRecord,
  cutEdges,
  type Discovered,
  discoverCircuit,
  hashTask,
  type Metric,
  meanValue,
  measure,
  type PruneBy,
  sourceRuns,
  taskData,
} from '../circuits/index.ts';
import { decompose, edgesOf } from '../graph/index.ts';
import type { Engine, RunOptions } from '../plan/index.ts';
import { effectsOfCuts } from './test-circuit.ts';
import { numericsVersion, TOOL_VERSION } from './versions.ts';

export interface FindCircuitOptions {
  readonly name: string;
  readonly task: Task;
  /** How the examples came about: `generated`, `given`. */
  readonly how: string;
  /** Seeds that the examples were generated from. */
  readonly seeds: readonly number[];
  readonly metric: Metric;
  readonly ablation: Ablation;
  readonly prune: PruneBy;
  /** Where the model can be opened again: a path or `zoo:NAME`. */
  readonly source: string;
  readonly run?: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>;
}

/**
 * Finds the circuit of a task and keeps it as a record without a proof: which edges, what cutting each does on these
 * examples, what the weights say. Its evidence is the metric of the whole model, of the circuit alone and with every edge
 * cut, on the examples that found it.
 * @throws CircuitscopeError `no_range` if the task's metric does not depend on the edges, so that nothing can be recovered
 */
export async function findCircuit(engine: Engine, model: Model, options: FindCircuitOptions): Promise<Circuit> {
  const { name, task, how, seeds, metric, ablation, prune, source, run = {} } = options;
  const { onProgress, ...quiet } = run;
  const step = (from: number, to: number) => ({
    ...quiet,
    onProgress: (share: number) => onProgress?.(from + (to - from) * share),
  });
  const data = taskData(task);
  const edges = edgesOf(decompose(model.graph));
  if (prune.rule === 'backward') await requireRange();
  const discovered = await discoverCircuit(engine, data, edges, { ablation, metric, prune, ...step(0, 0.7) });
  const others = (['zero', 'resample'] as const).filter((other) => other !== ablation);
  const effects = [discovered.effects, ...(await effectsOfCuts(engine, data, edges, metric, others, step(0.7, 1)))];
  return circuitRecord({
    model,
    modelRef: { ...(await modelRef(model)), source },
    name,
    description: describeCircuit(discovered, edges.length),
    data,
    edges,
    discovered,
    evidence: ends(discovered, data.examples),
    effects,
    attention: await attentionOnAnswer(engine, data, discovered.edges, ablation, quiet),
    proof: null,
    weightEdit: null,
    provenance: {
      tool: 'circuitscope',
      toolVersion: TOOL_VERSION,
      numericsVersion: numericsVersion(engine.executor.info),
      method: 'exact edge patching with pruning',
      parameters: { ablation, metric, prune: { ...prune } },
      seeds: [...seeds],
      data: [{ hash: hashTask(task), n: data.examples, how: `${how}; found the circuit` }],
    },
  });

  async function requireRange(): Promise<void> {
    const runs = await sourceRuns(engine, data, ablation, quiet);
    const measured = await measure(engine, data, metric, [[], cutEdges(edges, ablation)], { ...quiet, runs });
    const [whole, empty] = [meanValue(measured, 0), meanValue(measured, 1)];
    if (Number.isFinite(whole - empty) && whole !== empty) return;
    throw new CircuitscopeError(
      'no_range',
      `The ${metric} of ${task.name} is ${whole} in the whole model and ${empty} with every edge cut (${ablation}), so there is no behaviour to recover; choose another task, metric or ablation.`,
      { at: task.name, got: `${whole} and ${empty}` },
    );
  }
}

/** The rule by which a circuit was found, and how much it kept. */
export function describeCircuit({ prune, effects, edges }: Discovered, all: number): string {
  const rule =
    prune.rule === 'threshold'
      ? `every edge whose cut, alone, moves the ${effects.metric} by more than ${prune.threshold}`
      : `edges dropped from the logits down, weakest first, while the rest still recovers ${Math.round(100 * prune.recover)} % of the ${effects.metric}`;
  return `${edges.length} of ${all} edges: ${rule}; ${effects.ablation} ablation.`;
}

function ends({ effects, whole, alone, empty }: Discovered, n: number): Evidence[] {
  const score = (of: string, value: number): Evidence => ({
    kind: 'score',
    name: `${effects.metric}, ${of}`,
    value,
    n,
  });
  return [score('whole model', whole), score('circuit alone', alone), score('every edge cut', empty)];
}

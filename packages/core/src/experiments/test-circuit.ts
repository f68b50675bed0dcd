import { type Ablation, edgeLabel, type WeightEditFinding } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import {
  attentionOnAnswer,
  type EdgeEffects,
  edgeEffects,
  type Metric,
  type Proof,
  proveCircuit,
  sourceRuns,
  strongestPath,
  type TaskData,
  testWeightEdit,
  type WeightEditTest,
} from '../circuits/index.ts';
import type { Edge } from '../graph/index.ts';
import type { Engine, RunOptions } from '../plan/index.ts';

export interface TestCircuitOptions {
  readonly ablation: Ablation;
  readonly metric: Metric;
  readonly seed: number;
  readonly randomCircuits: number;
  /** The edges whose weights are edited, chosen on other data than these; by the effects on these data if left out. */
  readonly path?: readonly Edge[];
  readonly run?: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>;
}

export interface CircuitTest {
  readonly proof: Proof;
  /** Exact effects of cutting each edge alone, by zero and by resampling. */
  readonly effects: readonly EdgeEffects[];
  readonly attention: ReadonlyMap<string, number>;
  /** Null where the circuit has no edge between two heads. */
  readonly weightEdit: WeightEditTest | null;
}

/**
 * Tests a circuit on data that did not find it: the proof against random circuits, the effect of every edge, and an edit
 * of the weights along its strongest path between heads, whose effect is predicted first.
 */
export async function testCircuit(
  engine: Engine,
  model: Model,
  heldBack: TaskData,
  edges: readonly Edge[],
  circuit: readonly Edge[],
  { ablation, metric, seed, randomCircuits, path: chosen, run = {} }: TestCircuitOptions,
): Promise<CircuitTest> {
  const { onProgress, ...quiet } = run;
  const step = (from: number, to: number) => ({
    ...quiet,
    onProgress: (share: number) => onProgress?.(from + (to - from) * share),
  });
  const proof = await proveCircuit(engine, heldBack, edges, circuit, {
    ablation,
    metric,
    seed,
    randomCircuits,
    ...step(0, 0.6),
  });
  const effects = await effectsOfCuts(engine, heldBack, edges, metric, ['zero', 'resample'], step(0.6, 0.9));
  const attention = await attentionOnAnswer(engine, heldBack, circuit, ablation, quiet);
  const zero = effects.find((entry) => entry.ablation === 'zero');
  const kept = new Set(circuit.map(edgeLabel));
  const path = chosen ?? strongestPath((zero?.effects ?? []).filter(({ edge }) => kept.has(edgeLabel(edge))));
  const weightEdit =
    path.length > 0 ? await testWeightEdit(engine, model, heldBack, path, { metric, seed, ...quiet }) : null;
  onProgress?.(1);
  return { proof, effects, attention, weightEdit };
}

/** Exact effects of cutting each edge alone, once for each ablation. */
export async function effectsOfCuts(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  metric: Metric,
  ablations: readonly Ablation[],
  { onProgress, ...run }: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>,
): Promise<EdgeEffects[]> {
  const all: EdgeEffects[] = [];
  for (const [index, ablation] of ablations.entries()) {
    const runs = await sourceRuns(engine, data, ablation, run);
    all.push(
      await edgeEffects(engine, data, edges, {
        ablation,
        metric,
        runs,
        ...run,
        onProgress: (share) => onProgress?.((index + share) / ablations.length),
      }),
    );
  }
  return all;
}

/** What reports say of a weight edit. */
export function weightEditFinding(edit: WeightEditTest): WeightEditFinding {
  const { edges, params, rank, metric, before, predicted, after, interval, controls, n } = edit;
  return {
    edges: edges.map(edgeLabel),
    params: [...params],
    rank,
    metric,
    before,
    predicted,
    after,
    ...(interval ? { interval } : {}),
    controls,
    n,
  };
}

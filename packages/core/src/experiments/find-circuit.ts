import {
  type Ablation,
  type Circuit,
  CircuitscopeError,
  type Evidence,
  edgeLabel,
  type Task,
} from '@circuitscope/schema';
import { type Model, modelRef } from '../architectures/index.ts';
import {
  attentionOnAnswer,
  circuitRecord,
  cutEdges,
  type Discovered,
  type DiscoveryMethod,
  discoverBy,
  hashTask,
  type Metric,
  meanValue,
  measure,
  type PruneBy,
  sourceRuns,
  taskData,
} from '../circuits/index.ts';
import { decompose, type Edge, edgesOf } from '../graph/index.ts';
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
  /** `exact` by default. */
  readonly method?: DiscoveryMethod;
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
  const { method = { kind: 'exact' } } = options;
  const { onProgress, ...quiet } = run;
  const step = (from: number, to: number) => ({
    ...quiet,
    onProgress: (share: number) => onProgress?.(from + (to - from) * share),
  });
  const data = taskData(task);
  const edges = edgesOf(decompose(model.graph));
  if (prune.rule === 'backward') await requireRange();
  const discovered = await discoverBy(engine, data, edges, { method, ablation, metric, prune, ...step(0, 0.7) });
  const others = (['zero', 'resample'] as const).filter((other) => other !== ablation);
  const measured = discovered.effects.effects.map(({ edge }) => edge);
  const effects = [discovered.effects, ...(await effectsOfCuts(engine, data, measured, metric, others, step(0.7, 1)))];
  return circuitRecord({
    model,
    modelRef: { ...(await modelRef(model)), source },
    name,
    description: describeCircuit(discovered, edges.length),
    data,
    edges: method.kind !== 'exact' && edges.length > LISTED ? discovered.edges : edges,
    discovered,
    evidence: ends(discovered, data.examples),
    effects,
    attention: await attentionOnAnswer(engine, data, readable(discovered), ablation, quiet),
    proof: null,
    weightEdit: null,
    provenance: {
      tool: 'circuitscope',
      toolVersion: TOOL_VERSION,
      numericsVersion: numericsVersion(engine.executor.info),
      method: discovered.ranking?.method ?? METHODS[method.kind],
      parameters: {
        ablation,
        metric,
        prune: { ...prune },
        ...(method.kind === 'exact' ? {} : { method: { ...method } }),
      },
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

/** Edges outside a circuit are kept in its record up to so many, where they were not cut one by one. */
const LISTED = 4096;

const METHODS: Readonly<Record<DiscoveryMethod['kind'], string>> = {
  exact: 'exact edge patching with pruning',
  acdc: 'ACDC',
  eap: 'EAP',
  'eap-ig': 'EAP-IG',
  attribution: 'attribution patching',
};

/** Edges of the circuit whose exact effects were measured: all of them, unless a ranking kept very many. */
function readable({ edges, effects }: Discovered): Edge[] {
  const measured = new Set(effects.effects.map(({ edge }) => edgeLabel(edge)));
  return edges.filter((edge) => measured.has(edgeLabel(edge)));
}

/** The rule by which a circuit was found, and how much it kept. */
export function describeCircuit({ prune, effects, edges, ranking }: Discovered, all: number): string {
  return `${edges.length} of ${all} edges: ${ruleText()}; ${effects.ablation} ablation.`;

  function ruleText(): string {
    switch (prune.rule) {
      case 'threshold':
        return ranking
          ? `every edge whose ${effects.metric} score by ${ranking.method} is larger than ${prune.threshold} in size`
          : `every edge whose cut, alone, moves the ${effects.metric} by more than ${prune.threshold}`;
      case 'backward':
        return `edges dropped from the logits down, weakest first, while the rest still recovers ${Math.round(100 * prune.recover)} % of the ${effects.metric}`;
      case 'best':
        return `the best by ${ranking?.method ?? 'rank'} that recover ${Math.round(100 * prune.recover)} % of the ${effects.metric}`;
      case 'acdc':
        return `ACDC, every edge that does at least ${prune.threshold} harm to the ${effects.metric} when it is cut beside those before`;
    }
  }
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

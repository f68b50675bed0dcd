import {
  type Ablation,
  type Circuit,
  type DirectionFinding,
  type Evidence,
  edgeLabel,
  type Feature,
  mustParse,
  type Provenance,
  Report,
  type Task,
  unitLabel,
} from '@circuitscope/schema';
import { type Model, modelRef } from '../architectures/index.ts';
import {
  circuitRecord,
  discoverCircuit,
  hashTask,
  type Metric,
  type Proof,
  type PruneBy,
  strongestPath,
  type TaskData,
  taskData,
  withoutExamplesOf,
} from '../circuits/index.ts';
import { type HeadScores, scoreHeads } from '../features/index.ts';
import { decompose, edgesOf, listSites } from '../graph/index.ts';
import type { Engine, RunOptions } from '../plan/index.ts';
import { type Measured, toEstimate } from '../statistics/index.ts';
import { examineDirection } from './examine-direction.ts';
import { describeCircuit } from './find-circuit.ts';
import { testCircuit, weightEditFinding } from './test-circuit.ts';
import { verdictOf } from './verdict.ts';
import { numericsVersion, TOOL_VERSION } from './versions.ts';

/** The acts in their order; progress names them. */
export const acts = ['load', 'features', 'circuit', 'proof'] as const;
export type Act = (typeof acts)[number];

export interface ExamineOptions {
  readonly name: string;
  /** Makes the task anew for a seed: the data that find the circuit are not those that test it. */
  readonly task: (options: { readonly seed: number; readonly examples: number }) => Task;
  readonly metric: Metric;
  readonly ablation: Ablation;
  readonly prune: PruneBy;
  readonly seed: number;
  readonly examples: number;
  readonly randomCircuits: number;
  /** First token of every generated prompt; null for models without one. */
  readonly bos: number | null;
  /** Text that says where the model came from, for pages that open it again: a path or `zoo:NAME`. */
  readonly source: string;
  readonly run?: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads'>;
  readonly onAct?: (act: Act, share: number) => void;
}

export interface Examination {
  readonly report: Report;
  readonly circuit: Circuit;
  /** The held-back task, which live pages measure on. */
  readonly task: Task;
  readonly proof: Proof;
}

/**
 * The main job: from a model to a circuit that was tested by intervention. Load; features (claim 1); circuit (claim 2);
 * proof on held-back data against matched random circuits and by a weight edit whose effect is predicted first.
 */
export async function examineModel(engine: Engine, model: Model, options: ExamineOptions): Promise<Examination> {
  const { ablation, metric, prune, seed, examples, randomCircuits, bos, run = {}, onAct } = options;
  const step = (act: Act, from: number, to: number) => ({
    ...run,
    onProgress: (share: number) => onAct?.(act, from + (to - from) * share),
  });
  onAct?.('load', 0);
  const reference = { ...(await modelRef(model)), source: options.source };
  onAct?.('load', 1);

  const { spec } = model;
  const size = { vocab: spec.vocab, context: spec.context, layers: spec.layers, heads: spec.heads };
  const heads = await scoreHeads(engine, size, { seed, bos, examples: 32, run: step('features', 0, 0.3) });
  const direction = await examineDirection(engine, model, heads, { seed, bos, run: step('features', 0.3, 1) });

  const edges = edgesOf(decompose(model.graph));
  const discovery = taskData(options.task({ seed, examples }));
  const found = await discoverCircuit(engine, discovery, edges, { ablation, metric, prune, ...step('circuit', 0, 1) });

  const kept = new Set(found.edges.map(edgeLabel));
  const task = heldBackTask(options, discovery);
  const heldBack = taskData(task);
  const { proof, effects, attention, weightEdit } = await testCircuit(engine, model, heldBack, edges, found.edges, {
    ablation,
    metric,
    seed,
    randomCircuits,
    path: strongestPath(found.effects.effects.filter(({ edge }) => kept.has(edgeLabel(edge)))),
    run: step('proof', 0, 1),
  });

  const provenance = provenanceOf(options, discovery, heldBack, numericsVersion(engine.executor.info));
  const circuit = circuitRecord({
    model,
    modelRef: reference,
    name: options.name,
    description: describeCircuit(found, edges.length),
    data: heldBack,
    edges,
    discovered: found,
    effects,
    attention,
    proof,
    weightEdit,
    features: featuresOf(direction),
    nodeEvidence: headEvidence(heads),
    provenance,
  });
  const report = mustParse(
    Report,
    {
      kind: 'report',
      version: 1,
      model: reference,
      sizes: {
        layers: spec.layers,
        heads: spec.heads,
        kvHeads: spec.kvHeads,
        model: spec.width,
        head: spec.headWidth,
        mlp: spec.inner,
        vocab: spec.vocab,
        context: spec.context,
        sites: listSites(model.graph).length,
      },
      heads: heads.map((one) => ({
        layer: one.layer,
        head: one.head,
        previousToken: scoreRecord(one.previousToken),
        duplicateToken: scoreRecord(one.duplicateToken),
        induction: scoreRecord(one.induction),
      })),
      ...(direction ? { direction } : {}),
      circuit,
      data: { discovery: hashTask(discovery.task), proof: hashTask(task), examples },
      ...(weightEdit ? { weightEdit: weightEditFinding(weightEdit) } : {}),
      verdict: verdictOf(proof),
      notPerformed: [
        ...(direction ? [] : ['feature direction: vocabulary or context are too small to generate the data']),
        ...(weightEdit ? [] : ['weight edit: the circuit has no edge between two heads']),
      ],
      provenance,
    },
    'the report of the examination',
  );
  return { report, circuit, task, proof };
}

/** Examples of the next seed; a prompt that found the circuit is not among them, however few prompts there can be. */
function heldBackTask({ task, seed, examples }: ExamineOptions, discovery: TaskData): Task {
  const fresh = withoutExamplesOf(task({ seed: seed + 1, examples: 2 * examples }), discovery.task);
  return { ...fresh, examples: fresh.examples.slice(0, examples) };
}

function scoreRecord(score: Measured & { readonly chance: number }) {
  return { estimate: toEstimate(score), chance: score.chance };
}

function headEvidence(heads: readonly HeadScores[]): ReadonlyMap<string, readonly Evidence[]> {
  return new Map(
    heads.map(({ layer, head, ...scores }) => [
      unitLabel({ kind: 'head', layer, head }),
      (
        [
          ['previous-token score', scores.previousToken],
          ['duplicate-token score', scores.duplicateToken],
          ['induction score', scores.induction],
        ] as const
      ).map(([name, score]) => ({
        kind: 'score' as const,
        name,
        value: score.value,
        n: score.n,
        ...(score.interval ? { interval: score.interval } : {}),
      })),
    ]),
  );
}

function featuresOf(direction: DirectionFinding | null): Feature[] {
  if (!direction) return [];
  const { site, vector, predicate, auroc } = direction;
  return [{ kind: 'direction', id: 'direction-1', site, vector, predicate, label: predicate, scores: { auroc } }];
}

function provenanceOf(options: ExamineOptions, discovery: TaskData, proof: TaskData, numerics: string): Provenance {
  const { ablation, metric, prune, seed, examples, randomCircuits, bos } = options;
  return {
    tool: 'circuitscope',
    toolVersion: TOOL_VERSION,
    numericsVersion: numerics,
    method: 'exact edge patching with pruning, tested on held-back examples',
    parameters: { ablation, metric, prune: { ...prune }, examples, randomCircuits, bos },
    seeds: [seed, seed + 1],
    data: [
      { hash: hashTask(discovery.task), n: discovery.examples, how: 'generated; found the circuit' },
      { hash: hashTask(proof.task), n: proof.examples, how: 'generated from another seed; tested the circuit' },
    ],
  };
}

import {
  type Ablation,
  type Circuit,
  CircuitscopeError,
  edgeLabel,
  type Hash,
  type Task,
  unitLabel,
} from '@circuitscope/schema';
import { type Model, modelRef } from '../architectures/index.ts';
import {
  hashTask,
  type Metric,
  type Proof,
  provenRecord,
  recordIds,
  taskData,
  type WeightEditTest,
} from '../circuits/index.ts';
import { decompose, type Edge, edgesOf } from '../graph/index.ts';
import type { Engine, RunOptions } from '../plan/index.ts';
import { testCircuit } from './test-circuit.ts';
import { numericsVersion, TOOL_VERSION } from './versions.ts';

export interface ValidateCircuitOptions {
  /** Content digest of the record that is tested. */
  readonly record: Hash;
  /** Examples that did not find the circuit. */
  readonly task: Task;
  /** How they came about: `generated from another seed`, `given`. */
  readonly how: string;
  /** Seed of the random circuits, resamples and random edits. */
  readonly seed: number;
  readonly randomCircuits: number;
  readonly run?: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>;
}

export interface ValidatedCircuit {
  readonly circuit: Circuit;
  readonly proof: Proof;
  readonly weightEdit: WeightEditTest | null;
}

/**
 * Tests a circuit that was kept before, on examples that did not find it, and gives its record with that proof.
 * @throws CircuitscopeError `wrong_model`, `unsupported_circuit`, `unknown_edge`, `same_data`
 */
export async function validateCircuit(
  engine: Engine,
  model: Model,
  circuit: Circuit,
  { record, task, how, seed, randomCircuits, run = {} }: ValidateCircuitOptions,
): Promise<ValidatedCircuit> {
  await requireModelOf(model, circuit);
  const hash = hashTask(task);
  if (circuit.provenance.data.some((data) => data.hash === hash)) {
    throw new CircuitscopeError(
      'same_data',
      'These examples were already read for this circuit, so they cannot test it; give others.',
      { got: hash },
    );
  }
  const { metric, ablation } = questionOf(circuit);
  const edges = edgesOf(decompose(model.graph));
  const labelOf = edgeLabels(circuit, edges, recordIds(edges, model.spec));
  const inside = new Set(circuit.edges.flatMap(({ id, inCircuit }) => (inCircuit ? [labelOf.get(id)] : [])));
  const kept = edges.filter((edge) => inside.has(edgeLabel(edge)));
  const data = taskData(task);
  const tested = await testCircuit(engine, model, data, edges, kept, { ablation, metric, seed, randomCircuits, run });
  const { provenance } = circuit;
  const proven = provenRecord(circuit, {
    ...tested,
    labelOf,
    task: hash,
    provenance: {
      ...provenance,
      toolVersion: TOOL_VERSION,
      numericsVersion: numericsVersion(engine.executor.info),
      method: provenance.method.endsWith(TESTED) ? provenance.method : `${provenance.method}${TESTED}`,
      parameters: { found: provenance.parameters, tested: { record, metric, ablation, seed, randomCircuits } },
      seeds: [...new Set([...provenance.seeds, seed])],
      data: [...provenance.data, { hash, n: data.examples, how: `${how}; tested the circuit` }],
    },
  });
  return { circuit: proven, proof: tested.proof, weightEdit: tested.weightEdit };
}

const TESTED = ', tested on held-back examples';

const METRICS: readonly Metric[] = ['logit_diff', 'accuracy', 'loss'];

/** What a circuit is a circuit of: another metric or ablation, another circuit. */
export function questionOf({ task, prune, name }: Circuit): { readonly metric: Metric; readonly ablation: Ablation } {
  const asked = prune?.metric ?? task?.metric;
  const metric = METRICS.find((known) => known === asked);
  const ablation = prune?.ablation;
  if (metric && ablation) return { metric, ablation };
  throw new CircuitscopeError(
    'unsupported_circuit',
    `The record of ${name} does not say by which metric and ablation it was found, so it cannot be tested; find it anew with circuit discover.`,
    {
      at: name,
      expected: `a pruning rule with an ablation, and one of ${METRICS.join(', ')}`,
      got: `${asked ?? 'no metric'}, ${ablation ?? 'no ablation'}`,
    },
  );
}

/** @throws CircuitscopeError `wrong_model` if a circuit belongs to other weights or another graph */
export async function requireModelOf(model: Model, { model: wanted, name }: Circuit): Promise<void> {
  const { contentHash, graphHash } = await modelRef(model);
  if (contentHash === wanted.contentHash && (!wanted.graphHash || wanted.graphHash === graphHash)) return;
  throw new CircuitscopeError(
    'wrong_model',
    `${name} is a circuit of ${wanted.name} (${wanted.contentHash.slice(0, 19)}…), but ${model.name} has other weights (${contentHash.slice(0, 19)}…); name the right checkpoint with --model.`,
    {
      expected: wanted.contentHash,
      got: contentHash,
    },
  );
}

/** By id of the record's edges, the label of the model's edge: by the names that our records use, or by ends and port. */
function edgeLabels(
  circuit: Circuit,
  edges: readonly Edge[],
  ids: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const { decomposition, name } = circuit;
  const nested = (circuit.circuits?.length ?? 0) > 0;
  if (decomposition.grain !== 'head' || decomposition.byPosition || nested) {
    throw new CircuitscopeError(
      'unsupported_circuit',
      `${name} is a circuit of ${decomposition.grain}s${decomposition.byPosition ? ' by position' : ''}${nested ? ' with nested circuits' : ''}; flat circuits of heads can be tested so far.`,
      { at: name },
    );
  }
  if (!circuit.edges.some(({ inCircuit }) => inCircuit)) {
    throw new CircuitscopeError(
      'unsupported_circuit',
      `${name} has no edge in it, so there is nothing to test; find it with a lower threshold.`,
      { at: name },
    );
  }
  const known = new Set(edges.map(edgeLabel));
  const units = new Map(
    circuit.nodes.map(({ id, unit }) => [id, unit.kind === 'circuit' ? unit.circuit : unitLabel(unit)]),
  );
  const labels = new Map<string, string>();
  for (const { id, from, to, port, inCircuit } of circuit.edges) {
    const reader = port === undefined || port === 'in' ? units.get(to) : `${units.get(to)}.${port.toUpperCase()}`;
    const spelled = `${units.get(from)}→${reader}`;
    const label = ids.get(id) ?? (known.has(spelled) ? spelled : undefined);
    if (label !== undefined) labels.set(id, label);
    else if (inCircuit) {
      throw new CircuitscopeError(
        'unknown_edge',
        `This model has no edge ${id}; the circuit belongs to another decomposition.`,
        { at: id },
      );
    }
  }
  return labels;
}

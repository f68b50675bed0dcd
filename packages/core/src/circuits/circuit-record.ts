import {
  type Circuit,
  type CircuitEdge,
  type CircuitNode,
  type EdgeWeight,
  type Evidence,
  edgeLabel,
  type Feature,
  type ModelRef,
  type Provenance,
  readerLabel,
  type UnitRef,
  unitLabel,
} from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import type { Edge } from '../graph/index.ts';
import { composition } from './composition.ts';
import type { Discovered } from './discover.ts';
import type { EdgeEffects } from './edge-effects.ts';
import { asEffects } from './edge-scores.ts';
import { effectiveWeights } from './effective-weights.ts';
import type { Proof } from './prove.ts';
import { cutWeights, identified, metricsOf, minimalityEvidence, weightEditEvidence } from './proven-record.ts';
import { type HeadCounts, queryHeads } from './query-heads.ts';
import { hashTask, type TaskData } from './task-data.ts';
import type { WeightEditTest } from './test-weight-edit.ts';

export interface CircuitParts {
  readonly model: Model;
  readonly modelRef: ModelRef;
  readonly name: string;
  readonly description: string;
  /** The data of the effects, and of the proof where there is one; its task is named in the record. */
  readonly data: TaskData;
  readonly edges: readonly Edge[];
  readonly discovered: Discovered;
  /** What else speaks for the circuit as a whole. */
  readonly evidence?: readonly Evidence[];
  /** Exact effects of cutting each edge, one entry an ablation. */
  readonly effects: readonly EdgeEffects[];
  /** Change of attention to the answer's places when an edge into q or k is cut, by edge label. */
  readonly attention?: ReadonlyMap<string, number>;
  readonly proof: Proof | null;
  readonly weightEdit: WeightEditTest | null;
  readonly features?: readonly Feature[];
  readonly nodeEvidence?: ReadonlyMap<string, readonly Evidence[]>;
  readonly provenance: Provenance;
}

/** Edges of a record that all get weights without a run, whatever found them. */
const WEIGHED = 1024;

/** The record that the workspace keeps and the pages draw. Checked by the schema before it leaves. */
export function circuitRecord(parts: CircuitParts): Circuit {
  const { data, discovered, edges, model, modelRef, name, proof, provenance } = parts;
  const kept = new Set(discovered.edges.map(edgeLabel));
  const nodes = nodesOf(edges, model.spec, parts.nodeEvidence ?? new Map());
  const minimality = proof ? minimalityEvidence(proof) : new Map<string, Evidence>();
  const cuts = cutWeights(parts.effects, parts.attention);
  const estimates = estimatedWeights(parts);
  const weighed = weighedEdges(parts);
  const partners = discovered.edges.filter((edge) => weighed.has(edgeLabel(edge)));
  const body = {
    kind: 'circuit' as const,
    version: 1 as const,
    name,
    description: parts.description,
    model: modelRef,
    task: { name: data.task.name, hash: hashTask(data.task), metric: discovered.effects.metric },
    decomposition: { grain: 'head' as const, byPosition: false },
    nodes,
    edges: edges.flatMap((edge) => {
      const label = edgeLabel(edge);
      const needed = minimality.get(label);
      return nodesBehind(edge.to, model.spec).map(
        (node): CircuitEdge => ({
          ...nameOf(edge, node),
          inCircuit: kept.has(label),
          weights: [
            ...cuts(label),
            ...estimates(label),
            ...(weighed.has(label) ? staticWeights(edge, node, parts.model, partners) : []),
          ],
          ...(needed ? { evidence: [needed] } : {}),
        }),
      );
    }),
    prune: {
      rule: discovered.prune.rule,
      threshold: 'threshold' in discovered.prune ? discovered.prune.threshold : discovered.prune.recover,
      weight: discovered.ranking ? ('attribution' as const) : ('patch_effect' as const),
      ablation: discovered.effects.ablation,
      metric: discovered.effects.metric,
    },
    ...(proof ? { metrics: metricsOf(proof) } : {}),
    evidence: [...(parts.evidence ?? []), ...(parts.weightEdit ? [weightEditEvidence(parts.weightEdit)] : [])],
    ...(parts.features ? { features: parts.features } : {}),
    provenance,
  };
  return identified(body, 'the circuit that was found');
}

/** Products of matrices take longer than estimates: where these ranked thousands, only edges that were cut get them. */
function weighedEdges({ edges, discovered }: CircuitParts): ReadonlySet<string> {
  const few = !discovered.ranking || edges.length <= WEIGHED;
  return new Set((few ? edges : discovered.effects.effects.map(({ edge }) => edge)).map(edgeLabel));
}

function nodesOf(
  edges: readonly Edge[],
  counts: HeadCounts,
  evidence: ReadonlyMap<string, readonly Evidence[]>,
): CircuitNode[] {
  const nodes = new Map<string, CircuitNode>();
  const add = (unit: UnitRef): void => {
    const id = unitLabel(unit);
    if (nodes.has(id)) return;
    const found = evidence.get(id);
    nodes.set(id, { id, unit, ...(found ? { evidence: found } : {}) });
  };
  for (const { from, to } of edges) {
    add(from);
    for (const { unit } of nodesBehind(to, counts)) add(unit);
  }
  return [...nodes.values()];
}

/** A node that an edge ends in. `sharedBy` counts the query heads behind the same reader: cut for one, it is cut for all. */
interface ReadingNode {
  readonly unit: Extract<UnitRef, { kind: 'head' | 'mlp' | 'logits' }>;
  readonly sharedBy: number;
}

function nodesBehind(reader: Edge['to'], counts: HeadCounts): ReadingNode[] {
  switch (reader.kind) {
    case 'head': {
      const heads = queryHeads(reader, counts);
      return heads.map((head) => ({ unit: { kind: 'head', layer: reader.layer, head }, sharedBy: heads.length }));
    }
    case 'mlp':
      return [{ unit: { kind: 'mlp', layer: reader.layer }, sharedBy: 1 }];
    case 'logits':
      return [{ unit: { kind: 'logits' }, sharedBy: 1 }];
  }
}

/**
 * An edge into a key or value that query heads share stands in the record once for each of them, named
 * `input→1.3 through 1.1.K`. It has no port of its own: 1.3.K would be another reader, or none.
 */
function nameOf(edge: Edge, { unit, sharedBy }: ReadingNode): Pick<CircuitEdge, 'id' | 'from' | 'to' | 'port'> {
  const ends = { from: unitLabel(edge.from), to: unitLabel(unit) };
  if (sharedBy === 1) return { id: edgeLabel(edge), ...ends, port: edge.to.port };
  return { id: `${ends.from}→${ends.to} through ${readerLabel(edge.to)}`, ...ends };
}

/** The ids that records of a model give its edges, each with the label of the edge that it is cut by. */
export function recordIds(edges: readonly Edge[], counts: HeadCounts): ReadonlyMap<string, string> {
  return new Map(
    edges.flatMap((edge) =>
      nodesBehind(edge.to, counts).map((node): [string, string] => [nameOf(edge, node).id, edgeLabel(edge)]),
    ),
  );
}

/** What the weights alone say: signed effective weights, unsigned composition with its baseline. */
function staticWeights(edge: Edge, { unit: node }: ReadingNode, model: Model, circuit: readonly Edge[]): EdgeWeight[] {
  const weights: EdgeWeight[] = [];
  const head = node.kind === 'head' ? node.head : undefined;
  const partners = partnersOf(edge, head, circuit, model.spec);
  for (const { kind, from, to, value } of effectiveWeights(model, edge, partners, head)) {
    const unit = kind === 'effective_qk' ? 'attention score' : 'logit';
    const stage = kind === 'effective_qk' ? { stage: 'pre_activation' as const } : {};
    weights.push({
      kind,
      value,
      method: `${from} → ${to}, same minus other`,
      sign: 'signed_weight',
      unit,
      ...stage,
    });
  }
  if (edge.from.kind === 'head' && edge.to.kind === 'head' && node.kind === 'head') {
    const { raw, baseline } = composition(model, edge.from, node, edge.to.port);
    weights.push({
      kind: 'composition',
      value: raw,
      baseline,
      method: `${edge.to.port.toUpperCase()}-composition, Frobenius`,
      sign: 'unsigned_norm',
    });
  }
  return weights;
}

/** What a first-order method said of an edge. */
function estimatedWeights({ discovered: { ranking, effects }, data }: CircuitParts): (label: string) => EdgeWeight[] {
  const values = ranking ? asEffects(ranking) : null;
  const places = new Map(ranking?.edges.map((edge, at) => [edgeLabel(edge), at]));
  return (label) => {
    const value = values?.[places.get(label) ?? -1];
    if (!ranking || value === undefined || Number.isNaN(value)) return [];
    return [
      {
        kind: 'attribution',
        value,
        method: ranking.method,
        sign: 'clean_minus_cut',
        unit: effects.metric,
        ablation: effects.ablation,
        n: data.examples,
      },
    ];
  };
}

/** The circuit's writers into the other side of the same query head's score; the token embedding where there is none. */
function partnersOf({ to }: Edge, head: number | undefined, circuit: readonly Edge[], counts: HeadCounts): UnitRef[] {
  if (to.kind !== 'head' || to.port === 'v' || head === undefined) return [];
  const other = to.port === 'q' ? 'k' : 'q';
  const partners = circuit.flatMap(({ from, to: reader }) => {
    const facing = reader.kind === 'head' && reader.layer === to.layer && reader.port === other;
    return facing && queryHeads(reader, counts).includes(head) ? [from] : [];
  });
  return partners.length > 0 ? partners : [{ kind: 'input' }];
}

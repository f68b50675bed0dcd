import {
  type Circuit,
  type CircuitEdge,
  type CircuitNode,
  type ReaderRef,
  readerLabel,
  type UnitRef,
  unitLabel,
} from '@circuitscope/schema';
import type { Edge, EffectRequest, LiveAblation, Target } from './effect.ts';

/** What cutting a node or an edge of a circuit means in the model, or why it cannot be cut live. */
export type Cut =
  | { readonly ok: true; readonly label: string; readonly edge?: Edge; readonly unit?: UnitRef }
  | { readonly ok: false; readonly label: string; readonly reason: string };

export function cutOf(circuit: Circuit, target: Target): Cut {
  if (circuit.decomposition.byPosition) {
    const reason = 'This circuit tells positions apart; parts of it cannot be cut live yet.';
    return { ok: false, label: labelOf(circuit, target), reason };
  }
  return target.kind === 'node' ? cutOfNode(circuit, target.id) : cutOfEdge(circuit, target.id);
}

/** The label of tables and chips: `1.0`, `0.0→1.0.K`. */
export function labelOf(circuit: Circuit, target: Target): string {
  if (target.kind === 'node') return labelOfNode(circuit.nodes.find(({ id }) => id === target.id));
  const edge = circuit.edges.find(({ id }) => id === target.id);
  if (!edge) return 'an edge that this circuit does not have';
  const reader = readerOf(edge, circuit.nodes);
  return `${labelOfNode(circuit.nodes.find(({ id }) => id === edge.from))}→${reader ? readerLabel(reader) : labelOfNode(circuit.nodes.find(({ id }) => id === edge.to))}`;
}

/** One request for everything that is cut; what cannot be cut is left out and never reaches a cut set. */
export function requestFor(circuit: Circuit, targets: readonly Target[], ablation: LiveAblation): EffectRequest {
  const cuts = targets.map((target) => cutOf(circuit, target));
  return {
    ablation,
    edges: cuts.flatMap((cut) => (cut.ok && cut.edge ? [cut.edge] : [])),
    units: cuts.flatMap((cut) => (cut.ok && cut.unit ? [cut.unit] : [])),
  };
}

function cutOfNode(circuit: Circuit, id: string): Cut {
  const node = circuit.nodes.find((candidate) => candidate.id === id);
  const label = labelOfNode(node);
  if (!node) return { ok: false, label, reason: 'This circuit has no such node.' };
  if (node.unit.kind === 'circuit') {
    return { ok: false, label, reason: 'This node stands for a circuit of its own; cut its edges instead.' };
  }
  if (node.unit.kind === 'logits') {
    return { ok: false, label, reason: 'The logits are where the metric is read; cut an edge into them instead.' };
  }
  if (node.unit.kind === 'head' || node.unit.kind === 'mlp' || node.unit.kind === 'input')
    return { ok: true, label, unit: node.unit };
  return { ok: false, label, reason: `A unit of kind ${node.unit.kind} cannot be cut live yet.` };
}

function cutOfEdge(circuit: Circuit, id: string): Cut {
  const label = labelOf(circuit, { kind: 'edge', id });
  const edge = circuit.edges.find((candidate) => candidate.id === id);
  const from = circuit.nodes.find((node) => node.id === edge?.from)?.unit;
  if (!edge || !from) return { ok: false, label, reason: 'This circuit has no such edge.' };
  if (edge.parts && edge.parts.length > 0) {
    return {
      ok: false,
      label,
      reason: 'This edge stands for several inside nested circuits; it cannot be cut live yet.',
    };
  }
  const to = readerOf(edge, circuit.nodes);
  if (!to || from.kind === 'circuit') {
    return { ok: false, label, reason: 'Only edges between heads, MLPs, the input and the logits can be cut live.' };
  }
  return { ok: true, label, edge: { from, to } };
}

function readerOf(edge: CircuitEdge, nodes: readonly CircuitNode[]): ReaderRef | undefined {
  const unit = nodes.find(({ id }) => id === edge.to)?.unit;
  switch (unit?.kind) {
    case 'head':
      return edge.port === undefined || edge.port === 'in'
        ? undefined
        : { kind: 'head', layer: unit.layer, head: unit.head, port: edge.port };
    case 'mlp':
      return { kind: 'mlp', layer: unit.layer, port: 'in' };
    case 'logits':
      return { kind: 'logits', port: 'in' };
    default:
      return undefined;
  }
}

function labelOfNode(node: CircuitNode | undefined): string {
  if (!node) return 'a node that this circuit does not have';
  if (node.unit.kind === 'circuit') return node.label ?? node.unit.circuit;
  return node.unit.kind === 'latent' ? `latent ${node.unit.index}` : unitLabel(node.unit);
}

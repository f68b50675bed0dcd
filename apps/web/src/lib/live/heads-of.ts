import type { Circuit } from '@circuitscope/schema';
import type { Target } from './effect.ts';

export interface HeadChoice {
  readonly layer: number;
  readonly head: number;
  readonly label?: string | undefined;
}

/** The heads of a circuit by layer and head, each once. */
export function headsOf({ nodes }: Circuit): readonly HeadChoice[] {
  const found = new Map<string, HeadChoice>();
  for (const { unit, label } of nodes) {
    if (unit.kind !== 'head') continue;
    const key = `${unit.layer}.${unit.head}`;
    if (!found.has(key)) found.set(key, { layer: unit.layer, head: unit.head, label });
  }
  return [...found.values()].sort((a, b) => a.layer - b.layer || a.head - b.head);
}

/** The selected head, or the one that the selected edge leads into or comes from; else the last head inside the circuit. */
export function startHead(circuit: Circuit, selected: Target | null): HeadChoice | null {
  const headAt = (id: string | undefined): HeadChoice | null => {
    const unit = circuit.nodes.find((node) => node.id === id)?.unit;
    return unit?.kind === 'head' ? { layer: unit.layer, head: unit.head } : null;
  };
  if (selected?.kind === 'node') {
    const head = headAt(selected.id);
    if (head) return head;
  } else if (selected?.kind === 'edge') {
    const edge = circuit.edges.find(({ id }) => id === selected.id);
    const head = headAt(edge?.to) ?? headAt(edge?.from);
    if (head) return head;
  }
  const inside = new Set(circuit.edges.flatMap((edge) => (edge.inCircuit ? [edge.from, edge.to] : [])));
  const heads = headsOf({ ...circuit, nodes: circuit.nodes.filter(({ id }) => inside.has(id)) });
  return heads.at(-1) ?? headsOf(circuit).at(-1) ?? null;
}

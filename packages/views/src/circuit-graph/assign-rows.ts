// The row of every node: its depth in the order of computation, with the depths that nobody uses left out.

import type { Circuit } from '@circuitscope/schema';
import { depthOf } from './depth.ts';

/** Row by node id, 0 at the bottom. A node of unknown depth stands just above its highest sender. */
export function assignRows(circuit: Circuit): ReadonlyMap<string, number> {
  const depth = new Map<string, number>();
  for (const node of circuit.nodes) {
    const known = depthOf(node.unit);
    if (known !== undefined) depth.set(node.id, known);
  }
  raiseUnknown(circuit, depth);
  const used = [...new Set(depth.values())].sort((a, b) => a - b);
  const rowAt = new Map(used.map((value, row) => [value, row]));
  return new Map(circuit.nodes.map((node) => [node.id, rowAt.get(depth.get(node.id)!)!]));
}

/** Fills in what `depth` lacks. Each round settles at least one node of an acyclic graph; the count bounds a cyclic one. */
function raiseUnknown(circuit: Circuit, depth: Map<string, number>): void {
  const unknown = circuit.nodes.filter((node) => !depth.has(node.id)).map((node) => node.id);
  if (unknown.length === 0) return;
  const senders = new Map<string, string[]>();
  for (const edge of circuit.edges) {
    const known = senders.get(edge.to);
    if (known) known.push(edge.from);
    else senders.set(edge.to, [edge.from]);
  }
  for (let round = 0; round <= unknown.length; round++) {
    let changed = false;
    for (const id of unknown) {
      let highest = 0;
      for (const sender of senders.get(id) ?? []) {
        const below = depth.get(sender) ?? 0;
        if (Number.isFinite(below)) highest = Math.max(highest, below);
      }
      if (highest + 0.5 !== depth.get(id)) {
        depth.set(id, highest + 0.5);
        changed = true;
      }
    }
    if (!changed) return;
  }
}

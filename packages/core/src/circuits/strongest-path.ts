import type { Edge } from '../graph/index.ts';
import type { EdgeEffect } from './edge-effects.ts';

/**
 * The edges of a circuit from one head into one kind of port of a later layer's heads whose effects add up to most: the
 * path between heads that a weight edit should break. Empty if the circuit has no edge between heads.
 */
export function strongestPath(effects: readonly EdgeEffect[]): Edge[] {
  const groups = new Map<string, { edges: Edge[]; total: number }>();
  for (const { edge, effect } of effects) {
    if (edge.from.kind !== 'head' || edge.to.kind !== 'head') continue;
    const key = `${edge.from.layer}.${edge.from.head}→${edge.to.layer}.${edge.to.port}`;
    const group = groups.get(key) ?? { edges: [], total: 0 };
    group.edges.push(edge);
    group.total += effect;
    groups.set(key, group);
  }
  const best = [...groups.values()].sort((a, b) => Math.abs(b.total) - Math.abs(a.total))[0];
  return best?.edges ?? [];
}

import type { Model } from '../architectures/index.ts';
import { compositionTable } from '../circuits/index.ts';
import type { Rng } from '../tensor/index.ts';
import type { Match } from './match-heads.ts';

const ports = ['q', 'k', 'v'] as const;

/**
 * The heads of a model as nodes and, from each head to each port of each head in a later layer, the composition in excess
 * of random matrices of the same shapes. Below the baseline there is no edge: chance explains it.
 */
export interface RoleGraph {
  readonly heads: number;
  /** [from, to, port]; 0 where there is no edge. */
  readonly weights: Float64Array;
  /** Layer of each head. */
  readonly layers: readonly number[];
}

export async function roleGraph(model: Model): Promise<RoleGraph> {
  const { layers, heads } = model.spec;
  const count = layers * heads;
  const weights = new Float64Array(count * count * ports.length);
  for (const { from, to, port, raw, baseline } of await compositionTable(model)) {
    const at = slot(count, from.layer * heads + from.head, to.layer * heads + to.head, ports.indexOf(port));
    weights[at] = Math.max(0, raw - baseline);
  }
  return { heads: count, weights, layers: Array.from({ length: count }, (_, at) => Math.floor(at / heads)) };
}

/**
 * Shared edge weight over all edge weight, Σ min / Σ max, edges named by the heads' roles through the match (weighted
 * Jaccard). Edges of heads without a partner count in the denominator. 0 where neither graph has an edge.
 */
export function weightedJaccard(a: RoleGraph, b: RoleGraph, match: Match): number {
  let shared = 0;
  let total = b.weights.reduce((sum, weight) => sum + weight, 0);
  for (let from = 0; from < a.heads; from++) {
    for (let to = 0; to < a.heads; to++) {
      const [matchedFrom, matchedTo] = [match[from] ?? -1, match[to] ?? -1];
      for (let port = 0; port < ports.length; port++) {
        const own = a.weights[slot(a.heads, from, to, port)] as number;
        const other =
          matchedFrom < 0 || matchedTo < 0 ? 0 : (b.weights[slot(b.heads, matchedFrom, matchedTo, port)] as number);
        shared += Math.min(own, other);
        // max(own, other) − other, as all of b is in the total already.
        total += Math.max(own - other, 0);
      }
    }
  }
  return total > 0 ? shared / total : 0;
}

/**
 * The same nodes with their roles and the same weighted degrees, wired at random: what each head sends in all, and what
 * each reads in all over its three ports, stay exactly; who sends it and through which port does not. A walk over such
 * graphs by moves of weight on four corners (writers × readers' ports of one pair of layers), or between two ports of one
 * reader, each by an amount uniform over what leaves no weight below 0.
 */
export function rewired(graph: RoleGraph, rng: Rng): RoleGraph {
  const { heads, layers } = graph;
  const weights = Float64Array.from(graph.weights);
  const blocks = blocksOf(layers);
  if (blocks.length === 0) return graph;
  const slots = blocks.reduce((sum, { from, to }) => sum + from.length * to.length * ports.length, 0);
  for (let step = 0; step < 20 * slots; step++) {
    const { from, to } = rng.choice(blocks);
    const [one, other] = [rng.choice(from), rng.choice(from)];
    const [left, right] = [rng.choice(to), rng.choice(to)];
    const [leftPort, rightPort] = [rng.below(ports.length), rng.below(ports.length)];
    const here = slot(heads, one, left, leftPort);
    const there = slot(heads, one, right, rightPort);
    if (here === there) continue;
    if (left === right) {
      move(weights, [here], [there], rng);
    } else if (one !== other) {
      move(weights, [here, slot(heads, other, right, rightPort)], [there, slot(heads, other, left, leftPort)], rng);
    }
  }
  return { heads, layers, weights };
}

/** Takes one amount from each of the first slots and gives it to each of the others; it may be negative. */
function move(weights: Float64Array, down: readonly number[], up: readonly number[], rng: Rng): void {
  const least = (slots: readonly number[]): number => Math.min(...slots.map((at) => weights[at] as number));
  const [most, back] = [least(down), least(up)];
  const amount = rng.float() * (most + back) - back;
  for (const at of down) weights[at] = Math.max(0, (weights[at] as number) - amount);
  for (const at of up) weights[at] = Math.max(0, (weights[at] as number) + amount);
}

/** Pairs of layers: weight never moves between them, as a head can only be read by later layers. */
function blocksOf(
  layers: readonly number[],
): readonly { readonly from: readonly number[]; readonly to: readonly number[] }[] {
  const byLayer = new Map<number, number[]>();
  layers.forEach((layer, head) => {
    byLayer.set(layer, [...(byLayer.get(layer) ?? []), head]);
  });
  const all = [...byLayer].sort(([a], [b]) => a - b);
  return all.flatMap(([, from], i) => all.slice(i + 1).map(([, to]) => ({ from, to })));
}

function slot(heads: number, from: number, to: number, port: number): number {
  return (from * heads + to) * ports.length + port;
}

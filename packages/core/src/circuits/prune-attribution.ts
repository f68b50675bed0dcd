import { CircuitscopeError } from '@circuitscope/schema';
import { type AttributionGraph, attributionGraph, influence, normalisedRows } from './influence.ts';

/** What a node of an attribution graph stands for. Tokens and logits are never pruned. */
export type AttributionNode = 'feature' | 'error' | 'token' | 'logit';

export interface GraphScores {
  /** Of the influence that starts at tokens or errors, the share of the tokens: 1 if no error matters. Null if none starts. */
  readonly replacement: number | null;
  /** Of what flows into nodes, weighted by their influence, the share that comes from other nodes than errors. */
  readonly completeness: number | null;
}

/**
 * How far an attribution graph accounts for its targets (Ameisen et al. 2025):
 * replacement = i_tokens / (i_tokens + i_errors), completeness = Σ_t (i_t + w_t)(1 − Σ_errors Ā[t, e]) / Σ_t (i_t + w_t).
 * Attributions to a node that was left out would count as missing in the first and vanish in the second: see both.
 */
export function graphScores(
  graph: AttributionGraph,
  kinds: readonly AttributionNode[],
  targets: ArrayLike<number>,
): GraphScores {
  checkKinds(graph, kinds);
  const { nodes: reached } = influence(graph, targets);
  const share = normalisedRows(graph);
  const started = { feature: 0, error: 0, token: 0, logit: 0 };
  let explained = 0;
  let all = 0;
  kinds.forEach((kind, node) => {
    started[kind] += reached[node] as number;
    const weight = (reached[node] as number) + (targets[node] as number);
    let fromErrors = 0;
    for (let at = graph.rowStart[node] as number; at < (graph.rowStart[node + 1] as number); at++)
      if (kinds[graph.column[at] as number] === 'error') fromErrors += share[at] as number;
    explained += weight * (1 - fromErrors);
    all += weight;
  });
  const ends = started.token + started.error;
  return { replacement: ends > 0 ? started.token / ends : null, completeness: all > 0 ? explained / all : null };
}

export interface AttributionPruning {
  /** Share of the nodes' influence to keep; 0.8 by default. */
  readonly nodeShare?: number;
  /** Share of what passes through the edges that are left; 0.98 by default. */
  readonly edgeShare?: number;
}

export interface PrunedAttribution {
  /** [nodes] 1 where kept. */
  readonly nodes: Uint8Array;
  /** [edges] 1 where kept, in the order of the graph that was given. */
  readonly edges: Uint8Array;
  /** Influence in the whole graph, by which nodes were chosen. */
  readonly influence: Float64Array;
}

/**
 * Keeps the nodes that together carry `nodeShare` of the influence, and all tokens and logits; computes influence again
 * among them, with rows that sum to 1 again, and keeps the edges that carry `edgeShare` of it. Then features and errors
 * that lead nowhere and features that nothing feeds go, with their edges, until none is left (Ameisen et al. 2025).
 * Nodes or edges that tie with the last one kept are kept.
 */
export function pruneAttribution(
  graph: AttributionGraph,
  kinds: readonly AttributionNode[],
  targets: ArrayLike<number>,
  { nodeShare = 0.8, edgeShare = 0.98 }: AttributionPruning = {},
): PrunedAttribution {
  checkKinds(graph, kinds);
  const { nodes: reached } = influence(graph, targets);
  const nodeLimit = limitOf(reached, nodeShare);
  const nodes = Uint8Array.from(kinds, (kind, node) =>
    kind === 'token' || kind === 'logit' || (reached[node] as number) >= nodeLimit ? 1 : 0,
  );
  const list = entriesOf(graph);
  const left = list.filter(({ from, to }) => nodes[from] === 1 && nodes[to] === 1);
  const { edges: through } = influence(attributionGraph(graph.nodes, left), targets);
  const edgeLimit = limitOf(through, edgeShare);
  const edges = new Uint8Array(list.length);
  // Both lists are in order of rows, so the entries that are left keep their order in the smaller graph.
  left.forEach(({ at }, index) => {
    if ((through[index] as number) >= edgeLimit) edges[at] = 1;
  });
  for (;;) {
    const reads = new Uint8Array(graph.nodes);
    const feeds = new Uint8Array(graph.nodes);
    for (const { at, from, to } of list) {
      if (edges[at] === 0) continue;
      feeds[from] = 1;
      reads[to] = 1;
    }
    const loose = kinds.flatMap((kind, node) => {
      const free = kind === 'token' || kind === 'logit' || nodes[node] === 0;
      return !free && (feeds[node] === 0 || (kind === 'feature' && reads[node] === 0)) ? [node] : [];
    });
    if (loose.length === 0) return { nodes, edges, influence: reached };
    for (const node of loose) nodes[node] = 0;
    for (const { at, from, to } of list) if (nodes[from] === 0 || nodes[to] === 0) edges[at] = 0;
  }
}

/** The value of the last that is needed for a share of the sum, from the largest down; nothing is needed of nothing. */
function limitOf(values: Float64Array, share: number): number {
  const sorted = values.slice().sort().reverse();
  let total = 0;
  for (const value of sorted) total += value;
  if (!(total > 0)) return Number.POSITIVE_INFINITY;
  let sum = 0;
  for (const value of sorted) {
    sum += value;
    // Rounding may leave the whole sum a little short of its share of 1.
    if (sum >= share * total * (1 - 1e-12)) return Math.max(value, Number.MIN_VALUE);
  }
  return Number.MIN_VALUE;
}

function entriesOf({ nodes, rowStart, column, weight }: AttributionGraph) {
  const list: { readonly at: number; readonly from: number; readonly to: number; readonly weight: number }[] = [];
  for (let to = 0; to < nodes; to++)
    for (let at = rowStart[to] as number; at < (rowStart[to + 1] as number); at++)
      list.push({ at, from: column[at] as number, to, weight: weight[at] as number });
  return list;
}

function checkKinds({ nodes }: AttributionGraph, kinds: readonly AttributionNode[]): void {
  if (kinds.length === nodes) return;
  throw new CircuitscopeError('bad_graph', `The graph has ${nodes} nodes and ${kinds.length} kinds of nodes.`, {
    expected: String(nodes),
    got: String(kinds.length),
  });
}

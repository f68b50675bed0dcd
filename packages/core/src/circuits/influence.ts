import { CircuitscopeError } from '@circuitscope/schema';

// Attribution graphs (Ameisen et al. 2025): A[t, s] is what source s adds to target t in one run. Influence counts all
// paths from a node to the targets that were asked for, by shares of absolute attribution.

/** Rows are targets, in compressed form: the sources of t are `column[rowStart[t] … rowStart[t + 1] − 1]`. */
export interface AttributionGraph {
  readonly nodes: number;
  /** [nodes + 1] */
  readonly rowStart: Int32Array;
  /** [edges] */
  readonly column: Int32Array;
  /** [edges], signed */
  readonly weight: Float64Array;
}

/** An edge of a graph that is given as a list. Two of the same ends stay two. */
export interface Attribution {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
}

/** @throws CircuitscopeError `bad_graph` for an end outside, or a weight that is not finite */
export function attributionGraph(nodes: number, edges: readonly Attribution[]): AttributionGraph {
  const rowStart = new Int32Array(nodes + 1);
  for (const { from, to, weight } of edges) {
    const inside =
      Number.isInteger(from) && Number.isInteger(to) && Math.min(from, to) >= 0 && Math.max(from, to) < nodes;
    if (!inside || !Number.isFinite(weight)) {
      throw new CircuitscopeError(
        'bad_graph',
        `An edge ${from} → ${to} of weight ${weight} does not fit a graph of ${nodes} nodes.`,
        { expected: `ends below ${nodes} and a finite weight`, got: `${from} → ${to}, ${weight}` },
      );
    }
    rowStart[to + 1] = (rowStart[to + 1] as number) + 1;
  }
  for (let node = 0; node < nodes; node++)
    rowStart[node + 1] = (rowStart[node + 1] as number) + (rowStart[node] as number);
  const next = rowStart.slice();
  const column = new Int32Array(edges.length);
  const weight = new Float64Array(edges.length);
  for (const edge of edges) {
    const at = next[edge.to] as number;
    next[edge.to] = at + 1;
    column[at] = edge.from;
    weight[at] = edge.weight;
  }
  return { nodes, rowStart, column, weight };
}

export interface Influence {
  /** [nodes] i = w (Ā + Ā² + …): what reaches the targets over at least one edge. */
  readonly nodes: Float64Array;
  /** [edges] Ā[t, s] (i_t + w_t), in the graph's order: what passes through the edge. */
  readonly edges: Float64Array;
}

/** Rows whose absolute attributions add up to less are divided by this instead. */
const SMALLEST_ROW = 1e-10;

/**
 * Exact influence on weighted targets. Ā is |A| with rows that sum to 1. The graph has no cycles, so the series is finite,
 * and one sweep from targets to sources sums it: i_s = Σ_t Ā[t, s] (i_t + w_t), O(nodes + edges).
 *
 * @param targets [nodes] w, for instance the probabilities of the logits that were asked about; 0 elsewhere
 * @throws CircuitscopeError `cyclic_graph` where a node can be reached from itself
 */
export function influence(graph: AttributionGraph, targets: ArrayLike<number>): Influence {
  const { nodes: count, rowStart, column } = graph;
  if (targets.length !== count) {
    throw new CircuitscopeError('bad_graph', `The graph has ${count} nodes and ${targets.length} weights of targets.`, {
      expected: String(count),
      got: String(targets.length),
    });
  }
  const share = normalisedRows(graph);
  const nodes = new Float64Array(count);
  const edges = new Float64Array(column.length);
  for (const target of targetsFirst(graph)) {
    const reaching = (nodes[target] as number) + (targets[target] as number);
    for (let at = rowStart[target] as number; at < (rowStart[target + 1] as number); at++) {
      const through = (share[at] as number) * reaching;
      const source = column[at] as number;
      edges[at] = through;
      nodes[source] = (nodes[source] as number) + through;
    }
  }
  return { nodes, edges };
}

/** [edges] Ā */
export function normalisedRows({ nodes, rowStart, weight }: AttributionGraph): Float64Array {
  const share = weight.map(Math.abs);
  for (let node = 0; node < nodes; node++) {
    const row = share.subarray(rowStart[node], rowStart[node + 1]);
    let sum = 0;
    for (const value of row) sum += value;
    const divisor = Math.max(sum, SMALLEST_ROW);
    for (let at = 0; at < row.length; at++) row[at] = (row[at] as number) / divisor;
  }
  return share;
}

/** Every target before its sources: a node comes when all that it feeds have come (Kahn 1962), the highest number first. */
function targetsFirst({ nodes, rowStart, column }: AttributionGraph): Int32Array {
  const fed = new Int32Array(nodes);
  for (const source of column) fed[source] = (fed[source] as number) + 1;
  const order = new Int32Array(nodes);
  let found = 0;
  for (let node = nodes - 1; node >= 0; node--) if (fed[node] === 0) order[found++] = node;
  for (let done = 0; done < found; done++) {
    const target = order[done] as number;
    for (let at = rowStart[target] as number; at < (rowStart[target + 1] as number); at++) {
      const source = column[at] as number;
      const left = (fed[source] as number) - 1;
      fed[source] = left;
      if (left === 0) order[found++] = source;
    }
  }
  if (found === nodes) return order;
  const stuck = fed.findIndex((left) => left > 0);
  throw new CircuitscopeError(
    'cyclic_graph',
    `Node ${stuck} lies on a cycle of the attribution graph or feeds one, so influence has no end; give a graph in which sources come before targets.`,
    { at: String(stuck) },
  );
}

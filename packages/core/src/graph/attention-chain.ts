import type { GraphNode } from './graph.ts';

// Between a query's products with keys and its softmax there may be a cap and what is added for distances; each keeps the
// shape [rows, heads, queries, keys], and each entry its place.

const onScores: readonly GraphNode['op'][] = ['soft_cap', 'add_bias', 'add_alibi'];

/** The product of queries and keys from which a softmax's input was made, if it was made so. */
export function scoresBefore(softmax: GraphNode, node: (id: number) => GraphNode | undefined): GraphNode | undefined {
  let at = node(softmax.in[0] ?? -1);
  while (at && onScores.includes(at.op)) at = node(at.in[0] ?? -1);
  return at?.op === 'scores' ? at : undefined;
}

/** Whether a value has an entry for each head, query and key: scores at any stage, or a pattern. */
export function isSquare({ op, shape }: GraphNode): boolean {
  if (op === 'scores' || op === 'add_bias' || op === 'add_alibi') return true;
  // A cap may also stand on logits, or on the heads of a value [rows, pos, heads, width]; a softmax on experts or neurons.
  return (op === 'soft_cap' || op === 'softmax') && shape.length === 4 && typeof shape[1] === 'number';
}

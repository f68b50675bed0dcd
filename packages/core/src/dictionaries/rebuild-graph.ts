import type { Graph, GraphNode, GraphParam, GraphRewrite } from '../graph/index.ts';

/**
 * The graph after a rewrite: nodes that the output, a site or an input name, in topological order and numbered anew. Equal
 * rewrites of equal graphs give equal graphs.
 */
export function rebuildGraph(rewrite: GraphRewrite, params: readonly GraphParam[]): Graph {
  const { source } = rewrite;
  const all = Array.from({ length: rewrite.nextId }, (_, id) => rewrite.node(id));
  const named = all.filter(({ sites }) => sites.length > 0).map(({ id }) => id);
  const order = rewrite.order([...Object.values(source.inputs), ...named, source.output]);
  const place = new Map(order.map((id, at) => [id, at]));
  const moved = (id: number): number => (id < 0 ? id : (place.get(id) ?? -1));
  const nodes: GraphNode[] = order.map((id, at) => {
    const node = rewrite.node(id);
    return { ...node, id: at, in: node.in.map(moved) };
  });
  const inputs = Object.fromEntries(Object.entries(source.inputs).map(([name, id]) => [name, moved(id)]));
  return { nodes, inputs, output: moved(source.output), params: [...source.params, ...params] };
}

import { CircuitscopeError } from '@circuitscope/schema';
import { scoresBefore } from './attention-chain.ts';
import type { Dim, Graph, GraphNode } from './graph.ts';
import { makeNode } from './graph-builder.ts';
import { reachOf } from './operations.ts';
import { sourceSide } from './source-side.ts';

/** A graph that computes new positions of texts whose earlier keys and values are given. */
export interface GraphWithPast {
  readonly graph: Graph;
  /**
   * Values that re-enter the next run. The node `joined` is [batch, keys, heads, width]: the input `name`
   * [batch, past, heads, width], then the new positions, which are its second input.
   */
  readonly state: readonly { readonly name: string; readonly joined: number }[];
}

/**
 * The same model for some more positions. `pos` counts new positions, `past` earlier ones, `keys` both; the mask
 * and the positions of keys are [batch, keys], buckets of distances [pos, keys]. Sites stay where they are, so that changes of
 * keys and values come before they are joined. What an encoder gives does not grow, and stays as it is.
 *
 * @throws CircuitscopeError `no_cache` where a new position would change what earlier ones have computed
 */
export function withPast(graph: Graph): GraphWithPast {
  const nodes: GraphNode[] = [];
  const ids = new Map<number, number>();
  const state: { name: string; joined: number }[] = [];
  const inputs: { [name: string]: number } = {};
  const add = (...[op, from, options]: Added): number => {
    const id = nodes.length;
    nodes.push(makeNode(id, op, from, options, (of) => nodes[of]?.shape ?? []));
    return id;
  };
  const overKeys = inputsOverKeys(graph);
  const ofSource = sourceSide(graph.nodes.keys(), (id) => nodeAt(graph, id));
  const joins = new Map<number, number>();
  const join = (source: number): number => {
    const known = joins.get(source);
    if (known !== undefined) return known;
    const x = nodes[ids.get(source) ?? -1];
    if (!x) throw noCache('its attention reads what it has not computed');
    const name = `past.${state.length}`;
    const [, , ...rest] = x.shape;
    const past = add('input', [], { attrs: { name, shape: ['batch', 'past', ...rest] }, dtype: 'f32' });
    inputs[name] = past;
    const joined = add('concat_positions', [past, x.id], { attrs: { keys: 'keys' } });
    state.push({ name, joined });
    joins.set(source, joined);
    return joined;
  };
  for (const node of graph.nodes) {
    let from = node.in.map((input) => (input < 0 ? -1 : (ids.get(input) ?? -1)));
    let attrs = node.attrs;
    const keys = node.op === 'scores' || node.op === 'mix' ? (node.in[1] ?? -1) : -1;
    if (ofSource.has(node.id) || ofSource.has(keys)) {
      // The encoder reads both ways, and the decoder all of what it gives.
    } else if (node.op === 'scores') {
      if (attrs.causal !== true) throw looksAhead(node);
      const [q = -1, , mask = -1] = from;
      from = [q, join(keys), mask];
    } else if (node.op === 'mix') {
      const pattern = graph.nodes[node.in[0] ?? -1];
      const scores = pattern?.op === 'softmax' ? scoresBefore(pattern, (id) => graph.nodes[id]) : undefined;
      if (scores?.attrs.causal !== true) throw looksAhead(node);
      from = [from[0] ?? -1, join(keys)];
    } else if (node.op === 'input') {
      if (turnsByLengthInput(node))
        throw noCache('its rotary positions turn by the length of the text, which every new token changes');
      const shape = overKeys.get(node.id);
      if (shape) attrs = { ...attrs, shape };
    } else if (reachOf(node.op, attrs) !== 'pointwise') {
      throw looksAhead(node);
    }
    const { op, params, sites, dtype } = node;
    ids.set(node.id, add(op, from, { params, attrs, sites, dtype }));
  }
  if (state.length === 0) throw noCache('it has no attention, so that nothing is left of earlier positions');
  for (const [name, id] of Object.entries(graph.inputs)) inputs[name] = ids.get(id) ?? -1;
  return { graph: { nodes, inputs, output: ids.get(graph.output) ?? -1, params: graph.params }, state };
}

function nodeAt(graph: Graph, id: number): GraphNode {
  const node = graph.nodes[id];
  if (!node) throw new CircuitscopeError('bad_graph', `The graph has no node ${id}.`, { at: String(id) });
  return node;
}

/** Inputs that say something of each key, earlier ones included: their shapes when some keys are given. */
function inputsOverKeys(graph: Graph): ReadonlyMap<number, readonly Dim[]> {
  const shapes = new Map<number, readonly Dim[]>();
  const places = { scores: 2, add_alibi: 1, add_bias: 1 } as const;
  const placeOf = (op: GraphNode['op']): number | undefined => places[op as keyof typeof places];
  for (const { op, in: inputs } of graph.nodes) {
    const input = graph.nodes[inputs[placeOf(op) ?? -1] ?? -1];
    if (input?.op === 'input' && !input.shape.includes('source'))
      shapes.set(input.id, op === 'add_bias' ? ['pos', 'keys'] : ['batch', 'keys']);
  }
  for (const { op, in: inputs } of graph.nodes) {
    const shared = inputs.find((id, at) => shapes.has(id) && placeOf(op) !== at);
    if (shared === undefined) continue;
    const name = String(graph.nodes[shared]?.attrs.name);
    throw noCache(
      `its input ${name} serves keys and an operation ${op} on new positions at once; give each one of its own`,
    );
  }
  return shapes;
}

/** Whether new tokens change what earlier ones compute, so that nothing of them can be kept. */
export function changesWithLength(graph: Graph): boolean {
  return graph.nodes.some(turnsByLengthInput);
}

function turnsByLengthInput({ op, attrs }: GraphNode): boolean {
  return op === 'input' && attrs.rotary !== undefined;
}

type Added = [op: GraphNode['op'], from: readonly number[], options: Parameters<typeof makeNode>[3]];

function looksAhead({ sites, op }: GraphNode): CircuitscopeError {
  return noCache(`${sites[0] ?? `an operation ${op}`} reads later positions too`);
}

function noCache(why: string): CircuitscopeError {
  return new CircuitscopeError(
    'no_cache',
    `This model cannot keep keys and values of earlier positions: ${why}. Run each text as a whole.`,
    { got: why },
  );
}

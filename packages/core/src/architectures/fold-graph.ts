import type { Graph, GraphNode, GraphParam } from '../graph/index.ts';
import type { Folding } from '../plan/index.ts';

// Which parts of a graph fold into which weights, read off the graph alone, so that every family is covered: a norm folds
// where nothing but products reads its output, a writer is centred where nothing but layer norms reads what it adds to.

export interface FoldedGraph {
  readonly graph: Graph;
  /** Weights of the folded graph that are computed; all others are those of the model. */
  readonly foldings: ReadonlyMap<string, Folding>;
  /** Sites of norms whose gain and shift could not be folded. */
  readonly left: readonly string[];
}

interface Draft {
  gain: string | null;
  shift: string | null;
  centreColumns: boolean;
  centreRows: boolean;
  values: { bias: Extract<Folding, { kind: 'bias' }>; heads: number; kvHeads: number } | null;
  dropBias: boolean;
}

export function foldGraph(graph: Graph): FoldedGraph {
  const readers = readersOf(graph);
  const node = (id: number): GraphNode | undefined => graph.nodes[id];
  const usesOf = (name: string): GraphNode[] => graph.nodes.filter(({ params }) => params.includes(name));
  const drafts = new Map<number, Draft>();
  const draft = (id: number): Draft => {
    const known = drafts.get(id) ?? {
      gain: null,
      shift: null,
      centreColumns: false,
      centreRows: false,
      values: null,
      dropBias: false,
    };
    drafts.set(id, known);
    return known;
  };
  const left: string[] = [];
  /** A product whose matrix nobody else multiplies by. */
  const ownProduct = (of: GraphNode): boolean =>
    of.op === 'linear' &&
    of.attrs.transposed !== true &&
    usesOf(of.params[0] ?? '').every((user) => user.id === of.id || isTiedTable(user)) &&
    (of.params[1] == null || usesOf(of.params[1]).length === 1);

  const plainNorms = new Set<number>();
  for (const of of graph.nodes) {
    if (of.op !== 'affine') continue;
    const products = readers(of.id);
    const folds =
      of.id !== graph.output && products.length > 0 && products.every((one) => ownProduct(one) && one.in[0] === of.id);
    if (!folds) {
      left.push(of.sites[0] ?? `node ${of.id}`);
      continue;
    }
    plainNorms.add(of.id);
    const normalize = node(of.in[0] ?? -1);
    for (const { id } of products) {
      const one = draft(id);
      one.gain = of.params[0] ?? null;
      one.shift = of.params[1] ?? null;
      one.centreColumns = normalize?.op === 'normalize' && normalize.attrs.kind === 'layer';
    }
  }
  for (const of of graph.nodes) {
    const writes = (of.op === 'embed' && !isIndirect(of)) || ownProduct(of);
    if (!writes || !meansVanish(of.id, graph, readers)) continue;
    if (of.op === 'embed' && of.attrs.transposed !== true && usesOf(of.params[0] ?? '').length > 1) continue;
    draft(of.id).centreRows = true;
  }
  const logits = node(graph.output);
  if (logits && ownProduct(logits) && readers(logits.id).length === 0 && typeof logits.shape.at(-1) === 'number') {
    draft(logits.id).centreRows = true;
  }
  for (const of of graph.nodes) foldValues(of, node, readers, ownProduct, draft);

  // A table that is another product's matrix must stand alone once that matrix changes.
  for (const of of graph.nodes) {
    if (!isTiedTable(of)) continue;
    const changed = usesOf(of.params[0] ?? '').some((user) => user.id !== of.id && changesMatrix(drafts.get(user.id)));
    if (changed) draft(of.id);
  }
  return { ...rewritten(graph, drafts, plainNorms), left };
}

const isTiedTable = (of: GraphNode): boolean => of.op === 'embed' && of.attrs.transposed === true;

/** A table whose rows enter through something else than ids of the call. */
const isIndirect = (of: GraphNode): boolean => of.params.length !== 1;

const changesMatrix = (of: Draft | undefined): boolean =>
  of !== undefined && (of.gain !== null || of.centreColumns || of.centreRows);

/** Whether a mean over the width of this value changes nothing downstream: only sums that layer norms read take it in. */
function meansVanish(id: number, graph: Graph, readers: (id: number) => readonly GraphNode[]): boolean {
  const seen = new Set<number>();
  const check = (at: number): boolean => {
    if (seen.has(at)) return true;
    seen.add(at);
    const found = readers(at);
    if (at === graph.output || found.length === 0) return false;
    return found.every(
      (reader) =>
        ((reader.op === 'norm_scale' || reader.op === 'normalize') &&
          reader.attrs.kind === 'layer' &&
          reader.in[0] === at) ||
        ((reader.op === 'sum' || reader.op === 'scale') && check(reader.id)),
    );
  };
  return check(id);
}

/** Rows of a pattern add up to 1, so a bias of values reaches every position as it is, through W_O. */
function foldValues(
  mix: GraphNode,
  node: (id: number) => GraphNode | undefined,
  readers: (id: number) => readonly GraphNode[],
  ownProduct: (of: GraphNode) => boolean,
  draft: (id: number) => Draft,
): void {
  if (mix.op !== 'mix' || node(mix.in[0] ?? -1)?.op !== 'softmax') return;
  const values = node(mix.in[1] ?? -1);
  const [out, ...others] = readers(mix.id);
  if (!values || !out || others.length > 0 || !ownProduct(out) || !ownProduct(values)) return;
  if (readers(values.id).length !== 1) return;
  const [heads, kvHeads] = [mix.shape[2], values.shape[2]];
  if (typeof heads !== 'number' || typeof kvHeads !== 'number') return;
  const made = biasOf(values, draft(values.id));
  if (!made) return;
  draft(values.id).dropBias = true;
  draft(out.id).values = { bias: made, heads, kvHeads };
}

/** What a product's bias is after folding; null if it has none. */
function biasOf(of: GraphNode, draft: Draft): Extract<Folding, { kind: 'bias' }> | null {
  const [matrix = null, from = null] = of.params;
  if (matrix === null || (from === null && draft.shift === null && draft.values === null)) return null;
  return {
    kind: 'bias',
    from,
    shift: draft.shift === null ? null : { vector: draft.shift, matrix },
    values: draft.values === null ? null : { ...draft.values, matrix },
    centre: draft.centreRows,
  };
}

function rewritten(
  graph: Graph,
  drafts: ReadonlyMap<number, Draft>,
  plainNorms: ReadonlySet<number>,
): Pick<FoldedGraph, 'graph' | 'foldings'> {
  const foldings = new Map<string, Folding>();
  const params = new Map(graph.params.map((param) => [param.name, param]));
  const nodes = graph.nodes.map((of): GraphNode => {
    if (plainNorms.has(of.id)) return { ...of, params: [null, null] };
    const one = drafts.get(of.id);
    const [matrix] = of.params;
    if (!one || matrix == null) return of;
    const plainMatrix = { kind: 'matrix', from: matrix, transposed: false } as const;
    if (isTiedTable(of)) {
      const stored = params.get(matrix);
      const name = 'embed.W_E';
      foldings.set(name, {
        ...plainMatrix,
        transposed: true,
        gain: null,
        centreColumns: false,
        centreRows: one.centreRows,
      });
      params.set(name, { name, shape: [...(stored?.shape ?? [])].reverse() });
      const { transposed: _, ...attrs } = of.attrs;
      return { ...of, params: [name], attrs };
    }
    if (changesMatrix(one)) {
      const { gain, centreColumns, centreRows } = one;
      foldings.set(matrix, { ...plainMatrix, gain, centreColumns, centreRows });
    }
    const bias = of.op === 'linear' ? biasOf(of, one) : null;
    if (!bias || one.dropBias) return one.dropBias ? { ...of, params: [matrix, null] } : of;
    const name = bias.from ?? matrix.replace(/(^|\.)W_(?=[^.]*$)/, '$1b_');
    const own: GraphParam | undefined = params.get(matrix);
    if (!params.has(name)) {
      const shape = [own?.shape[1] ?? 0];
      params.set(name, own?.heads?.axis === 'out' ? { name, shape, heads: own.heads } : { name, shape });
    }
    if (bias.shift || bias.values || bias.centre) foldings.set(name, bias);
    return { ...of, params: [matrix, name] };
  });
  const used = new Set(nodes.flatMap((of) => of.params));
  return { graph: { ...graph, nodes, params: [...params.values()].filter(({ name }) => used.has(name)) }, foldings };
}

function readersOf(graph: Graph): (id: number) => readonly GraphNode[] {
  const found = new Map<number, GraphNode[]>();
  for (const node of graph.nodes) {
    for (const input of new Set(node.in)) {
      const known = found.get(input);
      if (known) known.push(node);
      else found.set(input, [node]);
    }
  }
  return (id) => found.get(id) ?? [];
}

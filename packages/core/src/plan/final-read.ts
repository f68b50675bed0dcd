import { CircuitscopeError, type Pos } from '@circuitscope/schema';
import { copyChain, type Dim, type GraphRewrite, traceRead } from '../graph/index.ts';
import { requireSite } from './apply-interventions.ts';
import { type BindContext, type ExternalInput, resolvePositions, rowsOf } from './bind.ts';
import type { Sizes } from './program.ts';
import type { Weight } from './weights.ts';

// What the unembedding reads. A readout at one position needs no logits elsewhere: the stream is gathered at the wanted
// positions before the last norm, which changes no bit of a row.

export interface ReadoutNodes {
  /** Node ids of the values to copy out. */
  readonly nodes: readonly number[];
  readonly externals: readonly ExternalInput[];
  /** Weights that are no weights of the model. */
  readonly weights?: ReadonlyMap<string, Weight>;
  /** Symbols of its own. */
  readonly sizes?: (context: BindContext) => Sizes;
}

export function idFor(ids: readonly number[], example: number, vocab: number, what: string): number {
  const id = ids.length === 1 ? ids[0] : ids[example];
  if (id === undefined) {
    throw new CircuitscopeError('bad_readout', `A readout has ${ids.length} ${what}s; give one for each example.`, {
      at: what,
    });
  }
  return inVocabulary(id, vocab, what);
}

export function inVocabulary(id: number, vocab: number, what: string): number {
  if (Number.isInteger(id) && id >= 0 && id < vocab) return id;
  throw new CircuitscopeError('out_of_range', `The ${what} ${id} is not in the vocabulary of ${vocab} tokens.`, {
    expected: `0 to ${vocab - 1}`,
    got: String(id),
  });
}

export function unembedding(rewrite: GraphRewrite) {
  const logits = rewrite.root(requireSite(rewrite, 'logits').id);
  const cap = logits.op === 'soft_cap' ? logits.attrs : null;
  const product = cap ? rewrite.node(logits.in[0] ?? -1) : logits;
  const vocab = product.shape.at(-1);
  if (product.op !== 'linear' || typeof vocab !== 'number') {
    throw new CircuitscopeError('bad_graph', 'The logits of this graph are not one product with an unembedding.');
  }
  // One answer an example, [batch, classes], or one at each position.
  const classes = product.shape.length === 2;
  return { params: product.params, vocab, classes, input: product.in[0] ?? -1, cap };
}

/** Products with the unembedding as logits: capped where the model caps them. */
export function capped(rewrite: GraphRewrite, products: number): number {
  const { cap } = unembedding(rewrite);
  return cap ? rewrite.add('soft_cap', [products], { attrs: cap }) : products;
}

export function logitsOf(rewrite: GraphRewrite, read: number): number {
  const product = unembedding(rewrite);
  if (read === product.input) return requireSite(rewrite, 'logits').id;
  return capped(rewrite, rewrite.add('linear', [read], { params: product.params, attrs: { out: [product.vocab] } }));
}

/** What the unembedding reads, at the wanted positions alone [rows, count, model]; at every position for `all`. */
export function finalRead(
  rewrite: GraphRewrite,
  at: Pos,
  throughNorm = false,
): ReadoutNodes & { readonly node: number } {
  const product = unembedding(rewrite);
  const edited = rewrite.root(requireSite(rewrite, 'logits').id).id !== requireSite(rewrite, 'logits').id;
  if (edited) {
    throw new CircuitscopeError(
      'unsupported',
      'A plan that changes the logits themselves must capture them; readouts of the logits come before that change.',
      { at: 'logits' },
    );
  }
  if (at.kind === 'all') return { node: product.input, nodes: [], externals: [] };
  const { node: index, externals } = positionIndex(rewrite, at);
  const read = traceRead(rewrite, rewrite.source, { kind: 'logits', port: 'in' });
  if (throughNorm || read.chain.length === 0) {
    return { node: rewrite.add('gather_rows', [product.input, index]), nodes: [], externals };
  }
  const gathered = rewrite.add('gather_rows', [read.stream, index]);
  return { node: copyChain(rewrite, read, gathered).at(-1) ?? gathered, nodes: [], externals };
}

/** The wanted positions as an input [rows, count]. */
export function positionIndex(
  rewrite: GraphRewrite,
  at: Exclude<Pos, { kind: 'all' }>,
): { readonly node: number; readonly externals: readonly ExternalInput[] } {
  const count: Dim = at.kind === 'positions' ? at.positions.length : 1;
  const node = rewrite.external(`index:${JSON.stringify(at)}`, ['rows', count], 'i32');
  const make = (context: BindContext): Int32Array =>
    Int32Array.from(rowsOf(context, 'rows').flatMap(({ example }) => resolvePositions(at, example, context)));
  return { node, externals: [{ node, make, positions: true }] };
}

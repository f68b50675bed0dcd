import type { Dim, GraphRewrite, OperationName } from '../graph/index.ts';
import type { BindContext, ExternalInput } from './bind.ts';

// A readout at one position needs the stream there alone, and so do the MLP and the projection of heads that add to it
// last. What a gather reads is made of gathered values instead, as far back as one position makes another of its own:
// up to the mixture of heads, usually. A row's bits do not depend on what is computed beside it, so no bit changes.

/** Operations that make a position of [rows, pos, …] from the same position of inputs [rows, pos, …] alone. */
const ownPosition: ReadonlySet<OperationName> = new Set<OperationName>([
  'sum',
  'subtract',
  'mul',
  'norm_scale',
  'normalize',
  'affine',
  'linear',
  'head_linear',
  'head_result',
  'reshape',
  'activation',
  'scale',
]);

/**
 * Moves gathers of chosen positions before what only they read.
 * @param externals what a call makes; those of the gathers are among them
 * @returns inputs that the moved gathers need beside those
 */
export function gatherEarly(
  rewrite: GraphRewrite,
  outputs: readonly { readonly node: number }[],
  externals: readonly ExternalInput[],
): ExternalInput[] {
  const order = rewrite.order(outputs.map(({ node }) => node));
  const wanted = new Set(outputs.map(({ node }) => node));
  const makers = new Map(externals.map((external) => [external.node, external]));
  const added: ExternalInput[] = [];
  for (const gathers of gathersByPlace(rewrite, order, makers)) {
    const early = onlyGathered(rewrite, order, wanted, gathers);
    if (early.size === 0) continue;
    const [index = -1] = gathers.map((id) => rewrite.node(id).in[1] ?? -1);
    const varying = findVarying(rewrite, order);
    const shared = sharedIndex(rewrite, index, makers.get(index));
    const moved = new Map<number, number>();
    /** The wanted positions of a value, in as many rows as it has. */
    const gathered = (id: number): number => {
      let at = moved.get(id);
      if (at === undefined) {
        at = rewrite.add('gather_rows', [id, varying.has(id) ? index : shared.node]);
        moved.set(id, at);
      }
      return at;
    };
    for (const id of order) {
      if (!early.has(id)) continue;
      const { op, in: inputs, params, attrs } = rewrite.node(id);
      moved.set(
        id,
        rewrite.add(
          op,
          inputs.map((input) => (input < 0 ? input : gathered(input))),
          { params, attrs },
        ),
      );
    }
    for (const id of gathers) {
      const to = moved.get(rewrite.node(id).in[0] ?? -1);
      if (to !== undefined && !wanted.has(id)) rewrite.redirect(id, to);
    }
    added.push(shared);
  }
  return added;
}

/** Gathers of one place, whichever readout they are of. */
function gathersByPlace(
  rewrite: GraphRewrite,
  order: readonly number[],
  makers: ReadonlyMap<number, ExternalInput>,
): number[][] {
  const places = new Map<string, number[]>();
  for (const id of order) {
    const { op, in: inputs } = rewrite.node(id);
    const index = inputs[1] ?? -1;
    if (op !== 'gather_rows' || !makers.get(index)?.positions) continue;
    const place = String(rewrite.node(index).attrs.name);
    places.set(place, [...(places.get(place) ?? []), id]);
  }
  return [...places.values()];
}

/** Values of which nothing but those gathers is read, in the end. */
function onlyGathered(
  rewrite: GraphRewrite,
  order: readonly number[],
  wanted: ReadonlySet<number>,
  gathers: readonly number[],
): ReadonlySet<number> {
  const readers = new Map<number, number[]>();
  for (const id of order)
    for (const input of rewrite.node(id).in) readers.set(input, [...(readers.get(input) ?? []), id]);
  const place = rewrite.node(rewrite.node(gathers[0] ?? -1).in[0] ?? -1).shape[1];
  const atPlaces = (shape: readonly Dim[]): boolean => shape.length > 2 && shape[1] === place;
  const early = new Set<number>();
  for (const id of order.toReversed()) {
    const { op, shape, in: inputs } = rewrite.node(id);
    if (!ownPosition.has(op) || wanted.has(id) || !atPlaces(shape)) continue;
    if (!inputs.every((input) => input < 0 || atPlaces(rewrite.node(input).shape))) continue;
    const known = readers.get(id) ?? [];
    const isGather = (reader: number): boolean => gathers.includes(reader) && rewrite.node(reader).in[0] === id;
    if (known.every((reader) => early.has(reader) || (isGather(reader) && !wanted.has(reader)))) early.add(id);
  }
  return early;
}

/** Values that have a row per variant. */
function findVarying(rewrite: GraphRewrite, order: readonly number[]): ReadonlySet<number> {
  const varying = new Set<number>();
  for (const id of order) {
    const { shape, in: inputs } = rewrite.node(id);
    if (shape[0] === 'rows' || inputs.some((input) => varying.has(input))) varying.add(id);
  }
  return varying;
}

/** The same positions once per example: rows are the examples of one variant after another. */
function sharedIndex(rewrite: GraphRewrite, index: number, maker: ExternalInput | undefined): ExternalInput {
  const { attrs, shape } = rewrite.node(index);
  const node = rewrite.external(`${String(attrs.name)}#batch`, ['batch', ...shape.slice(1)], 'i32');
  const make = (context: BindContext) => {
    const all = maker?.make(context) ?? new Int32Array(0);
    return all.slice(0, all.length / context.variants.length);
  };
  return { node, make, positions: true };
}

import { CircuitscopeError, type Hash, type Readout } from '@circuitscope/schema';
import type { Dim, GraphNode, GraphRewrite } from '../graph/index.ts';
import type { Floats, IntTensor, Tensor } from '../tensor/index.ts';
import { requireSite } from './apply-interventions.ts';
import { type BindContext, resolvePositions } from './bind.ts';
import type { ReadoutNodes } from './final-read.ts';
import type { LatentRows } from './run.ts';
import { layoutOf } from './site-layout.ts';
import type { Weight } from './weights.ts';

// A site read through a dictionary. The dictionary's nodes belong to the readout: nothing can change or capture what lies
// between, so where its kind allows, product, activation and choice are one step that never holds all latents.

/** What a plan needs to know of a dictionary. */
export interface LatentReader {
  readonly name: string;
  readonly latents: number;
  /** How many latents of a position can be active at most, where the dictionary itself chooses. */
  readonly atMost: number | null;
  /**
   * Adds the nodes that read a value [rows, pos, …].
   * @param prefix of the names of its weights
   * @throws CircuitscopeError where it does not fit
   */
  addTo(
    rewrite: GraphRewrite,
    x: GraphNode,
    prefix: string,
  ): { readonly latents: number; readonly weights: ReadonlyMap<string, Weight> };
}

type LatentReadout = Extract<Readout, { kind: 'latents' }>;

/** Active latents of a position that there is room for, unless the plan says otherwise. */
const PER_TOKEN = 512;

export function addLatentReadout(
  rewrite: GraphRewrite,
  readout: LatentReadout,
  { dictionaries, sweeps }: { readonly dictionaries: ReadonlyMap<Hash, LatentReader>; readonly sweeps: boolean },
): ReadoutNodes {
  const { at, keep, dictionary: hash } = readout;
  const reader = dictionaries.get(hash);
  if (!reader) {
    throw new CircuitscopeError(
      'unknown_dictionary',
      `The plan reads ${at.site} through the dictionary ${hash}, which the run was not given.`,
      { at: at.site, got: hash },
    );
  }
  const x = requireSite(rewrite, at.site);
  if (at.head || at.unit || at.key)
    throw badScope(at.site, 'it reads whole vectors, so its scope names positions alone');
  const { dims, pattern, image } = layoutOf(rewrite.root(x.id), at.site);
  if (pattern || image || typeof dims[0] === 'number')
    throw badScope(at.site, 'it reads a vector at each position, and that site holds none');
  const { latents, weights } = reader.addTo(rewrite, x, `${hash}.`);
  if (keep.kind === 'topK' || (keep.kind === 'above' && reader.atMost !== null)) {
    const k = Math.min(keep.kind === 'topK' ? keep.k : reader.latents, reader.atMost ?? reader.latents);
    return { nodes: [rewrite.add('active_top_k', [latents], { attrs: { k } })], externals: [], weights };
  }
  if (sweeps) {
    throw new CircuitscopeError(
      'unsupported',
      `A sweep has no room for all latents at ${at.site}; keep the first of each position with topK, or run the variants alone.`,
      { at: at.site, expected: 'topK', got: keep.kind },
    );
  }
  // A readout has symbols of its own: how many entries fit depends on what it asks for.
  const [entries, rowStarts] = [`entries${latents}`, `rowStarts${latents}`];
  const attrs = { entries, rowStarts, ...(keep.kind === 'batchTopK' ? { batchTopK: keep.k } : {}) };
  const node = rewrite.add('active_csr', [latents], { attrs });
  const room = keep.kind === 'batchTopK' ? keep.k : Math.min(keep.perToken ?? PER_TOKEN, reader.latents);
  return {
    nodes: [node],
    externals: [],
    weights,
    sizes: (context) => {
      const tokens = context.batch * positionsOf(dims[0], context);
      return { [entries]: tokens * room, [rowStarts]: tokens + 1 };
    },
  };
}

function positionsOf(axis: Dim, context: BindContext): number {
  return axis === 'source' ? (context.source ?? 0) : context.pos - (context.past?.length ?? 0);
}

function badScope(site: string, why: string): CircuitscopeError {
  return new CircuitscopeError('bad_scope', `A dictionary cannot read ${site}: ${why}.`, { at: site });
}

/** Sparse rows of what a step gave: values, indices and either counts of rows [… , k] or where each row starts. */
export function latentRowsOf(
  values: Tensor,
  indices: IntTensor,
  ends: { readonly count: Int32Array } | { readonly rowStart: Int32Array; readonly shape: readonly number[] },
): LatentRows {
  if ('rowStart' in ends) {
    const used = ends.rowStart[ends.rowStart.length - 1] ?? 0;
    const { rowStart, shape } = ends;
    return {
      kind: 'latents',
      shape,
      rowStart,
      latents: indices.data.slice(0, used),
      values: values.data.slice(0, used),
    };
  }
  const width = values.shape.at(-1) ?? 0;
  const rows = Array.from(ends.count, (count, row) => ({ from: row * width, to: row * width + count }));
  return { shape: values.shape.slice(0, -1), ...gather(rows, indices.data, values.data) };
}

/** The rows at the positions that the scope of a readout names. */
export function sliceLatents(readout: LatentReadout, all: LatentRows, axis: Dim, context: BindContext): LatentRows {
  const { at } = readout.at;
  if (!at || at.kind === 'all') return all;
  const positions = all.shape.at(-1) ?? 0;
  const lists = Array.from({ length: context.batch }, (_, example) => resolvePositions(at, example, context, axis));
  const examples = Array.from({ length: (all.rowStart.length - 1) / positions }, (_, example) => example);
  const rows = examples.flatMap((example) =>
    (lists[example % context.batch] ?? []).map((position) => {
      const row = example * positions + position;
      return { from: all.rowStart[row] ?? 0, to: all.rowStart[row + 1] ?? 0 };
    }),
  );
  const shape = [...all.shape.slice(0, -1), lists[0]?.length ?? 0];
  return { shape, ...gather(rows, all.latents, all.values) };
}

function gather(
  rows: readonly { readonly from: number; readonly to: number }[],
  latents: Int32Array,
  values: Floats,
): Omit<LatentRows, 'shape'> {
  const rowStart = new Int32Array(rows.length + 1);
  rows.forEach(({ from, to }, row) => {
    rowStart[row + 1] = (rowStart[row] ?? 0) + to - from;
  });
  const count = rowStart[rows.length] ?? 0;
  const kept = {
    latents: new Int32Array(count),
    values: values instanceof Float64Array ? new Float64Array(count) : new Float32Array(count),
  };
  rows.forEach(({ from, to }, row) => {
    kept.latents.set(latents.subarray(from, to), rowStart[row]);
    kept.values.set(values.subarray(from, to), rowStart[row]);
  });
  return { kind: 'latents', rowStart, ...kept };
}

/** The axis of positions of a site that a dictionary reads. */
export function positionAxis(rewrite: GraphRewrite, readout: LatentReadout): Dim {
  return layoutOf(rewrite.root(requireSite(rewrite, readout.at.site).id), readout.at.site).dims[0];
}

import { CircuitscopeError, type Hash, type Site, type Value } from '@circuitscope/schema';
import type { Dim } from '../graph/index.ts';
import { type Floats, Rng, type Tensor } from '../tensor/index.ts';
import { type BindContext, positionSizes } from './bind.ts';
import { boundShape } from './program.ts';
import { captured, type Run } from './run.ts';

/** A value for a site [rows, n1, n2, n3]: `data` holds `rows` copies of [n1, n2, n3], or one row that serves all. */
export interface ResolvedValue {
  readonly rows: number;
  readonly data: Floats;
}

/** The layout of a site as edits see it: [rows, n1, n2, n3]. */
export interface SiteLayout {
  readonly site: Site;
  readonly names: readonly Site[];
  /** The three sizes before they were bound. */
  readonly symbols: readonly [Dim, Dim, Dim];
  readonly dims: readonly [number, number, number];
  /** Which of the three axes are positions (of the reader), heads, units or source positions. */
  readonly pattern: boolean;
}

/**
 * Resolves every value that is a tensor (not a constant) to whole rows.
 * @param reached how many positions the change reaches at most; in a text that grows, a shorter run may serve it
 */
export function resolveValue(
  value: Exclude<Value, { kind: 'const' }>,
  layout: SiteLayout,
  context: BindContext,
  reached = context.pos,
): ResolvedValue {
  const [n1, n2, n3] = layout.dims;
  const size = n1 * n2 * n3;
  switch (value.kind) {
    case 'artefact':
      return spread(artefact(value.hash, context), layout, context.batch);
    case 'run':
      return whole(recorded(value.name, layout, context, reached), size, layout);
    case 'mean': {
      const run = source(value.run, context);
      const tensor = captured(run, layout.site, layout.names);
      if (value.over === 'batch_pos') return meanOverPositions(tensor, layout, run);
      const fits = checkTokens(value.run, run, layout, { ...context, batch: run.batch }, reached);
      return meanOverBatch(fits ? tensor : padded(tensor, run, layout), size);
    }
    case 'resample': {
      const tensor = recorded(value.run, layout, context, reached);
      const rows = whole(tensor, size, layout);
      const order = permutation(value.by, rows.rows);
      if (order.every((from, to) => from === to)) throw nothingMoved(layout, rows.rows);
      return permuteRows(rows, size, order);
    }
  }
}

function source(name: string, context: BindContext): Run {
  const run = context.runs.get(name);
  if (!run) {
    const known = [...context.runs.keys()].join(', ') || 'none';
    throw new CircuitscopeError(
      'unknown_run',
      `The plan takes values from the run ${name}, but it was given: ${known}.`,
      { expected: known, got: name },
    );
  }
  if (run.variants === null) return run;
  throw new CircuitscopeError(
    'bad_run',
    `The run ${name} is a sweep; values can be taken only from a run without variants.`,
    { got: `${run.variants} variants` },
  );
}

function recorded(name: string, layout: SiteLayout, context: BindContext, reached: number): Tensor {
  const run = source(name, context);
  const fits = checkTokens(name, run, layout, context, reached);
  const tensor = captured(run, layout.site, layout.names);
  return fits ? tensor : padded(tensor, run, layout);
}

/** Whether a run is as long as this one, and not only as long as the change reaches into a text that grows. */
function checkTokens(
  name: string,
  run: Run,
  layout: SiteLayout,
  want: Pick<BindContext, 'batch' | 'pos' | 'source' | 'prompt'>,
  reached: number,
): boolean {
  const likely = run.batch === want.batch && run.source?.pos === want.source;
  if (likely && run.pos === want.pos) return true;
  if (likely && want.prompt.grows && run.pos < want.pos && reached <= run.pos) return false;
  throw new CircuitscopeError(
    'shape_mismatch',
    `The run ${name} has ${sizeOf(run.batch, run.pos, run.source?.pos)} tokens, this one ${sizeOf(want.batch, want.pos, want.source)}; values fit only prompts of equal shape.`,
    {
      at: layout.site,
      expected: sizeOf(want.batch, want.pos, want.source),
      got: sizeOf(run.batch, run.pos, run.source?.pos),
    },
  );
}

function sizeOf(batch: number, pos: number, source: number | undefined): string {
  return `${batch} × ${source === undefined ? '' : `${source} → `}${pos}`;
}

/** What stands where nobody reads: zero, and −∞ among scores. */
export function valueOfPadding({ site, pattern }: Pick<SiteLayout, 'site' | 'pattern'>): number {
  return pattern && site.endsWith('.hook_attn_scores') ? Number.NEGATIVE_INFINITY : 0;
}

/** Positions behind a run's end as nobody reads them. */
function padded(tensor: Tensor, run: Run, layout: SiteLayout): Tensor {
  const [n1, n2, n3] = layout.dims;
  const data = like(tensor.data, run.batch * n1 * n2 * n3).fill(valueOfPadding(layout));
  // Each axis as the run had it; what it lacks comes behind.
  const [m1 = 0, m2 = 0, m3 = 0] = boundShape(
    layout.symbols,
    positionSizes({ pos: run.pos, source: run.source?.pos ?? 0 }),
  );
  for (let example = 0; example < run.batch; example++) {
    for (let i = 0; i < m1; i++) {
      for (let j = 0; j < m2; j++) {
        const from = ((example * m1 + i) * m2 + j) * m3;
        data.set(tensor.data.subarray(from, from + m3), ((example * n1 + i) * n2 + j) * n3);
      }
    }
  }
  return { shape: [run.batch, n1, n2, n3], data };
}

function nothingMoved(layout: SiteLayout, rows: number): CircuitscopeError {
  return new CircuitscopeError(
    'bad_value',
    `Resampling ${layout.site} among ${rows} example${rows === 1 ? '' : 's'} gives every example its own value back; use more examples, or another shift.`,
    { at: layout.site, got: String(rows) },
  );
}

export function artefact(hash: Hash, context: BindContext): Tensor {
  const tensor = context.artefacts.get(hash);
  if (tensor) return tensor;
  throw new CircuitscopeError(
    'unknown_artefact',
    `The plan names the artefact ${hash}, which was not given with the call.`,
    {
      got: hash,
    },
  );
}

function whole(tensor: Tensor, size: number, layout: SiteLayout): ResolvedValue {
  if (size > 0 && tensor.data.length % size === 0) return { rows: tensor.data.length / size, data: tensor.data };
  throw shapeError(tensor, layout);
}

/** An artefact may leave out leading axes (a vector over the last, a [query, key] table, one example for all). */
function spread(tensor: Tensor, layout: SiteLayout, batch: number): ResolvedValue {
  const [n1, n2, n3] = layout.dims;
  const full = [n1, n2, n3];
  const length = tensor.data.length;
  for (const count of [n3, n2 * n3, n1 * n2 * n3]) {
    if (length !== count) continue;
    const fits = tensor.shape.filter((dim) => dim !== 1).every((dim) => full.includes(dim));
    if (!fits) continue;
    const data =
      tensor.data.slice(0, 0).constructor === Float64Array
        ? new Float64Array(n1 * n2 * n3)
        : new Float32Array(n1 * n2 * n3);
    for (let at = 0; at < data.length; at++) data[at] = tensor.data[at % count] ?? 0;
    return { rows: 1, data };
  }
  if (length === batch * n1 * n2 * n3) return { rows: batch, data: tensor.data };
  throw shapeError(tensor, layout);
}

function shapeError(tensor: Tensor, layout: SiteLayout): CircuitscopeError {
  const expected = `[${layout.dims.join(', ')}] or trailing axes of it`;
  return new CircuitscopeError(
    'shape_mismatch',
    `A value of shape [${tensor.shape.join(', ')}] does not fit ${layout.site}; expected ${expected}.`,
    {
      at: layout.site,
      expected,
      got: tensor.shape.join(' × '),
    },
  );
}

function like(data: Floats, length: number): Floats {
  return data instanceof Float64Array ? new Float64Array(length) : new Float32Array(length);
}

function meanOverBatch(tensor: Tensor, size: number): ResolvedValue {
  const rows = tensor.data.length / size;
  const data = like(tensor.data, size);
  for (let at = 0; at < size; at++) {
    let total = 0;
    for (let row = 0; row < rows; row++) total += tensor.data[row * size + at] ?? 0;
    data[at] = total / rows;
  }
  return { rows: 1, data };
}

/** Mean over examples and their real positions, the same for each position. Attention patterns have no such mean. */
function meanOverPositions(tensor: Tensor, layout: SiteLayout, run: Run): ResolvedValue {
  if (layout.pattern) {
    throw new CircuitscopeError(
      'bad_value',
      `${layout.site} has two position axes; take its mean over the batch alone.`,
      { at: layout.site },
    );
  }
  const [pos, n2, n3] = layout.dims;
  const width = n2 * n3;
  const mean = new Float64Array(width);
  let count = 0;
  const text = layout.symbols[0] === 'source' ? (run.source ?? run) : run;
  for (let token = 0; token < run.batch * text.pos; token++) {
    if (text.mask?.[Math.floor(token / text.pos)]?.[token % text.pos] === 0) continue;
    count++;
    for (let i = 0; i < width; i++) mean[i] = (mean[i] ?? 0) + (tensor.data[token * width + i] ?? 0);
  }
  const data = like(tensor.data, pos * width);
  for (let at = 0; at < data.length; at++) data[at] = (mean[at % width] ?? 0) / count;
  return { rows: 1, data };
}

function permuteRows(value: ResolvedValue, size: number, order: readonly number[]): ResolvedValue {
  const data = like(value.data, value.data.length);
  order.forEach((from, to) => {
    data.set(value.data.subarray(from * size, (from + 1) * size), to * size);
  });
  return { rows: value.rows, data };
}

/** Row r takes the value of example permutation[r]; never its own under a seed (a derangement), nor under a true roll. */
function permutation(by: { kind: 'roll'; shift: number } | { kind: 'seed'; seed: number }, rows: number): number[] {
  if (by.kind === 'roll') return Array.from({ length: rows }, (_, row) => (((row - by.shift) % rows) + rows) % rows);
  const order = new Rng(by.seed, 'resample').shuffle(Array.from({ length: rows }, (_, row) => row));
  const target = new Array<number>(rows);
  // A cyclic shift along a random order moves every row.
  order.forEach((row, index) => {
    target[row] = order[(index + 1) % rows] ?? row;
  });
  return target;
}

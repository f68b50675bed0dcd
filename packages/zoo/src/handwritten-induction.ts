import type { Edge } from '@circuitscope/core';
import { type Model, memoryCheckpoint, modelFromCheckpoint, Rng, type Tensor } from '@circuitscope/core';
import { repeatedPermutations } from './repeated-permutations.ts';
import type { Truth, ZooMember } from './zoo-member.ts';

// An induction circuit whose every weight was written by hand (construction after Elhage et al. 2021). The stream is
// [tok V | pos T | prev V] and nothing is learnt: 0.0 attends to the position before and copies its token into `prev`;
// 1.0 looks for a `prev` equal to the current token and copies that place's own token to the logits.

const VOCAB = 8;
const CONTEXT = 24;
/** Sharpness of attention and strength of the copied logit. */
const SHARP = 40;
const GAIN = 5;

/** Where a block of the stream begins. */
interface Stream {
  readonly tok: number;
  readonly pos: number;
  readonly prev: number;
  readonly width: number;
}

/** A head by its four matrices, written cell by cell: (row, column, value). */
interface HandHead {
  readonly q?: readonly Cell[];
  readonly k?: readonly Cell[];
  readonly v?: readonly Cell[];
  readonly o?: readonly Cell[];
}
type Cell = readonly [row: number, column: number, value: number];

const range = (length: number): number[] => Array.from({ length }, (_, index) => index);
/** value·I from `rows` on, to `columns` on. */
const diagonal = (rows: number, columns: number, length: number, value = 1): Cell[] =>
  range(length).map((i) => [rows + i, columns + i, value]);

function previousTokenHead(at: Stream): HandHead {
  return {
    q: diagonal(at.pos, 0, CONTEXT),
    // Key s answers to the query of position s + 1; position 0 also to its own, which has none before it.
    k: [...range(CONTEXT - 1).map((s): Cell => [at.pos + s, s + 1, SHARP]), [at.pos, 0, SHARP]],
    v: diagonal(at.tok, 0, VOCAB),
    o: diagonal(0, at.prev, VOCAB),
  };
}

function inductionHead(at: Stream): HandHead {
  return {
    q: diagonal(at.tok, 0, VOCAB),
    k: diagonal(at.prev, 0, VOCAB, SHARP),
    v: diagonal(at.tok, 0, VOCAB),
    o: diagonal(0, at.tok, VOCAB, GAIN),
  };
}

/** Attends to its own position. */
function selfAttention(at: Stream): Pick<HandHead, 'q' | 'k'> {
  return { q: diagonal(at.pos, 0, CONTEXT), k: diagonal(at.pos, 0, CONTEXT, SHARP) };
}

interface Extras {
  readonly stream: Stream;
  /** [layer][head] */
  readonly layers: readonly (readonly HandHead[])[];
  readonly headWidth: number;
  /** Cells of the unembedding beside tok → logits. */
  readonly unembed?: readonly Cell[];
  readonly rotate?: number;
}

function build(name: string, { stream, layers, headWidth, unembed = [], rotate }: Extras): Model {
  const { width } = stream;
  const heads = layers[0]?.length ?? 0;
  const tensors = new Map<string, Tensor>();
  const basis = rotate === undefined ? null : rotation(width, rotate);
  // Rows of what writes into the stream are turned by R, columns of what reads from it by Rᵀ: nothing changes but the basis.
  const writes = (cells: readonly Cell[], rows: number): Float64Array =>
    turn(dense(cells, rows, width), rows, width, basis);
  const reads = (cells: readonly Cell[], columns: number): Float64Array =>
    transpose(turn(transpose(dense(cells, width, columns), width, columns), columns, width, basis), columns, width);
  const put = (key: string, shape: readonly number[], data: Float64Array): void => {
    tensors.set(key, { shape, data });
  };
  put('embed.W_E', [VOCAB, width], writes(diagonal(0, stream.tok, VOCAB), VOCAB));
  put('pos_embed.W_pos', [CONTEXT, width], writes(diagonal(0, stream.pos, CONTEXT), CONTEXT));
  layers.forEach((list, layer) => {
    const stack = (part: (head: HandHead) => Float64Array): Float64Array =>
      Float64Array.from(list.flatMap((head) => [...part(head)]));
    const at = `blocks.${layer}.attn`;
    put(
      `${at}.W_Q`,
      [heads, width, headWidth],
      stack((head) => reads(head.q ?? [], headWidth)),
    );
    put(
      `${at}.W_K`,
      [heads, width, headWidth],
      stack((head) => reads(head.k ?? [], headWidth)),
    );
    put(
      `${at}.W_V`,
      [heads, width, headWidth],
      stack((head) => reads(head.v ?? [], headWidth)),
    );
    put(
      `${at}.W_O`,
      [heads, headWidth, width],
      stack((head) => writes(head.o ?? [], headWidth)),
    );
  });
  put('unembed.W_U', [width, VOCAB], reads([...diagonal(stream.tok, 0, VOCAB), ...unembed], VOCAB));
  const config = {
    model_type: 'attention_only',
    n_layers: layers.length,
    n_heads: heads,
    d_model: width,
    d_head: headWidth,
    d_vocab: VOCAB,
    n_ctx: CONTEXT,
    normalization_type: null,
    positional_embedding_type: 'standard',
    use_attn_scale: false,
    bos_token_id: 0,
  };
  return modelFromCheckpoint(memoryCheckpoint(`zoo:${name}`, config, tensors), `zoo:${name}`);
}

function dense(cells: readonly Cell[], rows: number, columns: number): Float64Array {
  const data = new Float64Array(rows * columns);
  for (const [row, column, value] of cells) data[row * columns + column] = (data[row * columns + column] ?? 0) + value;
  return data;
}

function transpose(data: Float64Array, rows: number, columns: number): Float64Array {
  return data.map((_, at) => data[(at % rows) * columns + Math.floor(at / rows)] ?? 0);
}

/** data [rows, width] · R */
function turn(data: Float64Array, rows: number, width: number, basis: Float64Array | null): Float64Array {
  if (!basis) return data;
  const out = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < width; k++) {
      const x = data[row * width + k] ?? 0;
      if (x !== 0)
        for (let j = 0; j < width; j++)
          out[row * width + j] = (out[row * width + j] ?? 0) + x * (basis[k * width + j] ?? 0);
    }
  }
  return out;
}

/** A random orthogonal matrix: Gram and Schmidt on Gaussian rows, twice for accuracy. */
function rotation(width: number, seed: number): Float64Array {
  const rng = new Rng(seed, 'zoo/rotation');
  const rows: Float64Array[] = [];
  for (let row = 0; row < width; row++) {
    const vector = Float64Array.from({ length: width }, () => rng.normal());
    for (const previous of [...rows, ...rows]) {
      const along = previous.reduce((sum, value, i) => sum + value * (vector[i] ?? 0), 0);
      for (let i = 0; i < width; i++) vector[i] = (vector[i] ?? 0) - along * (previous[i] ?? 0);
    }
    const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
    rows.push(vector.map((value) => value / norm));
  }
  return Float64Array.from(rows.flatMap((vector) => [...vector]));
}

const head = (layer: number, index: number) => ({ kind: 'head' as const, layer, head: index });
const input = { kind: 'input' as const };
const logits = { kind: 'logits' as const, port: 'in' as const };
const port = (layer: number, index: number, name: 'q' | 'k' | 'v') => ({
  kind: 'head' as const,
  layer,
  head: index,
  port: name,
});

/** The edges that were written: 0.0 finds the position before, 1.0 matches and copies. */
const written: readonly Edge[] = [
  { from: input, to: port(0, 0, 'q') },
  { from: input, to: port(0, 0, 'k') },
  { from: input, to: port(0, 0, 'v') },
  { from: head(0, 0), to: port(1, 0, 'k') },
  { from: input, to: port(1, 0, 'q') },
  { from: input, to: port(1, 0, 'v') },
  { from: head(1, 0), to: logits },
];
/** Positions are the same in the clean and the corrupt prompt, so what only reads them is not seen by resampling. */
const resampled = written.filter(({ to }) => !(to.kind === 'head' && to.layer === 0 && to.port !== 'v'));

const truth: readonly Truth[] = [
  { ablation: 'zero', metric: 'accuracy', edges: written },
  { ablation: 'resample', metric: 'accuracy', edges: resampled },
];

const tokens = ['<bos>', ...range(VOCAB - 1).map((i) => String.fromCharCode(97 + i))];
const small: Stream = { tok: 0, pos: VOCAB, prev: VOCAB + CONTEXT, width: 2 * VOCAB + CONTEXT };

/** Two layers of one head each, 12 edges, 7 of them written. */
export const handwrittenInduction: ZooMember = {
  name: 'induction-handwritten',
  title: 'Induction, written by hand',
  made: 'Every weight of two attention heads was set by hand: a previous-token head and an induction head that reads it through its keys.',
  model: () =>
    build('induction-handwritten', {
      stream: small,
      headWidth: CONTEXT,
      layers: [[previousTokenHead(small)], [inductionHead(small)]],
    }),
  task: (options) => repeatedPermutations('induction-handwritten', VOCAB, options),
  truth,
  bos: 0,
  tokens,
};

export const rotatedInduction: ZooMember = {
  ...handwrittenInduction,
  name: 'induction-handwritten-rotated',
  title: 'Induction, written by hand, in a rotated stream',
  made: 'The hand-written induction transformer with its residual stream turned by a random orthogonal matrix, so that no coordinate means anything.',
  model: () =>
    build('induction-handwritten-rotated', {
      stream: small,
      headWidth: CONTEXT,
      rotate: 1,
      layers: [[previousTokenHead(small)], [inductionHead(small)]],
    }),
  task: (options) => repeatedPermutations('induction-handwritten-rotated', VOCAB, options),
};

// With distractors the stream has two more blocks: `junk` V, which a pair of heads writes and cancels, and `done` 1,
// which 1.0 sets wherever it writes, so that its backup can tell whether it is there.
const wide = { ...small, junk: small.width, done: small.width + VOCAB, width: small.width + VOCAB + 1 };
/** How strongly `done` pulls the backup's attention to the first token, whose value is nothing. */
const SINK = 400;

function copyToJunk(sign: number): HandHead {
  return { ...selfAttention(wide), v: diagonal(wide.tok, 0, VOCAB), o: diagonal(0, wide.junk, VOCAB, sign) };
}

function cancelJunk(): HandHead {
  return { ...selfAttention(wide), v: diagonal(wide.junk, 0, VOCAB), o: diagonal(0, wide.junk, VOCAB, -1) };
}

function markedInductionHead(): HandHead {
  const plain = inductionHead(wide);
  return {
    ...plain,
    v: [...(plain.v ?? []), ...range(VOCAB).map((i): Cell => [wide.tok + i, VOCAB, 1])],
    o: [...(plain.o ?? []), [VOCAB, wide.done, 1]],
  };
}

function backupHead(): HandHead {
  const plain = inductionHead(wide);
  return {
    q: [...(plain.q ?? []), [wide.done, VOCAB, SINK]],
    k: [...(plain.k ?? []), [wide.pos, VOCAB, 1]],
    v: diagonal(wide.tok + 1, 1, VOCAB - 1),
    o: diagonal(0, wide.tok, VOCAB, GAIN),
  };
}

/**
 * Three layers of three heads. Beside the two written heads: dead heads (0.1, 1.1, 2.1, 2.2 write nothing), a pair that
 * cancels (0.2 copies the token into `junk`, which the logits read; 1.2 takes it away again), and a backup (2.0 does
 * what 1.0 does, but only where 1.0 wrote nothing).
 */
export const inductionWithDistractors: ZooMember = {
  name: 'induction-handwritten-distractors',
  title: 'Induction, written by hand, with distractors',
  made: 'The hand-written induction transformer with four dead heads, a pair of heads that cancel, and a backup head that acts only when the induction head is silent.',
  model: () =>
    build('induction-handwritten-distractors', {
      stream: wide,
      headWidth: CONTEXT,
      unembed: diagonal(wide.junk, 0, VOCAB),
      layers: [
        [previousTokenHead(wide), {}, copyToJunk(1)],
        [markedInductionHead(), {}, cancelJunk()],
        [backupHead(), {}, {}],
      ],
    }),
  task: (options) => repeatedPermutations('induction-handwritten-distractors', VOCAB, options),
  truth: [],
  bos: 0,
  tokens,
};

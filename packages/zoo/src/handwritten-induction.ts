import type { Edge, Model } from '@circuitscope/core';
import type { AlignedPart, Alignment } from '@circuitscope/schema';
import { type Cell, diagonal, type HandHead, handTransformer, range, rotation } from './hand-transformer.ts';
import { inductionInputs, inductionProgram } from './induction-program.ts';
import { repeatedPermutations } from './repeated-permutations.ts';
import { type ExpectedFailure, type Truth, truthOf, type ZooMember } from './zoo-member.ts';

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
  return handTransformer({
    name,
    width: stream.width,
    headWidth,
    vocab: VOCAB,
    context: CONTEXT,
    embed: diagonal(0, stream.tok, VOCAB),
    positions: diagonal(0, stream.pos, CONTEXT),
    layers: layers.map((heads) => ({ heads })),
    unembed: [...diagonal(stream.tok, 0, VOCAB), ...unembed],
    ...(rotate === undefined ? {} : { rotate }),
  });
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
  truthOf({ ablation: 'zero', metric: 'accuracy', edges: written }),
  truthOf({ ablation: 'resample', metric: 'accuracy', edges: resampled }),
];

const saturated: ExpectedFailure = {
  method: 'attribution',
  edges: ['0.0→1.0.K', 'input→0.0.K', 'input→0.0.Q', 'input→1.0.Q'],
  why: 'Scores of 40 against 0: a key with any weight holds what the head already writes, so p(v − z) is nothing but rounding and a gradient through queries or keys is nothing although cutting them takes everything.',
};

const tokens = ['<bos>', ...range(VOCAB - 1).map((i) => String.fromCharCode(97 + i))];
const small: Stream = { tok: 0, pos: VOCAB, prev: VOCAB + CONTEXT, width: 2 * VOCAB + CONTEXT };

/** Where the variables of the induction program lie. In a turned stream a block is the span of rows of the rotation. */
function alignment(at: Stream, turned?: number): Alignment {
  const basis = turned === undefined ? null : rotation(at.width, turned);
  const block = (from: number): Pick<AlignedPart, 'units' | 'directions'> =>
    basis
      ? { directions: range(VOCAB).map((i) => [...basis.subarray((from + i) * at.width, (from + i + 1) * at.width)]) }
      : { units: [from, from + VOCAB] };
  return {
    tokens: { site: 'hook_embed', ...block(at.tok), encoding: 'one_hot' },
    previous: { site: 'blocks.0.hook_attn_out', ...block(at.prev), encoding: 'one_hot' },
    match: { site: 'blocks.1.attn.hook_pattern', head: [0] },
    copied: { site: 'blocks.1.hook_attn_out', ...block(at.tok), encoding: 'one_hot' },
  };
}

const algorithm: Pick<ZooMember, 'program' | 'inputs'> = {
  program: inductionProgram({ vocab: VOCAB, bos: 0 }),
  inputs: (options) =>
    inductionInputs({
      ...options,
      name: 'induction-handwritten',
      bos: 0,
      words: range(VOCAB - 1).map((i) => i + 1),
    }).map((tokens) => ({ tokens })),
};

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
  ...algorithm,
  alignment: alignment(small),
  expectedFailures: [saturated],
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
  alignment: alignment(small, 1),
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
  ...algorithm,
  alignment: alignment(wide),
  expectedFailures: [
    saturated,
    {
      method: 'single_cut',
      edges: ['0.2→logits', '1.2→logits'],
      why: 'Each of the two edges of the cancelling pair has an effect when it is cut alone; both together have none, so neither does any work.',
    },
    {
      method: 'single_cut',
      edges: ['2.0→logits', '1.0→2.0.Q'],
      why: 'The backup head acts only where 1.0 wrote nothing, so cut alone it shows nothing; and cutting 1.0 alone shows less than 1.0 does.',
    },
  ],
};

/** What is compared. Peers and we answer a row by its name; `../peers/runtime/answer.py` knows the same names. */
export interface Row {
  readonly name: string;
  readonly what: string;
  /** Who takes part beside us, in some `way` of working where there are several. */
  readonly peers: readonly {
    readonly program: Program;
    readonly way?: string;
    /** The work is in so many parts, of which each round does one: the whole is measured where there are as many rounds. */
    readonly parts?: number;
  }[];
  /** Ways in which we work; one if left out. */
  readonly ways?: readonly string[];
  readonly rounds: number;
  /** We do the whole so often at most. */
  readonly ownRounds?: number;
  /** A new process each time, whose start is in the time. */
  readonly start?: true;
  /** Values of a kind are compared on a scale of their own; all are of one kind if left out. */
  readonly kindOf?: (index: number) => number;
  /** How far values may be from float64, or from the others, as a share of the largest. */
  readonly tolerance: number;
  /** The time of one value is what counts. */
  readonly each?: true;
  /** Has a float64 answer. */
  readonly exact?: { readonly parts: number };
  readonly bar: string;
}

export const programs = ['transformer_lens', 'transformers', 'torch', 'torch-onednn'] as const;
export type Program = (typeof programs)[number];

/** Every so many of the model's edges is cut, in the order of readers, then writers. */
export const EDGE_STRIDE = 64;

const TOLERANCE = 2e-5;

export const rows: readonly Row[] = [
  {
    name: 'block',
    what: 'patching grid: 3 sites × 12 layers × 15 positions (540 indices), 8 prompts of 15 tokens',
    peers: [
      { program: 'transformer_lens', parts: 20 },
      { program: 'torch', parts: 4 },
      { program: 'torch-onednn', parts: 4 },
    ],
    rounds: 4,
    exact: { parts: 12 },
    tolerance: TOLERANCE,
    bar: '≥ 12 of TransformerLens 3.9, ≥ 7 of 4.3; half the memory',
  },
  {
    name: 'heads',
    what: 'patching grid: z, q, k, v and pattern × 12 layers × 15 positions × 12 heads (10 800 indices), 8 prompts of 15 tokens',
    peers: [
      { program: 'transformer_lens', parts: 600 },
      { program: 'torch-onednn', parts: 90 },
    ],
    rounds: 3,
    ownRounds: 1,
    exact: { parts: 180 },
    tolerance: TOLERANCE,
    bar: 'none',
  },
  {
    name: 'captures',
    what: 'forward with every site captured, 8 × 64 tokens',
    peers: [{ program: 'transformer_lens' }, { program: 'torch' }, { program: 'torch-onednn' }],
    rounds: 7,
    exact: { parts: 1 },
    tolerance: TOLERANCE,
    kindOf: (index) => Math.floor(index / 8),
    bar: '≥ 1.45 of the fastest; 1.1 × (weights + captures)',
  },
  {
    name: 'difference',
    what: 'forward and logit difference at the last position, 8 × 15 tokens',
    peers: [
      { program: 'transformer_lens' },
      { program: 'transformers' },
      { program: 'torch' },
      { program: 'torch-onednn' },
    ],
    rounds: 11,
    exact: { parts: 1 },
    tolerance: TOLERANCE,
    bar: '≥ 1.5 of the fastest',
  },
  {
    name: 'start',
    what: 'start of a process to its first logits, 8 tokens, file in the page cache',
    peers: [{ program: 'transformer_lens' }, { program: 'transformers' }, { program: 'torch' }],
    ways: ['raw', 'folded'],
    rounds: 5,
    start: true,
    tolerance: TOLERANCE,
    bar: '≤ 0.8 s, ≤ 560 MB',
  },
  {
    name: 'lens',
    what: 'logit lens: 13 streams × 1024 tokens, the ten largest and the rank of the next token; forward included',
    peers: [
      { program: 'transformer_lens' },
      { program: 'torch', way: '128 at a time' },
      { program: 'torch', way: 'whole' },
      { program: 'torch-onednn', way: '128 at a time' },
      { program: 'torch-onednn', way: 'whole' },
    ],
    rounds: 3,
    exact: { parts: 1 },
    // Ranks among 50 257 near numbers move by a few when the numbers are rounded.
    tolerance: 1e-4,
    kindOf: (index) => index % 3,
    bar: '≥ 2.4 of PyTorch; ≤ 700 MB',
  },
  {
    name: 'eap',
    what: 'EAP: a score for each of 32 491 edges, 8 pairs of 15 tokens',
    peers: [{ program: 'transformer_lens' }],
    rounds: 5,
    tolerance: TOLERANCE,
    bar: '≥ 5',
  },
  {
    name: 'edges',
    what: 'exact patches of single edges, 8 pairs of 15 tokens',
    peers: [{ program: 'transformer_lens', parts: 4096 }],
    rounds: 4,
    each: true,
    // Effects are differences of numbers a thousand times as large as they are, each rounded to float32.
    tolerance: 5e-3,
    bar: '≥ 20 an edge',
  },
  {
    name: 'capture-one',
    what: 'the same forward as `difference`, with one site captured and without',
    peers: [{ program: 'transformer_lens', way: 'with' }, { program: 'transformer_lens' }],
    ways: ['with', 'without'],
    rounds: 21,
    tolerance: TOLERANCE,
    bar: 'with ≤ 1.02 × without',
  },
];

import { CircuitscopeError, type Intervention, type Plan } from '@circuitscope/schema';
import { changesWithLength } from '../graph/index.ts';
import {
  type CachedRunner,
  type CachedRunnerOptions,
  cachedRunner,
  type Engine,
  fixPositions,
  type KeyValueCache,
  makePlan,
  type Prompt,
  type ReadoutResult,
  type Run,
  type RunOptions,
  runPlan,
} from '../plan/index.ts';
import { Rng } from '../tensor/index.ts';

export interface GenerateOptions extends Pick<RunOptions, 'signal' | 'threads' | 'memoryBytes' | 'runs' | 'artefacts'> {
  /** How many tokens to add, at most: generation also ends at a stop token and where the model's context is full. */
  readonly steps: number;
  /** 0 takes the largest logit, the lowest id among equals; above, tokens are drawn from softmax(logits / temperature). */
  readonly temperature?: number;
  /** Draws are from this many largest logits. */
  readonly topK?: number;
  /** Draws are from the fewest likeliest tokens whose probabilities reach this sum (Holtzman et al. 2019); 1 takes all. */
  readonly topP?: number;
  readonly seed?: number;
  /** Tokens that end the text; they are not given out. */
  readonly stop?: ReadonlySet<number>;
  /** Changes of the model that act on every token, as far as their scopes say; `last` and negative positions are the prompt's. */
  readonly interventions?: readonly Intervention[];
  /**
   * Keep keys and values of earlier tokens (the default), or run the whole text for each token, as models need whose rotary
   * positions turn by the length of the text. The tokens are the same.
   */
  readonly cache?: boolean;
  /** What the encoder of an encoder-decoder reads, a text for each prompt of its decoder; shorter ones are padded. */
  readonly source?: readonly (readonly number[])[];
  /** A prompt is read in pieces of at most so many tokens, which bounds memory. */
  readonly piece?: number;
}

/** What generation must know of a model: how many tokens it tells apart, and how long a text may be, if there is a limit. */
export interface GrowthLimits {
  readonly vocab: number;
  readonly context?: number;
}

/** What one readout can sort; a larger vocabulary is drawn from its largest logits alone. */
const MOST_CANDIDATES = 1 << 16;

/** Attention of so many queries over a long text takes no more memory than an MLP does. */
const PIECE = 512;

/**
 * Tokens that continue `ids`, one by one, as they are drawn.
 *
 * @throws CircuitscopeError `too_long` if the prompt leaves no room in the context, `bad_prompt`, `out_of_range`
 */
export async function* generate(
  engine: Engine,
  spec: GrowthLimits,
  ids: readonly number[],
  options: GenerateOptions,
): AsyncGenerator<number, void, undefined> {
  for await (const [next] of generateTogether(engine, spec, [ids], options)) {
    if (next === undefined || next === null) return;
    yield next;
  }
}

/**
 * Continues several texts side by side: a list of one token per text at a time, null for those that have ended. Shorter
 * prompts are padded at the left; each text gets the tokens that it gets alone.
 *
 * @throws CircuitscopeError as `generate`
 */
export async function* generateTogether(
  engine: Engine,
  spec: GrowthLimits,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): AsyncGenerator<(number | null)[], void, undefined> {
  const { steps, temperature = 0, topP = 1, seed = 0, stop } = options;
  for (const ids of prompts) checkOptions(spec, ids, options);
  if (prompts.length === 0) return;
  const k = temperature === 0 ? 1 : Math.min(options.topK ?? MOST_CANDIDATES, spec.vocab, MOST_CANDIDATES);
  const from = Math.max(...prompts.map(({ length }) => length));
  const pad = (ids: readonly number[], value: (id: number) => number): number[] => [
    ...new Array<number>(from - ids.length).fill(0),
    ...ids.map(value),
  ];
  const prompt = { tokens: prompts.map((ids) => pad(ids, (id) => id)), mask: prompts.map((ids) => pad(ids, () => 1)) };
  const source = options.source ? padSource(options.source, prompts.length) : undefined;
  const interventions = fixPositions(engine.graph, options.interventions ?? [], textFrom(prompt, source));
  const plan = makePlan(engine.graph, { interventions, readouts: [{ kind: 'topK', at: { kind: 'last' }, k }] });
  const read =
    options.cache === false || changesWithLength(engine.graph)
      ? reader(engine, plan, spec, source, options)
      : cachedReader(engine, plan, { from, ...(source ? { source } : {}) }, options);
  const draws = prompts.map((_, text) => new Rng(seed, text === 0 ? 'generate' : `generate ${text}`));
  const { context = Number.POSITIVE_INFINITY } = spec;
  const room = prompts.map(({ length }) => context - length);
  let added: Piece = prompt;
  for (let step = 0; step < steps && room.some((left) => left > 0); step++) {
    const top = await read(added);
    const next = prompts.map((_, text) => {
      if ((room[text] ?? 0) <= 0) return null;
      const values = top.values.data.subarray(text * k, (text + 1) * k);
      const chosen = temperature === 0 ? 0 : draw(values, { temperature, topP }, draws[text]?.float() ?? 0);
      const id = top.indices.data[text * k + chosen] ?? 0;
      room[text] = stop?.has(id) ? 0 : (room[text] ?? 0) - 1;
      return stop?.has(id) ? null : id;
    });
    if (next.every((id) => id === null)) return;
    yield next;
    added = { tokens: next.map((id) => [id ?? 0]), mask: next.map((id) => [id === null ? 0 : 1]) };
  }
}

type Piece = Required<Pick<Prompt, 'tokens' | 'mask'>>;

/** What is read by both sides of an encoder-decoder, or by a decoder alone. */
function textFrom({ tokens, mask }: Piece, source: Piece | undefined): Prompt {
  return source ? { ...source, decoderTokens: tokens, decoderMask: mask } : { tokens, mask };
}

/** Texts of an encoder side by side. Padding stands behind them and is masked. */
function padSource(texts: readonly (readonly number[])[], count: number): Piece {
  if (texts.length !== count || texts.some(({ length }) => length === 0)) {
    throw new CircuitscopeError(
      'bad_prompt',
      'The encoder reads one text for each text that is generated, of at least one token.',
      { at: 'source', expected: String(count), got: String(texts.length) },
    );
  }
  const longest = Math.max(...texts.map(({ length }) => length));
  const pad = (ids: readonly number[]): number[] => [...ids, ...new Array<number>(longest - ids.length).fill(0)];
  return { tokens: texts.map(pad), mask: texts.map((ids) => pad(ids.map(() => 1))) };
}

/** Reads what a text gets and gives the candidates for what follows. */
type Reader = (added: Piece) => Promise<Extract<ReadoutResult, { kind: 'topK' }>>;

/** Each token is one pass over itself alone, beside the keys and values of all before it. */
function cachedReader(
  engine: Engine,
  plan: Plan,
  text: Pick<CachedRunnerOptions, 'from' | 'source'>,
  options: GenerateOptions,
): Reader {
  const { runs, artefacts } = options;
  const runner = cachedRunner(engine, plan, {
    ...text,
    ...(runs ? { runs } : {}),
    ...(artefacts ? { artefacts } : {}),
  });
  let cache: KeyValueCache | null = null;
  return async ({ tokens, mask }) => {
    const length = tokens[0]?.length ?? 0;
    const piece = options.piece ?? PIECE;
    for (let start = 0; ; start += piece) {
      const cut = (rows: Piece['tokens']) => rows.map((row) => row.slice(start, start + piece));
      const next: Extended = await runner.extend(cache, { tokens: cut(tokens), mask: cut(mask) }, options);
      cache = next.cache;
      if (start + piece >= length) return candidates(next.run);
    }
  };
}

type Extended = Awaited<ReturnType<CachedRunner['extend']>>;

/**
 * Each token is one pass over the whole text. Without changes texts are padded at the right to powers of two, so that few
 * sizes of memory occur; padding is masked and changes no bit.
 */
function reader(
  engine: Engine,
  plan: Plan,
  { context = Number.POSITIVE_INFINITY }: GrowthLimits,
  source: Piece | undefined,
  options: GenerateOptions,
): Reader {
  let text: Piece | null = null;
  let from = 0;
  return async (added) => {
    const before: Piece | null = text;
    if (!before) from = added.tokens[0]?.length ?? 0;
    const join = (key: keyof Piece): number[][] =>
      added[key].map((row, example) => [...(before?.[key][example] ?? []), ...row]);
    text = { tokens: join('tokens'), mask: join('mask') };
    const length = text.tokens[0]?.length ?? 0;
    const full =
      plan.interventions.length > 0
        ? length
        : Math.min(2 ** Math.ceil(Math.log2(Math.max(length, 8))), Math.max(context, length));
    const padding = new Array<number>(full - length).fill(0);
    const pad = (rows: Piece['tokens']) => rows.map((row) => [...row, ...padding]);
    const prompt = { ...textFrom({ tokens: pad(text.tokens), mask: pad(text.mask) }, source), grows: { from } };
    return candidates(await runPlan(engine, plan, prompt, options));
  };
}

function candidates({ results: [top] }: Run): Extract<ReadoutResult, { kind: 'topK' }> {
  if (top?.kind === 'topK') return top;
  throw new CircuitscopeError('bad_program', 'The plan gave no candidates.');
}

/**
 * The place of the candidate that `uniform` in [0, 1) falls on. Runtimes differ in the last bits of exp, so weights are
 * rounded to float32 before they are summed.
 */
function draw(
  logits: ArrayLike<number>,
  { temperature, topP }: { readonly temperature: number; readonly topP: number },
  uniform: number,
): number {
  const largest = logits[0] ?? 0; // candidates come in descending order
  const weights = Array.from(logits, (logit) => Math.fround(Math.exp((logit - largest) / temperature)));
  const total = sumOf(topP < 1 ? nucleus(weights, topP) : weights);
  let left = uniform * total;
  for (const [place, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return place;
  }
  return 0; // rounding alone leads here
}

const sumOf = (weights: readonly number[]): number => weights.reduce((sum, weight) => sum + weight, 0);

/** The first weights, in descending order, whose sum reaches a share of the whole; at least one. */
function nucleus(weights: readonly number[], share: number): readonly number[] {
  const wanted = share * sumOf(weights);
  let sum = 0;
  const count = weights.findIndex((weight) => {
    sum += weight;
    return sum >= wanted;
  });
  return count < 0 ? weights : weights.slice(0, count + 1);
}

function checkOptions(
  { context = Number.POSITIVE_INFINITY }: GrowthLimits,
  ids: readonly number[],
  options: GenerateOptions,
): void {
  const { steps, temperature = 0, topK = 1, topP = 1, piece = 1 } = options;
  const fail = (what: string, expected: string, got: number): never => {
    throw new CircuitscopeError('out_of_range', `${what} must be ${expected}, not ${got}.`, {
      at: what,
      expected,
      got: String(got),
    });
  };
  if (!Number.isSafeInteger(steps) || steps < 0) fail('steps', 'a whole number from 0', steps);
  if (!Number.isFinite(temperature) || temperature < 0) fail('temperature', 'a number from 0', temperature);
  if (!Number.isSafeInteger(topK) || topK < 1) fail('topK', 'a whole number from 1', topK);
  if (!(topP > 0 && topP <= 1)) fail('topP', 'a number above 0, up to 1', topP);
  if (!Number.isSafeInteger(piece) || piece < 1) fail('piece', 'a whole number from 1', piece);
  if (ids.length === 0) {
    throw new CircuitscopeError('bad_prompt', 'There is nothing to continue; begin with the token that begins a text.');
  }
  if (ids.length < context || steps === 0) return;
  throw new CircuitscopeError(
    'too_long',
    `The prompt has ${ids.length} tokens and the model reads ${context}; shorten it to ${context - 1} or fewer.`,
    {
      expected: `at most ${context - 1}`,
      got: String(ids.length),
    },
  );
}

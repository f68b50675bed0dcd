import { CircuitscopeError } from '@circuitscope/schema';
import type { DecoderSpec } from '../architectures/index.ts';
import { type Engine, makePlan, type RunOptions, runPlan } from '../plan/index.ts';
import { Rng } from '../tensor/index.ts';

export interface GenerateOptions extends Pick<RunOptions, 'signal' | 'threads' | 'memoryBytes'> {
  /** How many tokens to add, at most: generation also ends at a stop token and where the model's context is full. */
  readonly steps: number;
  /** 0 takes the largest logit, the lowest id among equals; above, tokens are drawn from softmax(logits / temperature). */
  readonly temperature?: number;
  /** Draws are from this many largest logits. */
  readonly topK?: number;
  readonly seed?: number;
  /** Tokens that end the text; they are not given out. */
  readonly stop?: ReadonlySet<number>;
}

/** What one readout can sort; a larger vocabulary is drawn from its largest logits alone. */
const MOST_CANDIDATES = 1 << 16;

/**
 * Tokens that continue `ids`, one by one. Each is one plan over the whole text so far, nothing is cached: n tokens cost n
 * forward passes. Texts are padded to powers of two, so that few sizes of memory occur; padding is masked and changes no bit.
 *
 * @throws CircuitscopeError `too_long` if the prompt leaves no room in the context, `bad_prompt`, `out_of_range`
 */
export async function* generate(
  engine: Engine,
  spec: Pick<DecoderSpec, 'context' | 'vocab'>,
  ids: readonly number[],
  options: GenerateOptions,
): AsyncGenerator<number, void, undefined> {
  const { steps, temperature = 0, seed = 0, stop } = options;
  checkOptions(spec, ids, options);
  const k = temperature === 0 ? 1 : Math.min(options.topK ?? MOST_CANDIDATES, spec.vocab, MOST_CANDIDATES);
  const plan = makePlan(engine.graph, { readouts: [{ kind: 'topK', at: { kind: 'last' }, k }] });
  const rng = new Rng(seed, 'generate');
  const text = [...ids];
  for (let step = 0; step < steps && text.length < spec.context; step++) {
    const run = await runPlan(engine, plan, padded(text, spec.context), options);
    const [top] = run.results;
    if (top?.kind !== 'topK') throw new CircuitscopeError('bad_program', 'The plan gave no candidates.');
    const chosen = temperature === 0 ? 0 : draw(top.values.data, temperature, rng.float());
    const next = top.indices.data[chosen] ?? 0;
    if (stop?.has(next)) return;
    yield next;
    text.push(next);
  }
}

/** One example, padded at the right to a power of two. */
function padded(ids: readonly number[], context: number) {
  const length = Math.min(context, 2 ** Math.ceil(Math.log2(Math.max(ids.length, 8))));
  const padding = new Array<number>(length - ids.length).fill(0);
  return { tokens: [[...ids, ...padding]], mask: [[...ids.map(() => 1), ...padding]] };
}

/**
 * The place of the candidate that `uniform` in [0, 1) falls on. Runtimes differ in the last bits of exp, so weights are
 * rounded to float32 before they are summed.
 */
function draw(logits: ArrayLike<number>, temperature: number, uniform: number): number {
  const largest = logits[0] ?? 0; // candidates come in descending order
  const weights = Array.from(logits, (logit) => Math.fround(Math.exp((logit - largest) / temperature)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let left = uniform * total;
  for (const [place, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return place;
  }
  return 0; // rounding alone leads here
}

function checkOptions(
  { context }: Pick<DecoderSpec, 'context'>,
  ids: readonly number[],
  options: GenerateOptions,
): void {
  const { steps, temperature = 0, topK = 1 } = options;
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

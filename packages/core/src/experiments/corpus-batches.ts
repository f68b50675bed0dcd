import { CircuitscopeError, type CorpusPlace } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import type { Prompt } from '../plan/index.ts';
import type { Corpus } from '../tokens/index.ts';

// A corpus cut into rows and padded batches. A row's bits do not depend on its batch, so what is made of rows does not depend
// on where an earlier attempt ended.

export interface CorpusRow {
  readonly tokens: readonly number[];
  readonly document: number;
  /** Of its first token, in the document. */
  readonly from: number;
  readonly next: CorpusPlace;
  readonly share: number;
}

export interface CorpusBatch {
  readonly rows: readonly CorpusRow[];
  /** The length of every row of the prompt, padding included. */
  readonly longest: number;
  readonly prompt: Prompt;
}

export interface CorpusBatchesOptions {
  /** Where to begin. */
  readonly start: CorpusPlace;
  /** Tokens that were read before that, of at most `limit`. */
  readonly done: number;
  readonly limit: number;
  /** Documents are cut into rows of at most this many tokens. */
  readonly length: number;
  /** How many tokens, padding included, are run together. */
  readonly batchTokens: number;
}

export async function* corpusBatches(
  corpus: Corpus,
  { start, done, limit, length, batchTokens }: CorpusBatchesOptions,
): AsyncGenerator<CorpusBatch> {
  let waiting: CorpusRow[] = [];
  let planned = done;
  for await (const row of rowsOf(corpus, start, length)) {
    if (planned >= limit) break;
    const room = limit - planned;
    const tokens = row.tokens.length > room ? row.tokens.slice(0, room) : row.tokens;
    const next = tokens === row.tokens ? row.next : { document: row.document, token: row.from + tokens.length };
    planned += tokens.length;
    const longest = Math.max(tokens.length, ...waiting.map((one) => one.tokens.length));
    if (waiting.length > 0 && longest * (waiting.length + 1) > batchTokens) {
      yield batchOf(waiting);
      waiting = [];
    }
    waiting.push({ ...row, tokens, next });
  }
  if (waiting.length > 0) yield batchOf(waiting);
}

function batchOf(rows: readonly CorpusRow[]): CorpusBatch {
  const longest = Math.max(...rows.map(({ tokens }) => tokens.length));
  const padded = (value: (at: number) => number): number[] => Array.from({ length: longest }, (_, at) => value(at));
  const prompt = {
    tokens: rows.map(({ tokens }) => padded((at) => tokens[at] ?? 0)),
    mask: rows.map(({ tokens }) => padded((at) => (at < tokens.length ? 1 : 0))),
  };
  return { rows, longest, prompt };
}

async function* rowsOf(corpus: Corpus, start: CorpusPlace, length: number): AsyncGenerator<CorpusRow> {
  for await (const { index, share, tokens: read } of corpus.documents(start.document)) {
    const tokens = read();
    for (let from = index === start.document ? start.token : 0; from < tokens.length; from += length) {
      const end = from + length;
      const next = end < tokens.length ? { document: index, token: end } : { document: index + 1, token: 0 };
      yield { tokens: tokens.slice(from, end), document: index, from, next, share };
    }
  }
}

/** @throws CircuitscopeError `too_long` */
export function requireContext(model: Model, length: number): void {
  if (length <= model.spec.context) return;
  throw new CircuitscopeError(
    'too_long',
    `Rows of ${length} tokens are longer than the context of ${model.spec.context}.`,
    { at: 'length', expected: `at most ${model.spec.context}`, got: String(length) },
  );
}

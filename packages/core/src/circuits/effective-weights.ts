import { CircuitscopeError, edgeLabel, type UnitRef } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import type { Edge } from '../graph/index.ts';
import { Rng } from '../tensor/index.ts';
import {
  embedding,
  type Matrix,
  multiply,
  positions,
  readingMatrix,
  rowsOf,
  transposed,
  unembedding,
  writingMatrix,
} from './head-matrices.ts';
import { type HeadReader, queryHeads } from './query-heads.ts';

/** A signed effective weight f2ᵀ W f1, averaged over matched pairs of named directions, minus that over unmatched ones. */
export interface EffectiveWeight {
  readonly kind: 'effective_ov' | 'effective_qk' | 'virtual';
  /** Which directions: f1 as the writer gives it, f2 as the reader takes it. */
  readonly from: string;
  readonly to: string;
  /** Mean over matched pairs minus mean over unmatched pairs. */
  readonly value: number;
  readonly matched: number;
  readonly unmatched: number;
}

/** More tokens than this are sampled: the mean over pairs does not need all of a large vocabulary. */
const SAMPLED_TOKENS = 256;
/** Later positions are left out, as the number of pairs grows with the square. */
const FIRST_POSITIONS = 256;

/**
 * The effective weights of an edge between directions that have names: a token's embedding E_t, what a head writes for it
 * (E_t W_OV), a position's embedding, a token's logit. QK paths are in units of the attention score (pre-activation),
 * OV paths in logits per unit of attention. Static: rotary positions and the scales of norms are left out; biases add the
 * same to matched and unmatched pairs, so `value` does not need them. Only paths through heads are products of weights:
 * an edge from or into an MLP has no effective weight here (its exact effect stands), and the list is empty.
 *
 * @param partners what the other side of a QK path reads: the writers into the keys, for an edge into a query, and the
 * other way round. A score is a form of two arguments, so an edge into one side has a weight with each writer of the other.
 * @param queryHead which of the query heads that share the reader; needed for k and v of grouped heads alone
 * @throws CircuitscopeError `shared_head` if several query heads share the reader and none is named
 */
export function effectiveWeights(
  model: Model,
  { from, to }: Edge,
  partners: readonly UnitRef[] = [{ kind: 'input' }],
  queryHead?: number,
): EffectiveWeight[] {
  const tokens = sampledTokens(model);
  const written = outputsOf(model, from, tokens);
  if (!written) return [];
  if (to.kind === 'logits') return [virtualWeight(model, written, tokens, from)];
  if (to.kind !== 'head') return [];
  const reader: HeadReader = { ...to, head: queryHead ?? onlyQueryHead(model, { from, to }, to) };
  if (to.port === 'v') return [ovWeight(model, written, tokens, from, reader)];
  const weights = partners.flatMap((partner) => {
    const other = outputsOf(model, partner, tokens);
    return other ? [qkWeight(model, { written, other }, from, partner, reader)] : [];
  });
  const table = positions(model);
  if (from.kind === 'input' && table && table.rows > 1) weights.push(positionWeight(model, table, reader));
  return weights;
}

function onlyQueryHead({ spec }: Model, edge: Edge, to: HeadReader): number {
  const [head, ...more] = queryHeads(to, spec);
  if (head !== undefined && more.length === 0) return head;
  const shared = queryHeads(to, spec)
    .map((one) => `${to.layer}.${one}`)
    .join(', ');
  throw new CircuitscopeError(
    'shared_head',
    `${edgeLabel(edge)} is read by ${shared}, and its effective weight differs between them; say which.`,
    { at: edgeLabel(edge), expected: shared },
  );
}

/** What a unit writes into the stream for each token [token, model]: the embedding, or the head's OV circuit on it. */
function outputsOf(model: Model, unit: UnitRef, tokens: readonly number[]): Matrix | null {
  const embedded = rowsOf(embedding(model), tokens);
  if (unit.kind === 'input') return embedded;
  if (unit.kind !== 'head') return null;
  return multiply(
    multiply(embedded, readingMatrix(model, unit.layer, unit.head, 'v')),
    writingMatrix(model, unit.layer, unit.head),
  );
}

function virtualWeight(model: Model, written: Matrix, tokens: readonly number[], from: UnitRef): EffectiveWeight {
  const logits = multiply(written, unembedding(model, tokens));
  return {
    kind: from.kind === 'head' ? 'effective_ov' : 'virtual',
    from: directionName(from),
    to: 'logit t',
    ...matchedMinusUnmatched(logits),
  };
}

function ovWeight(
  model: Model,
  written: Matrix,
  tokens: readonly number[],
  from: UnitRef,
  to: HeadReader,
): EffectiveWeight {
  const carried = multiply(
    multiply(written, readingMatrix(model, to.layer, to.head, 'v')),
    writingMatrix(model, to.layer, to.head),
  );
  const logits = multiply(carried, unembedding(model, tokens));
  return {
    kind: 'effective_ov',
    from: directionName(from),
    to: `logit t through ${to.layer}.${to.head}`,
    ...matchedMinusUnmatched(logits),
  };
}

function qkWeight(
  model: Model,
  { written, other }: { readonly written: Matrix; readonly other: Matrix },
  from: UnitRef,
  partner: UnitRef,
  to: HeadReader,
): EffectiveWeight {
  const [queries, keys] = to.port === 'q' ? [written, other] : [other, written];
  const scores = scoresOf(model, to, queries, keys);
  const side = to.port === 'q' ? 'key' : 'query';
  return {
    kind: 'effective_qk',
    from: directionName(from),
    to: `${side}: ${directionName(partner)}`,
    ...matchedMinusUnmatched(scores),
  };
}

/** Positions: does the query of p score the key of p − 1 higher than other earlier keys? */
function positionWeight(model: Model, all: Matrix, to: HeadReader): EffectiveWeight {
  const first = Array.from({ length: Math.min(all.rows, FIRST_POSITIONS) }, (_, position) => position);
  const table = rowsOf(all, first);
  const scores = scoresOf(model, to, table, table);
  let [matched, unmatched, pairs] = [0, 0, 0];
  for (let q = 1; q < scores.rows; q++) {
    matched += (scores.data[q * scores.columns + q - 1] ?? 0) / (scores.rows - 1);
    for (let k = 0; k <= q; k++) {
      if (k === q - 1) continue;
      unmatched += scores.data[q * scores.columns + k] ?? 0;
      pairs++;
    }
  }
  unmatched /= pairs;
  const [query, key] = ['position p', 'position p − 1'] as const;
  const [from, other] = to.port === 'q' ? [query, key] : [key, query];
  return { kind: 'effective_qk', from, to: other, value: matched - unmatched, matched, unmatched };
}

function scoresOf(model: Model, to: HeadReader, queries: Matrix, keys: Matrix): Matrix {
  const q = multiply(queries, readingMatrix(model, to.layer, to.head, 'q'));
  const k = multiply(keys, readingMatrix(model, to.layer, to.head, 'k'));
  const scores = multiply(q, transposed(k));
  const scale = model.spec.scoreScale(to.layer);
  return { ...scores, data: scores.data.map((value) => value * scale) };
}

function matchedMinusUnmatched(square: Matrix): Pick<EffectiveWeight, 'value' | 'matched' | 'unmatched'> {
  const n = square.rows;
  let [diagonal, total] = [0, 0];
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const value = square.data[i * n + j] ?? 0;
      total += value;
      if (i === j) diagonal += value;
    }
  const matched = diagonal / n;
  const unmatched = (total - diagonal) / (n * (n - 1));
  return { value: matched - unmatched, matched, unmatched };
}

function directionName(unit: UnitRef): string {
  return unit.kind === 'head' ? `token t as ${unit.layer}.${unit.head} writes it` : 'token t';
}

function sampledTokens(model: Model): number[] {
  const all = Array.from({ length: model.spec.vocab }, (_, id) => id);
  if (all.length <= SAMPLED_TOKENS) return all;
  return new Rng(0, 'circuits/effective-weights/tokens')
    .shuffle(all)
    .slice(0, SAMPLED_TOKENS)
    .sort((a, b) => a - b);
}

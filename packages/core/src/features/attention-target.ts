import { CircuitscopeError } from '@circuitscope/schema';
import type { Floats } from '../tensor/index.ts';

/** Which keys a kind of head would attend to. */
export type HeadKind = 'previousToken' | 'duplicateToken' | 'induction';

export const headKinds: readonly HeadKind[] = ['previousToken', 'duplicateToken', 'induction'];

/**
 * 1 where a head of that kind attends, [query × key] row-major, for any prompt:
 * previous token: key = query − 1; duplicate token: an earlier copy of the query's token; induction: the key after an
 * earlier copy of the query's token (Olsson et al. 2022, "prefix matching").
 */
export function attentionTarget(kind: HeadKind, tokens: readonly number[]): Uint8Array {
  const length = tokens.length;
  const target = new Uint8Array(length * length);
  for (let query = 0; query < length; query++) {
    for (let key = 0; key <= query; key++) {
      const hit =
        kind === 'previousToken'
          ? key === query - 1
          : kind === 'duplicateToken'
            ? key < query && tokens[key] === tokens[query]
            : key > 0 && tokens[key - 1] === tokens[query];
      if (hit) target[query * length + key] = 1;
    }
  }
  return target;
}

export interface AttentionScore {
  /** Mean over the counted queries of the attention that falls on target keys. */
  readonly score: number;
  /** The same for attention that is spread evenly over the keys up to the query. */
  readonly chance: number;
  /** Queries counted: those of the range that have a target at all. */
  readonly queries: number;
}

/**
 * How much of a causal pattern [query × key] falls on a target.
 * @param from the first query that counts; queries without a target key count nowhere
 * @throws CircuitscopeError `no_target` if no query has a target, `shape_mismatch`
 */
export function scoreAttention(pattern: Floats, target: Uint8Array, from = 0): AttentionScore {
  const length = Math.sqrt(target.length);
  if (pattern.length !== target.length || !Number.isInteger(length)) {
    throw new CircuitscopeError(
      'shape_mismatch',
      `A pattern of ${pattern.length} entries does not fit a target of ${target.length}; both are query × key.`,
      {
        expected: String(target.length),
        got: String(pattern.length),
      },
    );
  }
  let score = 0;
  let chance = 0;
  let queries = 0;
  for (let query = from; query < length; query++) {
    let here = 0;
    let keys = 0;
    for (let key = 0; key <= query; key++) {
      if (target[query * length + key] === 0) continue;
      keys += 1;
      here += pattern[query * length + key] as number;
    }
    if (keys === 0) continue;
    score += here;
    chance += keys / (query + 1);
    queries += 1;
  }
  if (queries === 0)
    throw new CircuitscopeError(
      'no_target',
      'No query of this prompt has a key of that kind to attend to; use a prompt with repeated tokens.',
    );
  return { score: score / queries, chance: chance / queries, queries };
}

import { CircuitscopeError } from '@circuitscope/schema';
import type { Floats } from '../tensor/index.ts';

export interface DetectOptions {
  /** `mul`: share of the attention that falls on the target. `abs`: 1 − mean over queries of Σ|pattern − target|. */
  readonly measure: 'mul' | 'abs';
  /** Leaves out the first key. */
  readonly excludeBos?: boolean;
  /** Leaves out each query's own key. */
  readonly excludeCurrentToken?: boolean;
}

/**
 * TransformerLens's two head scores of one pattern [query × key], for tables that are compared with its own. The pattern
 * is only read, and the options hold whatever the prompts; nothing is rounded to three places. `abs` goes down to −1.
 * Over several prompts, take the mean.
 */
export function detectHead(
  pattern: Floats,
  target: Uint8Array,
  { measure, excludeBos = false, excludeCurrentToken = false }: DetectOptions,
): number {
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
  let total = 0;
  let onTarget = 0;
  let apart = 0;
  for (let query = 0; query < length; query++) {
    for (let key = 0; key < length; key++) {
      if ((excludeBos && key === 0) || (excludeCurrentToken && key === query)) continue;
      const attention = pattern[query * length + key] as number;
      const wanted = target[query * length + key] as number;
      total += attention;
      onTarget += attention * wanted;
      apart += Math.abs(attention - wanted);
    }
  }
  if (measure === 'abs') return 1 - apart / length;
  if (total > 0) return onTarget / total;
  throw new CircuitscopeError(
    'no_attention',
    'All of this head’s attention lies on keys that are left out, so no share of it is defined.',
  );
}

import { CircuitscopeError } from '@circuitscope/schema';
import { type Floats, Rng } from '../tensor/index.ts';

/** What one step reads. */
export interface Batch {
  /** Examples. */
  readonly batch: number;
  /** Positions of each; 1 where the model has none. */
  readonly pos: number;
  /** By the names of the loss graph's inputs. */
  readonly inputs: { readonly [name: string]: Floats | Int32Array };
  /**
   * The factor of each entry of the loss node, shaped as it: 1/count at counted entries makes the mean. What is minimised
   * and logged is Σ factor·loss.
   */
  readonly lossWeights: Float64Array;
}

/** Random numbers of one batch: a stream of its own for each step, so that no batch depends on an earlier one. */
export function batchRng(seed: number, step: number): Rng {
  return new Rng(seed, `training.batch/${step}`);
}

/** −100: the target of a position whose loss is not counted. */
export const IGNORED = -100;

/**
 * A batch for a model of `tokens`, `positions` and `mask`, every token real, and targets for `nextTokenLoss`: the mean is
 * over the targets that are not `IGNORED`.
 * @param targets [example][pos]; the following token at every position but the last if left out
 */
export function tokenBatch(
  tokens: readonly (readonly number[])[],
  targets: readonly (readonly number[])[] = tokens.map((row) => [...row.slice(1), IGNORED]),
): Batch {
  const batch = tokens.length;
  const pos = tokens[0]?.length ?? 0;
  const flat = (rows: readonly (readonly number[])[], what: string): Int32Array => {
    if (rows.length === batch && rows.every((row) => row.length === pos)) return Int32Array.from(rows.flat());
    throw new CircuitscopeError('bad_batch', `The ${what} of a batch must all be as long as its first row of tokens.`, {
      expected: `${batch} rows of ${pos}`,
      got: `${rows.length} rows of ${[...new Set(rows.map((row) => row.length))].join(', ')}`,
    });
  };
  const counted = flat(targets, 'targets');
  return {
    batch,
    pos,
    inputs: {
      tokens: flat(tokens, 'tokens'),
      positions: Int32Array.from({ length: batch * pos }, (_, at) => at % pos),
      mask: new Int32Array(batch * pos).fill(1),
      targets: counted,
    },
    lossWeights: meanWeights(counted),
  };
}

/** 1/count at every target that counts, 0 at `IGNORED`. @throws CircuitscopeError `bad_batch` where none counts */
export function meanWeights(targets: Int32Array): Float64Array {
  const count = targets.reduce((sum, target) => sum + (target === IGNORED ? 0 : 1), 0);
  if (count === 0) {
    throw new CircuitscopeError('bad_batch', 'No target of this batch is counted; give at least one that is not −100.');
  }
  return Float64Array.from(targets, (target) => (target === IGNORED ? 0 : 1 / count));
}

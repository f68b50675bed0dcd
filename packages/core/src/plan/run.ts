import { CircuitscopeError, type Readout, type Scope, type Site } from '@circuitscope/schema';
import type { Floats, Tensor } from '../tensor/index.ts';

/** What a readout gave. Shapes start with [variant] when the plan has a sweep, else with [batch]. */
export type ReadoutResult =
  | { readonly kind: 'capture'; readonly site: Site; readonly tensor: Tensor }
  | { readonly kind: 'logitDiff' | 'loss' | 'project' | 'entropy' | 'logProb' | 'rank' | 'kl'; readonly tensor: Tensor }
  /** [target, batch, …site] or [target, …weight]; with a sweep [variant, target, …]. */
  | { readonly kind: 'gradient'; readonly tensor: Tensor }
  | LatentRows
  | {
      readonly kind: 'topK';
      readonly values: Tensor;
      readonly indices: { readonly shape: readonly number[]; readonly data: Int32Array };
    };

/**
 * Active latents of each row: row r is `rowStart[r]` … `rowStart[r + 1]` of `latents` and `values`. Rows are [batch, pos], with a
 * sweep [variant, batch, pos]. A row of topK is ordered by value descending, then by index; the others by index.
 */
export interface LatentRows {
  readonly kind: 'latents';
  readonly shape: readonly number[];
  readonly rowStart: Int32Array;
  readonly latents: Int32Array;
  readonly values: Floats;
}

export interface Run {
  /** Number of variants of the sweep; null for a plan without sweep. */
  readonly variants: number | null;
  readonly batch: number;
  readonly pos: number;
  readonly mask: readonly (readonly number[])[] | null;
  /** What the encoder of an encoder-decoder read; `pos` and `mask` are the decoder's. */
  readonly source?: { readonly pos: number; readonly mask: readonly (readonly number[])[] | null };
  readonly readouts: readonly Readout[];
  readonly results: readonly ReadoutResult[];
  /** Multiply-adds of the matrix products that were computed for it. */
  readonly multiplyAdds: number;
}

/**
 * A whole captured site; for other runs to patch from, and for analyses.
 * @param names the site's other names, under any of which it may have been captured
 */
export function captured(run: Run, site: Site, names: readonly Site[] = [site]): Tensor {
  const found = run.readouts.findIndex(
    (readout) => readout.kind === 'capture' && names.includes(readout.at.site) && isWhole(readout.at),
  );
  const result = run.results[found];
  if (result?.kind === 'capture') return result.tensor;
  throw new CircuitscopeError(
    'not_captured',
    `That run did not capture the whole of ${site}; add a capture readout for it.`,
    { at: site },
  );
}

function isWhole({ at, key, head, unit }: Scope): boolean {
  return !at && !key && !head && !unit;
}

/** The numbers of the readout at an index: one per variant and example, or whatever its shape says. */
export function readoutTensor(run: Run, index: number): Tensor {
  const result = run.results[index];
  if (!result)
    throw new CircuitscopeError('unknown_readout', `The plan has no readout ${index}.`, { at: String(index) });
  if (result.kind === 'latents')
    throw new CircuitscopeError('bad_readout', `Readout ${index} is of latents; read it with latentRows.`, {
      at: String(index),
    });
  return result.kind === 'topK' ? result.values : result.tensor;
}

/** The readout of latents at an index. */
export function latentRows(run: Run, index: number): LatentRows {
  const result = run.results[index];
  if (result?.kind === 'latents') return result;
  throw new CircuitscopeError('unknown_readout', `The plan reads no latents at ${index}.`, { at: String(index) });
}

export function rowOf(data: Floats, row: number, width: number): Floats {
  return data.subarray(row * width, (row + 1) * width);
}

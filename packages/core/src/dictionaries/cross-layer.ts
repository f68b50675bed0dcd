import type { Hash, Site } from '@circuitscope/schema';
import type { Weights } from '../plan/index.ts';

/**
 * A cross-layer transcoder: the latents of each layer read that layer's input and are summed into the MLP outputs of this
 * and all later layers. Weights by layer i: `W_enc_i` [d, F], `b_enc_i` [F], `b_dec_i` [d], `threshold_i` [F] where it jumps,
 * and `W_dec_i_l` [F, d] for each target layer l ≥ i.
 */
export interface CrossLayerTranscoder {
  readonly kind: 'crossLayer';
  readonly name: string;
  readonly layers: number;
  readonly width: number;
  /** How many latents each layer has. */
  readonly latents: readonly number[];
  /** p·[p > θ]; plain ReLU where there are no thresholds. */
  readonly jumps: boolean;
  /** What it reads and reconstructs in every layer, without the `blocks.i.` in front. */
  readonly reads: Site;
  readonly writes: Site;
  readonly weights: Weights;
  contentHash(): Promise<Hash>;
}

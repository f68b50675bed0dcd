import { memoryCheckpoint } from '../checkpoints/index.ts';
import { Rng, type Tensor } from '../tensor/index.ts';
import { type EncoderDecoderModel, encoderDecoderFromCheckpoint } from './load-encoder-decoder.ts';
import { t5 } from './t5.ts';

/** A random T5 of awkward sizes: two blocks of encoder and decoder, 3 heads of 5, every weight random. */
export function randomT5({ gated = false, tied = true, seed = 1 } = {}): EncoderDecoderModel {
  const config = {
    model_type: 't5',
    num_layers: 2,
    num_decoder_layers: 2,
    num_heads: 3,
    d_model: 14,
    d_kv: 5,
    d_ff: 11,
    vocab_size: 29,
    feed_forward_proj: gated ? 'gated-gelu' : 'relu',
    relative_attention_num_buckets: 6,
    relative_attention_max_distance: 7,
    tie_word_embeddings: tied,
  };
  const rng = new Rng(seed, 'random-t5');
  const tensors = new Map<string, Tensor>();
  const empty = memoryCheckpoint('random-t5', config, tensors);
  for (const { tensor, stored } of t5.sources(empty, t5.spec(empty)).values()) {
    const length = stored.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length }, () => (stored.length === 1 ? 1 : 0) + rng.normal() * 0.4);
    if (!tensors.has(tensor)) tensors.set(tensor, { shape: stored, data });
  }
  return encoderDecoderFromCheckpoint(memoryCheckpoint('random-t5', config, tensors), 'random-t5');
}

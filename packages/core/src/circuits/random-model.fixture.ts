import { decoderFromCheckpoint, engineFor, type Model } from '../architectures/index.ts';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import { type Engine, referenceExecutor } from '../plan/index.ts';
import { Rng, type Tensor } from '../tensor/index.ts';
import { type TaskData, taskData } from './task-data.ts';

// For tests alone: small random models of each kind, so that definitions can be checked against brute force.

export interface RandomModel {
  readonly model: Model;
  readonly engine: Engine;
}

const VOCAB = 11;
const CONTEXT = 12;

/** Two layers of two heads of 3 on a stream of 12, with biases; `norm` null, layer or RMS. */
export function randomAttentionOnly(norm: 'LN' | 'RMS' | null, seed = 1): RandomModel {
  const rng = new Rng(seed, 'fixture/attention-only');
  const [heads, width, headWidth] = [2, 12, 3];
  const tensors = new Map<string, Tensor>();
  const put = (name: string, ...shape: number[]): void => {
    const size = shape.reduce((a, b) => a * b, 1);
    tensors.set(name, { shape, data: Float64Array.from({ length: size }, () => Math.fround(0.6 * rng.normal())) });
  };
  const putNorm = (at: string): void => {
    if (norm) put(`${at}.w`, width);
    if (norm === 'LN') put(`${at}.b`, width);
  };
  put('embed.W_E', VOCAB, width);
  put('pos_embed.W_pos', CONTEXT, width);
  for (const layer of [0, 1]) {
    const at = `blocks.${layer}`;
    for (const port of ['Q', 'K', 'V']) {
      put(`${at}.attn.W_${port}`, heads, width, headWidth);
      put(`${at}.attn.b_${port}`, heads, headWidth);
    }
    put(`${at}.attn.W_O`, heads, headWidth, width);
    put(`${at}.attn.b_O`, width);
    putNorm(`${at}.ln1`);
  }
  putNorm('ln_final');
  put('unembed.W_U', width, VOCAB);
  const config = {
    model_type: 'attention_only',
    n_layers: 2,
    n_heads: heads,
    d_model: width,
    d_head: headWidth,
    d_vocab: VOCAB,
    n_ctx: CONTEXT,
    normalization_type: norm,
  };
  return open(decoderFromCheckpoint(memoryCheckpoint('random', config, tensors), 'random'));
}

/** A Llama of two layers with MLPs, whose four query heads share two key/value heads. */
export function randomGroupedLlama(seed = 1): RandomModel {
  const rng = new Rng(seed, 'fixture/llama');
  const [width, headWidth, heads, kvHeads, inner] = [16, 4, 4, 2, 20];
  const tensors = new Map<string, Tensor>();
  const put = (name: string, ...shape: number[]): void => {
    const size = shape.reduce((a, b) => a * b, 1);
    tensors.set(name, { shape, data: Float64Array.from({ length: size }, () => Math.fround(0.5 * rng.normal())) });
  };
  put('model.embed_tokens.weight', VOCAB, width);
  put('model.norm.weight', width);
  put('lm_head.weight', VOCAB, width);
  for (const layer of [0, 1]) {
    const at = `model.layers.${layer}`;
    put(`${at}.input_layernorm.weight`, width);
    put(`${at}.post_attention_layernorm.weight`, width);
    put(`${at}.self_attn.q_proj.weight`, heads * headWidth, width);
    put(`${at}.self_attn.k_proj.weight`, kvHeads * headWidth, width);
    put(`${at}.self_attn.v_proj.weight`, kvHeads * headWidth, width);
    put(`${at}.self_attn.o_proj.weight`, width, heads * headWidth);
    put(`${at}.mlp.gate_proj.weight`, inner, width);
    put(`${at}.mlp.up_proj.weight`, inner, width);
    put(`${at}.mlp.down_proj.weight`, width, inner);
  }
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: width,
    intermediate_size: inner,
    num_hidden_layers: 2,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headWidth,
    hidden_act: 'silu',
    max_position_embeddings: CONTEXT,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
    vocab_size: VOCAB,
  };
  return open(decoderFromCheckpoint(memoryCheckpoint('random-llama', config, tensors), 'random-llama'));
}

function open(model: Model): RandomModel {
  return { model, engine: engineFor(model, referenceExecutor({ precision: 'f64' })) };
}

/** Random prompts of equal length with random answers. */
export function randomData(examples = 6, seed = 1): TaskData {
  const rng = new Rng(seed, 'fixture/data');
  const prompt = (): number[] => Array.from({ length: 6 }, () => rng.below(VOCAB));
  return taskData({
    kind: 'task',
    version: 1,
    name: 'random',
    metric: { kind: 'logit_diff' },
    examples: Array.from({ length: examples }, () => {
      const answer = rng.below(VOCAB);
      return { clean: prompt(), corrupt: prompt(), answer, wrongAnswer: (answer + 1 + rng.below(VOCAB - 1)) % VOCAB };
    }),
  });
}

import type { Checkpoint } from '../checkpoints/index.ts';
import type { Activation } from './add-mlp.ts';
import { bookkeeping, ConfigReader, modelType, transposed, vector, type WeightSource } from './architecture.ts';
import type { EncoderSpec } from './encoder.ts';

// BERT and DistilBERT with their heads for masked tokens, as transformers stores them. Devlin et al. 2019; Sanh et al. 2019.

/** An encoder: does it claim a checkpoint, what is it made of, where do its weights lie. */
export interface EncoderArchitecture {
  readonly name: string;
  readonly claims: (checkpoint: Checkpoint) => boolean;
  readonly spec: (checkpoint: Checkpoint) => EncoderSpec;
  readonly sources: (checkpoint: Checkpoint, spec: EncoderSpec) => ReadonlyMap<string, WeightSource>;
  readonly ignorable: RegExp;
}

const activations: { readonly [word: string]: Activation } = {
  gelu: 'gelu_erf',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
};

export const bert: EncoderArchitecture = {
  name: 'bert',
  claims: (checkpoint) => modelType(checkpoint) === 'bert',
  // The pooled output and the head for the next sentence stand beside what is computed here.
  ignorable:
    /^bert\.embeddings\.position_ids$|^bert\.pooler\.|^cls\.seq_relationship\.|^cls\.predictions\.decoder\.bias$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('hidden_size', 768);
    const heads = config.size('num_attention_heads', 12);
    const spec: EncoderSpec = {
      kind: 'encoder',
      layers: config.layers('num_hidden_layers', 12),
      heads,
      width,
      headWidth: width / heads,
      inner: config.size('intermediate_size', 3072),
      vocab: config.size('vocab_size', 30522),
      context: config.size('max_position_embeddings', 512),
      eps: config.number('layer_norm_eps', 1e-12),
      activation: config.oneOf('hidden_act', activations, 'gelu'),
      tokenTypes: config.size('type_vocab_size', 2),
      tied: config.flag('tie_word_embeddings', true),
    };
    config.only('position_embedding_type', ['absolute']);
    config.only('is_decoder', [false]);
    config.only('add_cross_attention', [false]);
    config.finish([
      ...bookkeeping,
      'attention_probs_dropout_prob',
      'hidden_dropout_prob',
      'classifier_dropout',
      'pooler_fc_size',
      'pooler_num_attention_heads',
      'pooler_num_fc_layers',
      'pooler_size_per_head',
      'pooler_type',
      'directionality',
    ]);
    return spec;
  },
  sources: (checkpoint, spec) => {
    // The first checkpoints call gain and shift of a norm gamma and beta.
    const early = checkpoint.tensors.has('bert.embeddings.LayerNorm.gamma');
    const names = new Names(spec, early ? ['gamma', 'beta'] : ['weight', 'bias']);
    const embeddings = 'bert.embeddings';
    names.table('pos_embed.W_pos', `${embeddings}.position_embeddings.weight`, spec.context);
    names.table('token_type_embed.W_token_type', `${embeddings}.token_type_embeddings.weight`, spec.tokenTypes);
    names.norm('embed.ln', `${embeddings}.LayerNorm`);
    for (let layer = 0; layer < spec.layers; layer++) {
      const from = `bert.encoder.layer.${layer}`;
      names.block(layer, {
        q: `${from}.attention.self.query`,
        k: `${from}.attention.self.key`,
        v: `${from}.attention.self.value`,
        out: `${from}.attention.output.dense`,
        ln1: `${from}.attention.output.LayerNorm`,
        mlpIn: `${from}.intermediate.dense`,
        mlpOut: `${from}.output.dense`,
        ln2: `${from}.output.LayerNorm`,
      });
    }
    const head = 'cls.predictions';
    names.linear('mlm_head.W', 'mlm_head.b', `${head}.transform.dense`, spec.width, spec.width);
    names.norm('mlm_head.ln', `${head}.transform.LayerNorm`);
    const words = `${embeddings}.word_embeddings.weight`;
    return names.words(words, `${head}.decoder.weight`, `${head}.bias`);
  },
};

export const distilbert: EncoderArchitecture = {
  name: 'distilbert',
  claims: (checkpoint) => modelType(checkpoint) === 'distilbert',
  ignorable: /^distilbert\.embeddings\.position_ids$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const width = config.size('dim', 768);
    const heads = config.size('n_heads', 12);
    const spec: EncoderSpec = {
      kind: 'encoder',
      layers: config.layers('n_layers', 6),
      heads,
      width,
      headWidth: width / heads,
      inner: config.size('hidden_dim', 3072),
      vocab: config.size('vocab_size', 30522),
      context: config.size('max_position_embeddings', 512),
      eps: 1e-12,
      activation: config.oneOf('activation', activations, 'gelu'),
      tokenTypes: 0,
      tied: config.flag('tie_word_embeddings', true),
    };
    // Sinusoidal positions are stored as a table like learned ones, so the setting says how it was made, not how it is read.
    config.finish([
      ...bookkeeping,
      'sinusoidal_pos_embds',
      'dropout',
      'qa_dropout',
      'seq_classif_dropout',
      'tie_weights_',
    ]);
    return spec;
  },
  sources: (_, spec) => {
    const names = new Names(spec, ['weight', 'bias']);
    const embeddings = 'distilbert.embeddings';
    names.table('pos_embed.W_pos', `${embeddings}.position_embeddings.weight`, spec.context);
    names.norm('embed.ln', `${embeddings}.LayerNorm`);
    for (let layer = 0; layer < spec.layers; layer++) {
      const from = `distilbert.transformer.layer.${layer}`;
      names.block(layer, {
        q: `${from}.attention.q_lin`,
        k: `${from}.attention.k_lin`,
        v: `${from}.attention.v_lin`,
        out: `${from}.attention.out_lin`,
        ln1: `${from}.sa_layer_norm`,
        mlpIn: `${from}.ffn.lin1`,
        mlpOut: `${from}.ffn.lin2`,
        ln2: `${from}.output_layer_norm`,
      });
    }
    names.linear('mlm_head.W', 'mlm_head.b', 'vocab_transform', spec.width, spec.width);
    names.norm('mlm_head.ln', 'vocab_layer_norm');
    return names.words(`${embeddings}.word_embeddings.weight`, 'vocab_projector.weight', 'vocab_projector.bias');
  },
};

/** Gathers where weights lie, module by module. */
class Names {
  readonly #spec: EncoderSpec;
  readonly #norm: readonly [gain: string, shift: string];
  readonly #sources = new Map<string, WeightSource>();

  constructor(spec: EncoderSpec, norm: readonly [gain: string, shift: string]) {
    this.#spec = spec;
    this.#norm = norm;
  }

  table(weight: string, tensor: string, rows: number): void {
    const { width } = this.#spec;
    const shape = [rows, width];
    this.#sources.set(weight, { tensor, stored: shape, offset: 0, shape, strides: [width, 1] });
  }

  linear(weight: string, bias: string, module: string, out: number, into: number): void {
    this.#sources.set(weight, transposed(`${module}.weight`, out, into));
    this.#sources.set(bias, vector(`${module}.bias`, out));
  }

  norm(at: string, module: string): void {
    this.#sources.set(`${at}.w`, vector(`${module}.${this.#norm[0]}`, this.#spec.width));
    this.#sources.set(`${at}.b`, vector(`${module}.${this.#norm[1]}`, this.#spec.width));
  }

  block(layer: number, modules: { readonly [part in BlockPart]: string }): void {
    const { width, inner } = this.#spec;
    const at = `blocks.${layer}`;
    for (const port of ['q', 'k', 'v'] as const) {
      const [W, b] = [`${at}.attn.W_${port.toUpperCase()}`, `${at}.attn.b_${port.toUpperCase()}`];
      this.linear(W, b, modules[port], width, width);
    }
    this.linear(`${at}.attn.W_O`, `${at}.attn.b_O`, modules.out, width, width);
    this.norm(`${at}.ln1`, modules.ln1);
    this.linear(`${at}.mlp.W_in`, `${at}.mlp.b_in`, modules.mlpIn, inner, width);
    this.linear(`${at}.mlp.W_out`, `${at}.mlp.b_out`, modules.mlpOut, width, inner);
    this.norm(`${at}.ln2`, modules.ln2);
  }

  /** The embedding, the unembedding that may be the same, and its bias; and with them, all. */
  words(tensor: string, untied: string, bias: string): ReadonlyMap<string, WeightSource> {
    const { vocab, width, tied } = this.#spec;
    this.table('embed.W_E', tensor, vocab);
    this.#sources.set('unembed.W_U', transposed(tied ? tensor : untied, vocab, width));
    this.#sources.set('unembed.b_U', vector(bias, vocab));
    return this.#sources;
  }
}

type BlockPart = 'q' | 'k' | 'v' | 'out' | 'ln1' | 'mlpIn' | 'mlpOut' | 'ln2';

import { CircuitscopeError } from '@circuitscope/schema';
import { type Checkpoint, isBlockDtype, type StoredTensor } from '../checkpoints/index.ts';
import { ConfigReader } from './architecture.ts';

// llama.cpp's names and settings in transformers' words, so that a GGUF file runs as the model that it was made from.

interface Family {
  readonly modelType: string;
  /** transformers' name of each setting under `ARCHITECTURE.`. */
  readonly settings: { readonly [setting: string]: string };
  /** transformers' name of each tensor; {} is the layer. */
  readonly tensors: { readonly [name: string]: string };
  /** Tensors that transformers stores [in, out] where llama.cpp has [out, in]. */
  readonly turned?: RegExp;
  /** Rotary positions over adjacent pairs: llama.cpp's converter moves the rows of q and k so. */
  readonly adjacent?: boolean;
  /** Whether positions are rotary, with settings of their own. */
  readonly rotary: boolean;
}

const llamaBlocks = {
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

const llamaLike = {
  settings: {
    context_length: 'max_position_embeddings',
    embedding_length: 'hidden_size',
    feed_forward_length: 'intermediate_size',
    block_count: 'num_hidden_layers',
    'attention.head_count': 'num_attention_heads',
    'attention.head_count_kv': 'num_key_value_heads',
    'attention.layer_norm_rms_epsilon': 'rms_norm_eps',
    'attention.key_length': 'head_dim',
    'rope.freq_base': 'rope_theta',
  },
  tensors: {
    token_embd: 'model.embed_tokens',
    output_norm: 'model.norm',
    output: 'lm_head',
    ...Object.fromEntries(Object.entries(llamaBlocks).map(([from, to]) => [`blk.{}.${from}`, `model.layers.{}.${to}`])),
  },
  rotary: true,
} as const;

const families: { readonly [architecture: string]: Family } = {
  gpt2: {
    modelType: 'gpt2',
    settings: {
      context_length: 'n_positions',
      embedding_length: 'n_embd',
      feed_forward_length: 'n_inner',
      block_count: 'n_layer',
      'attention.head_count': 'n_head',
      'attention.layer_norm_epsilon': 'layer_norm_epsilon',
    },
    tensors: {
      token_embd: 'transformer.wte',
      position_embd: 'transformer.wpe',
      output_norm: 'transformer.ln_f',
      output: 'lm_head',
      'blk.{}.attn_norm': 'transformer.h.{}.ln_1',
      'blk.{}.ffn_norm': 'transformer.h.{}.ln_2',
      'blk.{}.attn_qkv': 'transformer.h.{}.attn.c_attn',
      'blk.{}.attn_output': 'transformer.h.{}.attn.c_proj',
      'blk.{}.ffn_up': 'transformer.h.{}.mlp.c_fc',
      'blk.{}.ffn_down': 'transformer.h.{}.mlp.c_proj',
    },
    turned: /\.(attn\.c_|mlp\.c_)\w+\.weight$/,
    rotary: false,
  },
  llama: { modelType: 'llama', ...llamaLike, adjacent: true },
  qwen2: { modelType: 'qwen2', ...llamaLike },
};

/**
 * A GGUF checkpoint as transformers would have stored it: names, shapes and configuration. Matrices that lie the other
 * way round are seen turned, by strides; nothing is read.
 *
 * @throws CircuitscopeError `unsupported_architecture`, `unknown_config`, `unknown_tensor`, `unsupported_config`.
 */
export function huggingFaceOf(checkpoint: Checkpoint): Checkpoint {
  const metadata = new Map<string, unknown>(Object.entries(Object(checkpoint.config)));
  const architecture = String(metadata.get('general.architecture')).slice(0, 60);
  const family = Object.hasOwn(families, architecture) ? families[architecture] : undefined;
  if (!family) {
    const known = Object.keys(families).join(', ');
    const message = `${checkpoint.path} is a GGUF file of a model of type ${architecture}; supported are ${known}.`;
    throw new CircuitscopeError('unsupported_architecture', message, {
      at: checkpoint.path,
      expected: known,
      got: architecture,
    });
  }
  const tensors = new Map<string, StoredTensor>();
  for (const tensor of checkpoint.tensors.values()) {
    const name = renamed(tensor.name, family);
    if (name === undefined) {
      const message = `${checkpoint.path} holds the tensor ${tensor.name}, which this version of ${architecture} has no use for.`;
      throw new CircuitscopeError('unknown_tensor', message, { at: checkpoint.path, got: tensor.name });
    }
    tensors.set(name, family.turned?.test(name) ? turned({ ...tensor, name }) : { ...tensor, name });
  }
  const config = configOf(checkpoint, metadata, family, architecture, tensors);
  return { ...checkpoint, config, tensors };
}

function configOf(
  checkpoint: Checkpoint,
  metadata: ReadonlyMap<string, unknown>,
  family: Family,
  architecture: string,
  tensors: ReadonlyMap<string, StoredTensor>,
): object {
  const own = new Map(
    [...metadata].flatMap(([key, value]) =>
      key.startsWith(`${architecture}.`) ? [[key.slice(architecture.length + 1), value]] : [],
    ),
  );
  const reader = new ConfigReader(Object.fromEntries(own), `${checkpoint.path}: ${architecture}`);
  const config: { [key: string]: unknown } = { model_type: family.modelType };
  for (const [from, to] of Object.entries(family.settings)) {
    const value = reader.value(from);
    if (value !== undefined) config[to] = value;
  }
  const embedding = tensors.get(renamed('token_embd.weight', family) ?? '');
  config.vocab_size = embedding?.shape[0];
  reader.only('vocab_size', [embedding?.shape[0]]);
  config.tie_word_embeddings = !tensors.has('lm_head.weight');
  if (family.rotary) {
    const head = config.head_dim ?? Number(config.hidden_size) / Number(config.num_attention_heads);
    reader.only('rope.dimension_count', [head]);
    reader.only('attention.value_length', [head]);
    reader.only('rope.scaling.type', ['none']);
  }
  if (family.adjacent) config.rope_interleaved = true;
  reader.finish([]);
  return config;
}

function renamed(name: string, { tensors }: Family): string | undefined {
  const [, block, layer, stem, part] = /^(blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const key = block ? `blk.{}.${stem}` : stem;
  const found = key !== undefined && Object.hasOwn(tensors, key) ? tensors[key] : undefined;
  return found && `${found.replace('{}', layer ?? '')}.${part}`;
}

/** [out, in] as [in, out]. */
function turned(tensor: StoredTensor): StoredTensor {
  const [out, into] = tensor.shape;
  if (tensor.shape.length !== 2 || out === undefined || into === undefined) return tensor;
  return { ...tensor, shape: [into, out], ...(out === 1 || into === 1 ? {} : { strides: [1, into] }) };
}

/** Bytes in memory of the weights that a file stores in blocks, which run as float32: four for each entry. */
export function dequantisedBytes(checkpoint: Checkpoint): number {
  return [...checkpoint.tensors.values()]
    .filter(({ dtype }) => isBlockDtype(dtype))
    .reduce((sum, { shape }) => sum + 4 * shape.reduce((product, size) => product * size, 1), 0);
}

import { CircuitscopeError } from '@circuitscope/schema';
import type { Checkpoint } from '../checkpoints/index.ts';
import type { DecoderSpec } from './decoder-spec.ts';

/** Where a weight lies in a stored tensor, in elements: offset and strides of the [K, N] or [N] that the graph reads. */
export interface WeightSource {
  readonly tensor: string;
  /** Shape that the stored tensor must have. */
  readonly stored: readonly number[];
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  /** Set where the columns are `count` blocks of equal width with a stride per block, which two strides cannot say. */
  readonly headStride?: { readonly count: number; readonly stride: number };
  /** Added to every entry, in float64: gains that are stored as what they differ from 1 by. */
  readonly plus?: number;
}

/** One architecture: does it claim a checkpoint, what graph has it, where do its weights lie. */
export interface Architecture {
  readonly name: string;
  readonly claims: (checkpoint: Checkpoint) => boolean;
  readonly spec: (checkpoint: Checkpoint) => DecoderSpec;
  readonly sources: (checkpoint: Checkpoint, spec: DecoderSpec) => ReadonlyMap<string, WeightSource>;
  /** Stored tensors that the model does not need: buffers that checkpoints carry along. */
  readonly ignorable: RegExp;
}

/** A stored [out, in] matrix (PyTorch's Linear), read as [in, out]; `from` and `count` choose output rows. */
export function transposed(tensor: string, out: number, into: number, from = 0, count = out): WeightSource {
  return { tensor, stored: [out, into], offset: from * into, shape: [into, count], strides: [1, into] };
}

/** A stored [in, out] matrix; `from` and `count` choose columns. */
export function plain(tensor: string, into: number, out: number, from = 0, count = out): WeightSource {
  return { tensor, stored: [into, out], offset: from, shape: [into, count], strides: [out, 1] };
}

export function vector(tensor: string, length: number, from = 0, count = length): WeightSource {
  return { tensor, stored: [length], offset: from, shape: [count], strides: [1] };
}

export const MOST_LAYERS = 4096;

/** Reads a config field by field and, at the end, refuses fields that nobody asked for: a default never hides a setting. */
export class ConfigReader {
  readonly #fields: { readonly [key: string]: unknown };
  readonly #file: string;
  readonly #used = new Set<string>();

  constructor(config: unknown, file: string) {
    this.#file = file;
    if (typeof config !== 'object' || config === null || Array.isArray(config)) {
      throw this.wrong('.', 'an object', config);
    }
    this.#fields = { ...config };
  }

  static of(checkpoint: Checkpoint): ConfigReader {
    return new ConfigReader(checkpoint.config, `${checkpoint.path}/config.json`);
  }

  /** A setting that is an object with settings of its own, to be read and finished likewise. */
  part(key: string): ConfigReader | undefined {
    const value = this.value(key);
    return value === undefined ? undefined : new ConfigReader(value, `${this.#file}: ${key}`);
  }

  size(key: string, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 2 ** 31) return value;
    throw this.wrong(key, 'a whole number above 0', value);
  }

  /** A number of layers; refused before anything is made for each of them. */
  layers(key: string, fallback?: number): number {
    const count = this.size(key, fallback);
    if (count <= MOST_LAYERS) return count;
    throw this.wrong(key, `at most ${MOST_LAYERS}`, count);
  }

  number(key: string, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw this.wrong(key, 'a number', value);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    if (typeof value === 'boolean') return value;
    throw this.wrong(key, 'true or false', value);
  }

  oneOf<const T extends string>(key: string, words: { readonly [word: string]: T }, fallback?: string): T {
    const value = this.value(key) ?? fallback;
    const found = typeof value === 'string' && Object.hasOwn(words, value) ? words[value] : undefined;
    if (found !== undefined) return found;
    throw this.wrong(key, `one of ${Object.keys(words).join(', ')}`, value);
  }

  numbers(key: string): readonly number[] {
    const value = this.value(key);
    if (Array.isArray(value) && value.every((entry) => typeof entry === 'number' && Number.isFinite(entry)))
      return value;
    throw this.wrong(key, 'a list of numbers', value);
  }

  /** A setting that this version computes only one way. */
  only(key: string, allowed: readonly unknown[]): void {
    const value = this.value(key);
    if (value === undefined || allowed.includes(value)) return;
    throw this.wrong(key, allowed.map((entry) => JSON.stringify(entry)).join(' or '), value);
  }

  /** Whether the config says anything under this name, null included. */
  has(key: string): boolean {
    return Object.hasOwn(this.#fields, key);
  }

  value(key: string): unknown {
    this.#used.add(key);
    const value = this.#fields[key];
    return value === null ? undefined : value;
  }

  finish(ignorable: readonly string[]): void {
    const unknown = Object.keys(this.#fields).filter((key) => !this.#used.has(key) && !ignorable.includes(key));
    if (unknown.length === 0) return;
    throw new CircuitscopeError(
      'unknown_config',
      `${this.#file} has settings that are not understood: ${unknown.join(', ')}; running without them could give wrong numbers.`,
      {
        at: `${this.#file}: ${unknown[0]}`,
        got: unknown.join(', '),
      },
    );
  }

  /** The error of a setting with a wrong value. */
  wrong(key: string, expected: string, got: unknown): CircuitscopeError {
    const text = JSON.stringify(got)?.slice(0, 80) ?? 'nothing';
    return new CircuitscopeError('bad_config', `${this.#file}: ${key} must be ${expected}, not ${text}.`, {
      at: `${this.#file}: ${key}`,
      expected,
      got: text,
    });
  }
}

/** The `model_type` of a Hugging Face config. */
export function modelType(checkpoint: Checkpoint): unknown {
  const config = checkpoint.config;
  return typeof config === 'object' && config !== null && 'model_type' in config ? config.model_type : undefined;
}

/** What activations are called in Hugging Face configs. */
export const activations = {
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu: 'gelu_erf',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
} as const;

/** Settings of Hugging Face configs that touch training, generation or bookkeeping, never a forward pass. */
export const bookkeeping: readonly string[] = [
  'architectures',
  'model_type',
  'dtype',
  'torch_dtype',
  'transformers_version',
  '_name_or_path',
  'name_or_path',
  'use_cache',
  'initializer_range',
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
  'unk_token_id',
  'task_specific_params',
  'gradient_checkpointing',
  'output_past',
  'id2label',
  'label2id',
  'return_dict',
  'output_attentions',
  'output_hidden_states',
  'is_decoder',
  'is_encoder_decoder',
  'attn_implementation',
  '_attn_implementation_autoset',
  'attention_dropout',
  'pretraining_tp',
  'license',
  'auto_map',
  'language',
  'chunk_size_feed_forward',
  'is_llama_config',
  'transformers.js_config',
  '_num_labels',
  'num_labels',
  'max_length',
  'min_length',
  'do_sample',
  'early_stopping',
  'num_beams',
  'num_return_sequences',
  'temperature',
  'top_k',
  'top_p',
  'repetition_penalty',
  'length_penalty',
  'no_repeat_ngram_size',
  'bad_words_ids',
  'torchscript',
  'use_bfloat16',
  'finetuning_task',
];

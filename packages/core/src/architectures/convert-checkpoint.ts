import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { type Checkpoint, denseDtype, storedBytes, writeSafetensors } from '../checkpoints/index.ts';
import { huggingFaceOf } from './gguf-names.ts';
import { huggingFaceNameOfLlama2c } from './llama2c.ts';

/** Vocabularies that move along where they stand beside the weights. */
const vocabularies = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'vocab.json',
  'merges.txt',
  'vocab.txt',
  'tokens.json',
];

/**
 * Writes a checkpoint as a directory with config.json and model.safetensors: the weights as their authors run them, each
 * in its stored type (quantised ones as float32), under transformers' names where the format has names of its own. One
 * tensor's pieces are in memory at a time; the directory appears whole or not at all.
 *
 * @throws CircuitscopeError `file_exists`, `missing_config`, `unsupported_checkpoint`, and what the names' reader throws.
 */
export function convertCheckpoint(given: Checkpoint, directory: string): { readonly files: readonly string[] } {
  if (existsSync(directory)) {
    throw new CircuitscopeError('file_exists', `${directory} exists; choose another name.`, { at: directory });
  }
  const checkpoint = inHuggingFaceNames(given);
  const temporary = `${directory}.${randomBytes(6).toString('hex')}.tmp`;
  mkdirSync(temporary);
  try {
    const tensors = [...checkpoint.tensors.values()].map((stored) => ({
      name: stored.name,
      dtype: denseDtype(stored),
      shape: stored.shape,
      bytes: (take: (piece: Uint8Array) => void) => storedBytes(stored, take),
    }));
    writeSafetensors(join(temporary, 'model.safetensors'), tensors, { format: 'pt' });
    writeFileSync(join(temporary, 'config.json'), `${JSON.stringify(checkpoint.config, null, 2)}\n`);
    const files = ['config.json', 'model.safetensors'];
    const beside = existsSync(given.path) && statSync(given.path).isDirectory() ? given.path : dirname(given.path);
    for (const name of given.files.length > 0 ? vocabularies : []) {
      if (!existsSync(join(beside, name))) continue;
      copyFileSync(join(beside, name), join(temporary, name));
      files.push(name);
    }
    renameSync(temporary, directory);
    return { files };
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

function inHuggingFaceNames(given: Checkpoint): Checkpoint {
  if (given.kind === 'gguf') return huggingFaceOf(given);
  if (given.kind === 'llama2c') return fromLlama2c(given);
  if (given.kind === 'onnx' || given.kind === 'keras' || given.kind === 'tfjs') {
    throw new CircuitscopeError(
      'unsupported_checkpoint',
      `${given.path} is a graph of its own, which safetensors cannot hold; use it as it is.`,
      { at: given.path },
    );
  }
  if (given.config !== null) return given;
  throw new CircuitscopeError(
    'missing_config',
    `${given.path} does not say what model it is; put its config.json beside it.`,
    { at: given.path, expected: 'config.json or cfg.json' },
  );
}

/** llama2.c turns adjacent pairs and has eps 1e-5. */
function fromLlama2c(given: Checkpoint): Checkpoint {
  const header = new Map<string, unknown>(Object.entries(Object(given.config)));
  const config = {
    model_type: 'llama',
    hidden_size: header.get('dim'),
    intermediate_size: header.get('hidden_dim'),
    num_hidden_layers: header.get('n_layers'),
    num_attention_heads: header.get('n_heads'),
    num_key_value_heads: header.get('n_kv_heads'),
    vocab_size: header.get('vocab_size'),
    max_position_embeddings: header.get('seq_len'),
    tie_word_embeddings: header.get('tied'),
    rms_norm_eps: 1e-5,
    rope_interleaved: true,
    bos_token_id: 1,
  };
  const tensors = [...given.tensors.values()].flatMap((stored) => {
    const name = huggingFaceNameOfLlama2c(stored.name);
    return name === undefined ? [] : [[name, { ...stored, name }] as const];
  });
  return { ...given, config, tensors: new Map(tensors) };
}

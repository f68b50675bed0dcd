import { CircuitscopeError } from '@circuitscope/schema';
import { type Checkpoint, hashFiles, remembered, type StoredTensor } from './checkpoint.ts';
import { fileLength, readBytes } from './read-bytes.ts';

/** The header of a llama2.c file under the names that its C struct has; `tied` says that wcls is the embedding. */
export interface Llama2cConfig {
  readonly dim: number;
  readonly hidden_dim: number;
  readonly n_layers: number;
  readonly n_heads: number;
  readonly n_kv_heads: number;
  readonly vocab_size: number;
  readonly seq_len: number;
  readonly tied: boolean;
}

const HEADER_BYTES = 28;
const MAX_LAYERS = 4096;

/**
 * The first ("legacy") file of karpathy/llama2.c: seven int32 (a negative vocabulary says that the classifier is a matrix of
 * its own), then float32 tensors without names in a fixed order. Matrices are [out, in]. Per-layer tensors become
 * `wq.0`, `wq.1`, …; `freq_cis_real` and `freq_cis_imag` [seq_len, head/2] are rotary tables that its reader skips.
 *
 * @throws CircuitscopeError `bad_llama2c` unless header and file length agree to the byte.
 */
export function openLlama2c(path: string): Checkpoint & { readonly config: Llama2cConfig } {
  const fileBytes = fileLength(path);
  if (fileBytes < HEADER_BYTES)
    throw bad(path, 'it is too short', `at least ${HEADER_BYTES} bytes`, `${fileBytes} bytes`);
  const config = parseLlama2cHeader(readBytes(path, 0, HEADER_BYTES), path);
  const tensors = new Map<string, StoredTensor>();
  // Products of three int32 can pass 2⁵³ and lose digits, but then they are no file's length and are refused all the same.
  const expected = HEADER_BYTES + 4 * layout(config).reduce((sum, part) => sum + part.copies * entriesOf(part), 0);
  if (expected !== fileBytes) throw bad(path, 'header and length disagree', `${expected} bytes`, `${fileBytes} bytes`);
  let byteOffset = HEADER_BYTES;
  for (const part of layout(config)) {
    const byteLength = 4 * entriesOf(part);
    for (let layer = 0; layer < part.copies; layer++) {
      const name = part.perLayer ? `${part.name}.${layer}` : part.name;
      tensors.set(name, { name, dtype: 'f32', shape: part.shape, file: path, byteOffset, byteLength });
      byteOffset += byteLength;
    }
  }
  const files = [{ path, byteLength: fileBytes }];
  return { kind: 'llama2c', path, config, tensors, files, contentHash: remembered(() => hashFiles(files)) };
}

/** The 28 bytes of the header. @throws CircuitscopeError `bad_llama2c`. */
export function parseLlama2cHeader(bytes: Uint8Array, at: string): Llama2cConfig {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) === 0x616b3432) {
    throw bad(at, 'it is a later version of the format (magic ak42)', 'the legacy version', 'version 1 or 2');
  }
  const int = (i: number) => view.getInt32(4 * i, true);
  const config = {
    dim: int(0),
    hidden_dim: int(1),
    n_layers: int(2),
    n_heads: int(3),
    n_kv_heads: int(4),
    vocab_size: Math.abs(int(5)),
    seq_len: int(6),
    tied: int(5) > 0,
  };
  for (const [name, value] of Object.entries(config)) {
    if (value === true || value === false || value > 0) continue;
    throw bad(`${at}: ${name}`, 'a size in the header is not positive', 'at least 1', String(value));
  }
  const { dim, n_layers, n_heads, n_kv_heads } = config;
  if (dim % n_heads !== 0 || (dim / n_heads) % 2 !== 0) {
    throw bad(
      `${at}: dim`,
      'the heads do not divide the width evenly',
      'dim = n_heads × an even number',
      `${dim} / ${n_heads}`,
    );
  }
  if (n_heads % n_kv_heads !== 0) {
    throw bad(`${at}: n_kv_heads`, 'the key heads do not divide the heads', `a divisor of ${n_heads}`, `${n_kv_heads}`);
  }
  if (n_layers > MAX_LAYERS)
    throw bad(`${at}: n_layers`, 'there are too many layers', `at most ${MAX_LAYERS}`, `${n_layers}`);
  return config;
}

interface Part {
  readonly name: string;
  readonly copies: number;
  readonly perLayer: boolean;
  readonly shape: readonly number[];
}

/** The order of the file: all layers of one tensor, then all layers of the next. */
function layout(config: Llama2cConfig): readonly Part[] {
  const { dim, hidden_dim: hidden, n_layers, n_heads, n_kv_heads, vocab_size: vocab, seq_len } = config;
  const head = dim / n_heads;
  const kv = n_kv_heads * head;
  const once = (name: string, ...shape: number[]): Part => ({ name, copies: 1, perLayer: false, shape });
  const each = (name: string, ...shape: number[]): Part => ({ name, copies: n_layers, perLayer: true, shape });
  return [
    once('token_embedding_table', vocab, dim),
    each('rms_att_weight', dim),
    each('wq', dim, dim),
    each('wk', kv, dim),
    each('wv', kv, dim),
    each('wo', dim, dim),
    each('rms_ffn_weight', dim),
    each('w1', hidden, dim),
    each('w2', dim, hidden),
    each('w3', hidden, dim),
    once('rms_final_weight', dim),
    once('freq_cis_real', seq_len, head / 2),
    once('freq_cis_imag', seq_len, head / 2),
    ...(config.tied ? [] : [once('wcls', vocab, dim)]),
  ];
}

const entriesOf = (part: Part) => part.shape.reduce((product, size) => product * size, 1);

function bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError(
    'bad_llama2c',
    `${at} is not a llama2.c checkpoint: ${what}; check that it is the right file.`,
    {
      at,
      expected,
      got,
    },
  );
}

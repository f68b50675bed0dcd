import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import type { Checkpoint } from './checkpoint.ts';
import { isHdf5 } from './hdf5.ts';
import { openHuggingFace, openNpz, openPytorch, pickleRefused } from './hugging-face.ts';
import { openLlama2c } from './llama2c.ts';
import { openOnnx } from './onnx.ts';
import { openGguf } from './open-gguf.ts';
import { openKeras } from './open-keras.ts';
import { openTfjs } from './open-tfjs.ts';
import { isPytorch } from './pytorch.ts';
import { fileLength, readBytes, statOf } from './read-bytes.ts';

const supported =
  'a Hugging Face directory, a .safetensors file beside its config.json, a file of torch.save, an .npz, a .gguf, an .onnx, a Keras .h5 or .keras, the model.json of TensorFlow.js, or a llama2.c .bin';

export interface CheckpointOptions {
  /** Path of a configuration, where weights have none beside them or another one is meant; null to read none. */
  readonly config?: string | null | undefined;
}

/**
 * Opens a trained model: reads headers and checks them, leaves the weights on disk.
 *
 * @throws CircuitscopeError `missing_file`, `unsupported_checkpoint`, `pickle_refused`, `bad_option`, or what the format's reader
 *   throws.
 */
export function openCheckpoint(path: string, { config }: CheckpointOptions = {}): Checkpoint {
  const format = formatOf(path);
  if (format.kind === 'weights') return format.open(path, config);
  if (config == null) return format.open(path);
  throw new CircuitscopeError('bad_option', `${path} brings a configuration of its own; leave ${config} out.`, {
    at: path,
    got: config,
  });
}

/** A format that holds weights alone leaves the configuration to another file. */
type Format =
  | { readonly kind: 'weights'; readonly open: (path: string, config: string | null | undefined) => Checkpoint }
  | { readonly kind: 'whole'; readonly open: (path: string) => Checkpoint };

function formatOf(path: string): Format {
  const weights = (open: (path: string, config: string | null | undefined) => Checkpoint): Format => ({
    kind: 'weights',
    open,
  });
  const whole = (open: (path: string) => Checkpoint): Format => ({ kind: 'whole', open });
  if (statOf(path).isDirectory()) {
    const tfjs = join(path, 'model.json');
    if (existsSync(tfjs) && !existsSync(join(path, 'config.json'))) return whole(() => openTfjs(tfjs, path));
    return weights(openHuggingFace);
  }
  if (/-\d{5}-of-\d{5}\.(safetensors|bin)$/.test(path))
    throw refuse(path, 'is one shard of several; give its directory');
  if (path.endsWith('.safetensors')) return weights(openHuggingFace);
  if (path.endsWith('.npz')) return weights(openNpz);
  if (path.endsWith('.onnx')) return whole(openOnnx);
  if (path.endsWith('.keras')) return whole(openKeras);
  if (path.endsWith('.json')) return whole((file) => openTfjs(file, dirname(file)));
  const head = readBytes(path, 0, Math.min(8, fileLength(path)));
  if (/\.(h5|hdf5)$/.test(path) || isHdf5(head)) return whole(openKeras);
  if (path.endsWith('.gguf') || startsWith(head.subarray(0, 4), 'GGUF')) return whole(openGguf);
  if (isPytorch(head)) return weights(openPytorch);
  if (isPickle(head) || /\.(pt|pth|th|ckpt|pkl)$/.test(path)) throw pickleRefused(path);
  if (path.endsWith('.bin')) return whole(openLlama2c);
  throw refuse(path, 'is of no kind that can be opened');
}

/** A pickle of protocol 2 to 5. */
function isPickle([first, second = 0]: Uint8Array): boolean {
  return first === 0x80 && second >= 2 && second <= 5;
}

function startsWith(head: Uint8Array, text: string): boolean {
  return new TextDecoder('latin1').decode(head) === text;
}

function refuse(path: string, what: string): CircuitscopeError {
  return new CircuitscopeError('unsupported_checkpoint', `${path} ${what}.`, {
    at: path,
    expected: supported,
    got: basename(path),
  });
}

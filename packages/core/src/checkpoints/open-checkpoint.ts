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

/**
 * Opens a trained model: reads headers and checks them, leaves the weights on disk.
 *
 * @throws CircuitscopeError `missing_file`, `unsupported_checkpoint`, `pickle_refused`, or what the format's reader throws.
 */
export function openCheckpoint(path: string): Checkpoint {
  if (statOf(path).isDirectory()) {
    const tfjs = join(path, 'model.json');
    return existsSync(tfjs) && !existsSync(join(path, 'config.json')) ? openTfjs(tfjs, path) : openHuggingFace(path);
  }
  if (/-\d{5}-of-\d{5}\.(safetensors|bin)$/.test(path))
    throw refuse(path, 'is one shard of several; give its directory');
  if (path.endsWith('.safetensors')) return openHuggingFace(path);
  if (path.endsWith('.npz')) return openNpz(path);
  if (path.endsWith('.onnx')) return openOnnx(path);
  if (path.endsWith('.keras')) return openKeras(path);
  if (path.endsWith('.json')) return openTfjs(path, dirname(path));
  const head = readBytes(path, 0, Math.min(8, fileLength(path)));
  if (/\.(h5|hdf5)$/.test(path) || isHdf5(head)) return openKeras(path);
  if (path.endsWith('.gguf') || startsWith(head.subarray(0, 4), 'GGUF')) return openGguf(path);
  if (isPytorch(head.subarray(0, 4))) return openPytorch(path);
  if (isPickle(head) || /\.(pt|pth|th|ckpt|pkl)$/.test(path)) throw pickleRefused(path);
  if (path.endsWith('.bin')) return openLlama2c(path);
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

import { basename } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import type { Checkpoint } from './checkpoint.ts';
import { openHuggingFace, pickleRefused } from './hugging-face.ts';
import { openLlama2c } from './llama2c.ts';
import { fileLength, readBytes, statOf } from './read-bytes.ts';

const supported =
  'a Hugging Face directory with safetensors, a .safetensors file beside its config.json, or a llama2.c .bin';

/**
 * Opens a trained model: reads headers and checks them, leaves the weights on disk.
 *
 * @throws CircuitscopeError `missing_file`, `unsupported_checkpoint`, `pickle_refused`, or what the format's reader throws.
 */
export function openCheckpoint(path: string): Checkpoint {
  if (statOf(path).isDirectory()) return openHuggingFace(path);
  if (path.endsWith('.safetensors')) {
    if (/-\d{5}-of-\d{5}\.safetensors$/.test(path)) throw refuse(path, 'is one shard of several; give its directory');
    return openHuggingFace(path);
  }
  const head = readBytes(path, 0, Math.min(4, fileLength(path)));
  if (isPickle(head) || /\.(pt|pth|ckpt|pkl)$/.test(path)) throw pickleRefused(path);
  if (path.endsWith('.bin')) return openLlama2c(path);
  throw refuse(path, 'is of no kind that can be opened');
}

/** A zip archive (PyTorch since 1.6) or a pickle of protocol 2 that begins with PyTorch's magic number. */
function isPickle(head: Uint8Array): boolean {
  const starts = (...bytes: number[]) => bytes.every((byte, i) => head[i] === byte);
  return starts(0x50, 0x4b, 3, 4) || starts(0x80, 2, 0x8a, 0x0a);
}

function refuse(path: string, what: string): CircuitscopeError {
  return new CircuitscopeError('unsupported_checkpoint', `${path} ${what}.`, {
    at: path,
    expected: supported,
    got: basename(path),
  });
}

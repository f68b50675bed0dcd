import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { statOf } from '../checkpoints/read-bytes.ts';
import type { CrossLayerTranscoder } from './cross-layer.ts';
import type { Dictionary } from './dictionary.ts';
import { openCrossLayer } from './open-cross-layer.ts';
import { openSaelens } from './open-saelens.ts';

/**
 * Opens a dictionary on disk; nothing but headers is read. What its files are is told by their names alone.
 * @throws CircuitscopeError for anything that cannot be computed exactly as its makers do
 */
export function openDictionary(path: string): Dictionary | CrossLayerTranscoder {
  if (!statOf(path).isDirectory()) throw notOne(path, 'a file');
  if (existsSync(join(path, 'cfg.json'))) return openSaelens(path);
  if (existsSync(join(path, 'config.yaml'))) return openCrossLayer(path);
  throw notOne(path, 'neither');
}

function notOne(path: string, got: string): CircuitscopeError {
  return new CircuitscopeError(
    'bad_dictionary',
    `${path} is no dictionary that can be read: give a directory with cfg.json and sae_weights.safetensors (SAELens), or with config.yaml and W_enc_0.safetensors (a cross-layer transcoder).`,
    { at: path, expected: 'cfg.json or config.yaml', got },
  );
}

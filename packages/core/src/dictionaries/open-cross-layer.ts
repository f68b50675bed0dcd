import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { readSafetensorsHeader, type StoredTensor } from '../checkpoints/index.ts';
import { readWhole } from '../checkpoints/read-bytes.ts';
import type { Weight } from '../plan/index.ts';
import type { CrossLayerTranscoder } from './cross-layer.ts';
import { hashFolder } from './hash-folder.ts';
import { storedWeight, turned, whole } from './stored-weight.ts';

/** Limits that no honest folder meets. */
const limits = { configBytes: 1_000_000, layers: 4096 } as const;

const settings = ['model_name', 'model_kind', 'feature_input_hook', 'feature_output_hook', 'scan'];

/**
 * circuit-tracer's folder: config.yaml, and for each layer i `W_enc_i.safetensors` (W_enc_i [F, d], b_enc_i, b_dec_i,
 * perhaps threshold_i) and `W_dec_i.safetensors` (W_dec_i [F, layers − i, d]).
 * @throws CircuitscopeError `missing_file`, `bad_config`, `unknown_config`, `bad_safetensors`, `missing_tensor`,
 * `unknown_tensor`, `shape_mismatch`
 */
export function openCrossLayer(path: string): CrossLayerTranscoder {
  const configPath = join(path, 'config.yaml');
  const config = readConfig(configPath);
  const file = (part: 'enc' | 'dec', layer: number): string => join(path, `W_${part}_${layer}.safetensors`);
  const layers = countLayers(path, file);
  const weights = new Map<string, Weight>();
  const latents: number[] = [];
  const files = [configPath];
  let jumps = false;
  let width = 0;
  for (let layer = 0; layer < layers; layer++) {
    const encoder = tensorsOf(file('enc', layer));
    const decoder = tensorsOf(file('dec', layer));
    files.push(file('enc', layer), file('dec', layer));
    const name = (part: string): string => `${part}_${layer}`;
    const known = ['W_enc', 'b_enc', 'b_dec', 'threshold'].map(name);
    refuseOthers(encoder, known, file('enc', layer));
    refuseOthers(decoder, [name('W_dec')], file('dec', layer));
    const matrix = need(encoder, name('W_enc'), file('enc', layer));
    const [features = 0, read = 0] = matrix.shape;
    if (layer === 0) {
      width = read;
      jumps = encoder.has(name('threshold'));
    }
    latents.push(features);
    weights.set(name('W_enc'), storedWeight(name('W_enc'), matrix, turned(width, features)));
    const vectors = [
      ['b_enc', features],
      ['b_dec', width],
      ...(jumps || encoder.has(name('threshold')) ? [['threshold', features] as const] : []),
    ] as const;
    for (const [part, length] of vectors)
      weights.set(name(part), storedWeight(name(part), need(encoder, name(part), file('enc', layer)), whole([length])));
    if (!jumps && encoder.has(name('threshold'))) {
      throw new CircuitscopeError(
        'missing_tensor',
        `${path} has thresholds in layer ${layer} and none in layer 0; all layers have them, or none.`,
        { at: file('enc', 0), expected: 'threshold_0' },
      );
    }
    const stored = need(decoder, name('W_dec'), file('dec', layer));
    for (let target = layer; target < layers; target++) {
      const view = {
        stored: [features, layers - layer, width],
        shape: [features, width],
        strides: [(layers - layer) * width, 1],
        offset: (target - layer) * width,
      };
      weights.set(`W_dec_${layer}_${target}`, storedWeight(`W_dec_${layer}_${target}`, stored, view));
    }
  }
  return {
    kind: 'crossLayer',
    name: path,
    layers,
    width,
    latents,
    jumps,
    reads: config.reads,
    writes: config.writes,
    weights,
    contentHash: () => hashFolder(files),
  };
}

function countLayers(path: string, file: (part: 'enc', layer: number) => string): number {
  let layers = 0;
  while (layers <= limits.layers && existsSync(file('enc', layers))) layers++;
  if (layers > 0 && layers <= limits.layers) return layers;
  throw new CircuitscopeError(
    'missing_file',
    `${path} holds no cross-layer transcoder: it should have W_enc_0.safetensors, and at most ${limits.layers} layers.`,
    { at: path, expected: 'W_enc_0.safetensors', got: `${layers} layers` },
  );
}

function tensorsOf(path: string): ReadonlyMap<string, StoredTensor> {
  return new Map(readSafetensorsHeader(path).tensors.map((stored) => [stored.name, stored]));
}

function need(tensors: ReadonlyMap<string, StoredTensor>, name: string, file: string): StoredTensor {
  const found = tensors.get(name);
  if (found) return found;
  throw new CircuitscopeError('missing_tensor', `${file} lacks the tensor ${name}.`, { at: file, expected: name });
}

function refuseOthers(tensors: ReadonlyMap<string, StoredTensor>, known: readonly string[], file: string): void {
  const other = [...tensors.keys()].find((name) => !known.includes(name))?.slice(0, 80);
  if (other === undefined) return;
  throw new CircuitscopeError(
    'unknown_tensor',
    `${file} holds a tensor ${JSON.stringify(other)} that a cross-layer transcoder has no use for.`,
    { at: file, expected: known.join(', '), got: other },
  );
}

/** The flat part of YAML that these files are written in: `key: word` a line, and comments. */
function readConfig(path: string): { readonly reads: string; readonly writes: string } {
  const text = new TextDecoder().decode(readWhole(path, limits.configBytes));
  const found = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#.*)?$|^---$/.test(line)) continue;
    const [, key = '', bare, quoted] = /^(\w+):\s*(?:([\w./:-]+)|["']([^"'\\]*)["'])\s*(?:#.*)?$/.exec(line) ?? [];
    if (key === '' || found.has(key)) throw badConfig(`${path}: line ${index + 1}`, 'key: word, once each', line);
    if (!settings.includes(key)) {
      throw new CircuitscopeError(
        'unknown_config',
        `${path} has a setting that is not understood: ${key.slice(0, 80)}; running without it could give wrong numbers.`,
        { at: `${path}: ${key.slice(0, 80)}`, expected: settings.join(', '), got: key.slice(0, 80) },
      );
    }
    found.set(key, bare ?? quoted ?? '');
  }
  const kind = found.get('model_kind') ?? 'nothing';
  if (kind !== 'cross_layer_transcoder') throw badConfig(`${path}: model_kind`, 'cross_layer_transcoder', kind);
  const site = (key: string): string => {
    const value = found.get(key) ?? 'nothing';
    if (/^[a-z]\w*(\.\w+)*$/.test(value) && value !== 'nothing') return value;
    throw badConfig(`${path}: ${key}`, 'a site such as hook_resid_mid', value);
  };
  return { reads: site('feature_input_hook'), writes: site('feature_output_hook') };
}

function badConfig(at: string, expected: string, got: string): CircuitscopeError {
  const shown = got.slice(0, 80);
  return new CircuitscopeError('bad_config', `${at} must be ${expected}, not ${JSON.stringify(shown)}.`, {
    at,
    expected,
    got: shown,
  });
}

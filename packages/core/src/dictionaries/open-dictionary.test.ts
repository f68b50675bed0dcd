import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type TensorToWrite, writeSafetensors } from '../checkpoints/index.ts';
import { openDictionary } from './open-dictionary.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-dictionary-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const zeros = (name: string, ...shape: number[]): TensorToWrite => ({
  name,
  dtype: 'f32',
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
});

const plain = {
  architecture: 'standard',
  d_in: 3,
  d_sae: 5,
  dtype: 'float32',
  device: 'cpu',
  apply_b_dec_to_input: true,
  normalize_activations: 'none',
  reshape_activations: 'none',
  metadata: { hook_name: 'blocks.0.hook_resid_pre', hook_head_index: null, anything: [1] },
};
const tensors = [zeros('W_enc', 3, 5), zeros('W_dec', 5, 3), zeros('b_enc', 5), zeros('b_dec', 3)];

function write(config: object, list: readonly TensorToWrite[] = tensors): string {
  writeFileSync(join(folder, 'cfg.json'), JSON.stringify(config));
  writeSafetensors(join(folder, 'sae_weights.safetensors'), list);
  return folder;
}

function refusal(path: string): CircuitscopeError {
  try {
    openDictionary(path);
  } catch (error) {
    if (error instanceof CircuitscopeError) return error;
    throw error;
  }
  throw new Error('accepted');
}

describe('a SAELens directory', () => {
  test('says what it is, and where it belongs', () => {
    const dictionary = openDictionary(write(plain));
    expect(dictionary).toMatchObject({
      kind: 'dictionary',
      encoder: { kind: 'relu' },
      dIn: 3,
      dOut: 3,
      latents: 5,
      centred: true,
      normalization: 'none',
      reads: 'blocks.0.hook_resid_pre',
      writes: 'blocks.0.hook_resid_pre',
    });
  });

  test('its content hash is of its bytes, wherever it lies', async () => {
    const first = await openDictionary(write(plain)).contentHash();
    const other = join(folder, 'elsewhere');
    mkdirSync(other);
    for (const name of ['cfg.json', 'sae_weights.safetensors'])
      writeFileSync(join(other, name), readFileSync(join(folder, name)));
    expect(await openDictionary(other).contentHash()).toBe(first);
    expect(await openDictionary(write({ ...plain, apply_b_dec_to_input: false })).contentHash()).not.toBe(first);
  });

  test.each([
    [
      'an unknown setting',
      { ...plain, finetuning_scaling_factor: true },
      'unknown_config',
      'finetuning_scaling_factor',
    ],
    ['an unknown architecture', { ...plain, architecture: 'temporal' }, 'bad_config', 'architecture'],
    ['an unknown normalisation', { ...plain, normalize_activations: 'batch' }, 'bad_config', 'normalize_activations'],
    ['one head of several', { ...plain, metadata: { hook_head_index: 2 } }, 'bad_config', 'hook_head_index'],
    ['a width that is none', { ...plain, d_in: -3 }, 'bad_config', 'd_in'],
    ['a width that the weights lack', { ...plain, d_sae: 2 ** 30 }, 'shape_mismatch', 'sae_weights.safetensors'],
    ['more latents kept than there are', { ...plain, architecture: 'topk', k: 6 }, 'bad_dictionary', ''],
    ['top-k without k', { ...plain, architecture: 'topk' }, 'bad_config', 'k'],
    ['a missing threshold', { ...plain, architecture: 'jumprelu' }, 'missing_tensor', ''],
    ['a transcoder that centres its input', { ...plain, architecture: 'transcoder', d_out: 3 }, 'bad_dictionary', ''],
    ['a list', [1], 'bad_config', ''],
  ])('%s is refused', (_, config, code, place) => {
    const error = refusal(write(config));
    expect(error.code).toBe(code);
    expect(error.at).toContain(folder);
    expect(error.at).toContain(place);
  });

  test.each([
    ['a tensor too many', [...tensors, zeros('scaling_factor', 5)], 'unknown_tensor'],
    ['a tensor too few', tensors.slice(1), 'missing_tensor'],
    ['a matrix that lies the other way', [zeros('W_enc', 5, 3), ...tensors.slice(1)], 'shape_mismatch'],
    ['a vector of the wrong length', [...tensors.slice(0, 3), zeros('b_dec', 5)], 'shape_mismatch'],
  ])('%s is refused', (_, list, code) => {
    expect(refusal(write(plain, list)).code).toBe(code);
  });

  test('damaged files are refused', () => {
    write(plain);
    writeFileSync(join(folder, 'cfg.json'), '{"d_in": 3, "d_in": 4}');
    expect(refusal(folder)).toMatchObject({ code: 'bad_config', at: join(folder, 'cfg.json') });
    write(plain);
    const bytes = readFileSync(join(folder, 'sae_weights.safetensors'));
    writeFileSync(join(folder, 'sae_weights.safetensors'), bytes.subarray(0, bytes.length - 1));
    expect(refusal(folder).code).toBe('bad_safetensors');
    rmSync(join(folder, 'sae_weights.safetensors'));
    expect(refusal(folder).code).toBe('missing_file');
  });

  test('anything else is refused by its name', () => {
    expect(refusal(folder).code).toBe('bad_dictionary');
    expect(refusal(join(folder, 'nowhere')).code).toBe('missing_file');
    writeFileSync(join(folder, 'ae.pt'), '');
    expect(refusal(join(folder, 'ae.pt')).code).toBe('bad_dictionary');
  });
});

describe('a cross-layer transcoder', () => {
  const yaml =
    'model_kind: cross_layer_transcoder\nfeature_input_hook: "hook_resid_mid" # stream\nfeature_output_hook: hook_mlp_out\n';

  interface Layer {
    readonly enc?: readonly TensorToWrite[];
    readonly dec?: readonly TensorToWrite[];
  }

  function writeLayers(text: string, ...changes: Layer[]): string {
    writeFileSync(join(folder, 'config.yaml'), text);
    for (const layer of [0, 1]) {
      const own = changes[layer] ?? {};
      const encoder = [zeros(`W_enc_${layer}`, 4, 3), zeros(`b_enc_${layer}`, 4), zeros(`b_dec_${layer}`, 3)];
      writeSafetensors(join(folder, `W_enc_${layer}.safetensors`), own.enc ?? encoder);
      writeSafetensors(
        join(folder, `W_dec_${layer}.safetensors`),
        own.dec ?? [zeros(`W_dec_${layer}`, 4, 2 - layer, 3)],
      );
    }
    return folder;
  }

  test('gives each layer a decoder into itself and each later one', () => {
    const transcoder = openDictionary(writeLayers(yaml));
    expect(transcoder).toMatchObject({ kind: 'crossLayer', layers: 2, width: 3, latents: [4, 4], jumps: false });
    expect([...transcoder.weights.keys()].filter((name) => name.startsWith('W_dec'))).toEqual([
      'W_dec_0_0',
      'W_dec_0_1',
      'W_dec_1_1',
    ]);
  });

  test.each([
    ['another kind', 'model_kind: transcoder_set\n', 'bad_config'],
    ['a setting that is not understood', `${yaml}skip_connection: true\n`, 'unknown_config'],
    ['a nested setting', `${yaml}transcoders:\n  - x\n`, 'bad_config'],
    ['a setting twice', `${yaml}model_kind: cross_layer_transcoder\n`, 'bad_config'],
    ['no hook', 'model_kind: cross_layer_transcoder\n', 'bad_config'],
  ])('%s is refused', (_, text, code) => {
    const error = refusal(writeLayers(text));
    expect(error.code).toBe(code);
    expect(error.at).toContain('config.yaml');
  });

  const encoder = [zeros('W_enc_1', 4, 3), zeros('b_enc_1', 4), zeros('b_dec_1', 3)];
  test.each([
    ['a decoder for too few layers', { dec: [zeros('W_dec_1', 4, 2, 3)] }, 'shape_mismatch'],
    ['another width in another layer', { enc: [zeros('W_enc_1', 4, 2), ...encoder.slice(1)] }, 'shape_mismatch'],
    ['thresholds in one layer alone', { enc: [...encoder, zeros('threshold_1', 4)] }, 'missing_tensor'],
    ['a skip connection', { enc: [...encoder, zeros('W_skip_1', 3, 3)] }, 'unknown_tensor'],
    ['a missing bias', { enc: encoder.slice(0, 2) }, 'missing_tensor'],
  ])('%s is refused', (_, layer, code) => {
    expect(refusal(writeLayers(yaml, {}, layer)).code).toBe(code);
  });

  test('a folder without layers, or without a decoder, is refused', () => {
    writeFileSync(join(folder, 'config.yaml'), yaml);
    expect(refusal(folder).code).toBe('missing_file');
    writeLayers(yaml);
    rmSync(join(folder, 'W_dec_1.safetensors'));
    expect(refusal(folder).code).toBe('missing_file');
  });
});

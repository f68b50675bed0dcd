import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { ConfigReader } from '../architectures/architecture.ts';
import { readSafetensorsHeader, type StoredTensor } from '../checkpoints/index.ts';
import { parseJson } from '../checkpoints/parse-json.ts';
import { readWhole } from '../checkpoints/read-bytes.ts';
import type { Weight } from '../plan/index.ts';
import { type Dictionary, type DictionarySpec, dictionaryShapes, type Encoder, makeDictionary } from './dictionary.ts';
import { hashFolder } from './hash-folder.ts';
import { storedWeight, turned, whole } from './stored-weight.ts';

/** Larger configurations are no honest ones. */
const configBytes = 4_000_000;

/** Settings that say how a dictionary was stored or made, never what it computes. */
const bookkeeping = ['device', 'dtype'];

const architectures = {
  standard: 'standard',
  topk: 'topk',
  gated: 'gated',
  jumprelu: 'jumprelu',
  transcoder: 'transcoder',
  skip_transcoder: 'skip_transcoder',
  jumprelu_transcoder: 'jumprelu_transcoder',
} as const;

/**
 * A directory of SAELens version 6: cfg.json and sae_weights.safetensors. Headers are read, weights stay on disk.
 * @throws CircuitscopeError `missing_file`, `bad_safetensors`, `bad_config`, `unknown_config`, `missing_tensor`,
 * `unknown_tensor`, `shape_mismatch`
 */
export function openSaelens(path: string): Dictionary {
  const configPath = join(path, 'cfg.json');
  const weightsPath = join(path, 'sae_weights.safetensors');
  const spec = readSpec(configPath);
  const { tensors } = readSafetensorsHeader(weightsPath);
  const weights = new Map<string, Weight>();
  const shapes = dictionaryShapes(spec);
  for (const stored of tensors) weights.set(stored.name, weightOf(stored, spec, shapes));
  const files = [configPath, weightsPath];
  return makeDictionary(spec, weights, { name: path, contentHash: () => hashFolder(files) });
}

function weightOf(stored: StoredTensor, spec: DictionarySpec, shapes: ReturnType<typeof dictionaryShapes>): Weight {
  const { name } = stored;
  const shape = shapes.get(name);
  if (!shape) {
    throw new CircuitscopeError(
      'unknown_tensor',
      `${stored.file} holds a tensor ${JSON.stringify(name.slice(0, 80))} that a dictionary of its architecture has no use for.`,
      { at: stored.file, expected: [...shapes.keys()].join(', '), got: name.slice(0, 80) },
    );
  }
  // The skip matrix alone is stored [out, in].
  return storedWeight(name, stored, name === 'W_skip' ? turned(spec.dIn, spec.dOut) : whole(shape));
}

function readSpec(path: string): DictionarySpec {
  const reader = new ConfigReader(parseJson(readWhole(path, configBytes), { code: 'bad_config', at: path }), path);
  const architecture = reader.oneOf('architecture', architectures);
  const transcoder = architecture.endsWith('transcoder');
  const dIn = reader.size('d_in');
  const spec: DictionarySpec = {
    encoder: encoderOf(architecture, reader),
    dIn,
    dOut: transcoder ? reader.size('d_out') : dIn,
    latents: reader.size('d_sae'),
    centred: reader.flag('apply_b_dec_to_input', !transcoder),
    // The expected average norm is a matter of training: at inference it is folded in already, or nothing happens.
    normalization: reader.oneOf(
      'normalize_activations',
      {
        none: 'none',
        expected_average_only_in: 'none',
        constant_norm_rescale: 'constant_norm',
        layer_norm: 'layer_norm',
      },
      'none',
    ),
    heads: reader.oneOf('reshape_activations', { none: 'no', hook_z: 'yes' }, 'none') === 'yes',
    transcoder,
    skip: architecture === 'skip_transcoder',
    ...sitesOf(reader, transcoder),
  };
  reader.finish(bookkeeping);
  return spec;
}

function encoderOf(architecture: keyof typeof architectures, reader: ConfigReader): Encoder {
  switch (architecture) {
    case 'standard':
    case 'transcoder':
    case 'skip_transcoder':
      return { kind: 'relu' };
    case 'jumprelu':
    case 'jumprelu_transcoder':
      return { kind: 'jumprelu', rectified: true };
    case 'topk':
      return { kind: 'topk', k: reader.size('k'), byDecoderNorm: reader.flag('rescale_acts_by_decoder_norm', false) };
    case 'gated':
      return { kind: 'gated' };
  }
}

/** The metadata are free text but for where the dictionary belongs; one head of several would be another computation. */
function sitesOf(reader: ConfigReader, transcoder: boolean): Pick<DictionarySpec, 'reads' | 'writes'> {
  const metadata = reader.part('metadata');
  if (!metadata) return { reads: null, writes: null };
  metadata.only('hook_head_index', []);
  metadata.only('hook_head_index_out', []);
  const reads = textOf(metadata.value('hook_name'));
  return { reads, writes: transcoder ? textOf(metadata.value('hook_name_out')) : reads };
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value.length <= 200 ? value : null;
}

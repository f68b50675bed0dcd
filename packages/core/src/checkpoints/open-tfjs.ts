import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import {
  type Checkpoint,
  hashFiles,
  remembered,
  type StoredDtype,
  type StoredTensor,
  sortedFiles,
} from './checkpoint.ts';
import { type KerasNet, kerasJson, parseKeras } from './keras.ts';
import { fileLength, readBytes, readWhole } from './read-bytes.ts';

const limits = { jsonBytes: 64_000_000, tensors: 100_000, rank: 8, nameLength: 1024, files: 10_000 } as const;

/**
 * A layers-model of TensorFlow.js: `model.json` with a Keras configuration and a list of weights, which lie one behind the
 * other in the binary files beside it. Weights that cross from one file to the next are put together in memory.
 *
 * @param path the model.json
 * @throws CircuitscopeError `bad_tfjs`, `bad_config`, `missing_file`, `unsupported_architecture`
 */
export function openTfjs(path: string, folder: string): Checkpoint & { readonly config: KerasNet } {
  const json = fieldsOf(kerasJson(readWhole(path, limits.jsonBytes), path, limits.jsonBytes));
  const topology = fieldsOf(json.modelTopology);
  if (json.format === 'graph-model' || !json.modelTopology || !Array.isArray(json.weightsManifest))
    throw bad(path, 'it is no layers-model', 'modelTopology and weightsManifest', String(json.format ?? 'neither'));
  const net = parseKeras(topology.model_config ?? topology, path);
  const files = new Set<string>();
  const tensors = new Map<string, StoredTensor>();
  for (const group of json.weightsManifest) readGroup(path, folder, fieldsOf(group), tensors, files);
  const weights: Record<string, string[]> = Object.create(null);
  const layers = new Set(net.layers.map(({ name }) => name));
  for (const name of tensors.keys()) {
    // `LAYER/kernel`, or with the model's name before it.
    const layer = name.split('/').at(-2);
    if (layer === undefined || !layers.has(layer)) throw bad(path, 'a weight belongs to no layer', 'LAYER/PART', name);
    weights[layer] = [...(weights[layer] ?? []), name];
  }
  const all = sortedFiles([path, ...files].map((file) => ({ path: file, byteLength: fileLength(file) })));
  const contentHash = remembered(() => hashFiles(all));
  return { kind: 'tfjs', path, config: { ...net, weights }, tensors, files: all, contentHash };
}

/** Weights of one group of files: they fill these exactly. */
function readGroup(
  at: string,
  folder: string,
  { paths, weights }: { readonly [key: string]: unknown },
  tensors: Map<string, StoredTensor>,
  files: Set<string>,
): void {
  if (!Array.isArray(paths) || !Array.isArray(weights))
    throw bad(at, 'a group of weights is none', 'paths, weights', 'else');
  const shards: { readonly file: string; readonly start: number; readonly end: number }[] = [];
  let length = 0;
  for (const name of paths) {
    if (typeof name !== 'string' || !/^[\w+-][\w.+-]{0,254}$/.test(name))
      throw bad(
        at,
        'a file of weights has another name than files beside it have',
        'NAME.bin',
        String(name).slice(0, 80),
      );
    const file = join(folder, name);
    if (files.has(file) || files.size >= limits.files) throw bad(at, 'a file of weights is there twice', 'once', name);
    files.add(file);
    const end = length + fileLength(file);
    shards.push({ file, start: length, end });
    length = end;
  }
  let place = 0;
  for (const entry of weights) {
    const tensor = described(at, fieldsOf(entry));
    if (tensors.has(tensor.name) || tensors.size >= limits.tensors)
      throw bad(at, 'a weight is there twice', 'once', tensor.name);
    const end = place + tensor.byteLength;
    if (!(end <= length)) throw bad(at, `${tensor.name} reaches beyond its files`, `${end} bytes`, `${length} bytes`);
    const within = shards.find((shard) => place >= shard.start && end <= shard.end);
    tensors.set(
      tensor.name,
      within
        ? { ...tensor, file: within.file, byteOffset: place - within.start }
        : { ...tensor, file: '', byteOffset: 0, data: gathered(shards, place, end, tensor, at) },
    );
    place = end;
  }
  if (place !== length) throw bad(at, 'weights and their files disagree', `${place} bytes`, `${length} bytes`);
}

/** A weight that lies in several files. */
function gathered(
  shards: readonly { readonly file: string; readonly start: number; readonly end: number }[],
  from: number,
  to: number,
  { name, dtype }: { readonly name: string; readonly dtype: StoredDtype },
  at: string,
): Float32Array {
  if (dtype !== 'f32') throw bad(at, `${name} is cut between files`, 'float32', dtype);
  const bytes = new Uint8Array(to - from);
  for (const { file, start, end } of shards) {
    const [first, last] = [Math.max(from, start), Math.min(to, end)];
    if (first < last) bytes.set(readBytes(file, first - start, last - first), first - from);
  }
  return new Float32Array(bytes.buffer);
}

function described(
  at: string,
  given: { readonly [key: string]: unknown },
): Omit<StoredTensor, 'file' | 'byteOffset' | 'dtype'> & { readonly dtype: StoredDtype } {
  const { name, shape, dtype, quantization } = given;
  if (typeof name !== 'string' || name === '' || name.length > limits.nameLength)
    throw bad(at, 'a weight has no name', 'a name', String(name).slice(0, 80));
  if (!isShape(shape))
    throw bad(
      at,
      `${name} has no shape`,
      `at most ${limits.rank} sizes`,
      JSON.stringify(shape)?.slice(0, 80) ?? 'nothing',
    );
  const half = fieldsOf(quantization).dtype === 'float16';
  const type = String(quantization === undefined ? dtype : fieldsOf(quantization).dtype).slice(0, 40);
  if (dtype !== 'float32' || (quantization !== undefined && !half))
    throw bad(at, `${name} is stored as ${type}, which is not read here`, 'float32, or float16 of it', type);
  const byteLength = shape.reduce((product, size) => product * size, half ? 2 : 4);
  return { name, shape, dtype: half ? 'f16' : 'f32', byteLength };
}

const isShape = (shape: unknown): shape is number[] =>
  Array.isArray(shape) && shape.length <= limits.rank && shape.every((size) => Number.isSafeInteger(size) && size >= 0);

function fieldsOf(value: unknown): { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError('bad_tfjs', `${at} is no usable TensorFlow.js model: ${what}; convert it again.`, {
    at,
    expected,
    got,
  });
}

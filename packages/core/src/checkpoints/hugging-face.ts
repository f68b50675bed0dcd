import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { type Checkpoint, hashFiles, remembered, type StoredTensor, sortedFiles } from './checkpoint.ts';
import { parseJson } from './parse-json.ts';
import { fileLength, readWhole } from './read-bytes.ts';
import { readSafetensorsHeader, shown } from './safetensors.ts';

/** Sizes that no honest file of the kind reaches. */
const limits = { configBytes: 4_000_000, indexBytes: 64_000_000, shards: 4096 } as const;

/**
 * A directory as `save_pretrained` writes it: config.json, and model.safetensors or the shards that
 * model.safetensors.index.json lists. A `.safetensors` file alone is read with the config.json beside it.
 *
 * A name in the index is a bare file name; it can never lead out of the directory. A symbolic link in the directory is
 * followed when it ends at a regular file, for that is how the hub's cache is laid out, and whoever made the directory made
 * the link.
 *
 * @throws CircuitscopeError `missing_file`, `bad_safetensors`, `bad_config`, `pickle_refused`, `too_large`.
 */
export function openHuggingFace(path: string): Checkpoint {
  const single = path.endsWith('.safetensors');
  const directory = single ? dirname(path) : path;
  const configPath = join(directory, 'config.json');
  const indexPath = join(directory, 'model.safetensors.index.json');
  const weights = single ? path : join(directory, 'model.safetensors');
  if (!existsSync(weights) && !existsSync(indexPath)) throw noWeights(directory);
  const config = readConfig(configPath);
  const paths = [configPath];
  let tensors: ReadonlyMap<string, StoredTensor>;
  if (existsSync(weights)) {
    tensors = new Map(readSafetensorsHeader(weights).tensors.map((tensor) => [tensor.name, tensor]));
    paths.push(weights);
  } else {
    const index = readIndex(indexPath);
    tensors = readShards(directory, index, indexPath);
    paths.push(indexPath, ...[...index.shards].map((shard) => join(directory, shard)));
  }
  const files = sortedFiles(paths.map((file) => ({ path: file, byteLength: fileLength(file) })));
  return { kind: 'huggingface', path, config, tensors, files, contentHash: remembered(() => hashFiles(files)) };
}

function readConfig(path: string): unknown {
  const config = parseJson(readWhole(path, limits.configBytes), { code: 'bad_config', at: path });
  if (isObject(config)) return config;
  throw new CircuitscopeError('bad_config', `${path} does not hold a JSON object.`, {
    at: path,
    expected: 'an object',
    got: shown(config),
  });
}

interface ShardIndex {
  readonly weightMap: ReadonlyMap<string, string>;
  readonly shards: ReadonlySet<string>;
}

function readIndex(path: string): ShardIndex {
  const json = parseJson(readWhole(path, limits.indexBytes), { code: 'bad_safetensors', at: path, maxDepth: 16 });
  const map = isObject(json) ? new Map(Object.entries(json)).get('weight_map') : undefined;
  if (!isObject(map)) throw badIndex(path, 'it has no weight_map', 'an object of file names', shown(map));
  const weightMap = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    if (typeof shard !== 'string' || !isPlainName(shard)) {
      throw badIndex(
        `${path}: ${shown(name)}`,
        'this is not a bare .safetensors file name',
        'a name in the same directory',
        shown(shard),
      );
    }
    weightMap.set(name, shard);
  }
  const shards = new Set(weightMap.values());
  if (shards.size > limits.shards)
    throw badIndex(path, 'it lists too many shards', `at most ${limits.shards}`, `${shards.size}`);
  return { weightMap, shards };
}

/** Every tensor of the index must stand in the shard named for it, and a shard holds nothing that the index leaves out. */
function readShards(directory: string, index: ShardIndex, indexPath: string): ReadonlyMap<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const shard of index.shards) {
    for (const tensor of readSafetensorsHeader(join(directory, shard)).tensors) {
      const listed = index.weightMap.get(tensor.name);
      if (listed !== shard) {
        throw badIndex(
          `${indexPath}: ${shown(tensor.name)}`,
          `${shard} holds a tensor that is not listed there`,
          shown(listed),
          shard,
        );
      }
      tensors.set(tensor.name, tensor);
    }
  }
  for (const [name, shard] of index.weightMap) {
    if (!tensors.has(name))
      throw badIndex(`${indexPath}: ${shown(name)}`, 'a listed tensor is missing', `a tensor in ${shard}`, 'none');
  }
  return tensors;
}

/** Letters, digits and a few signs: no separator of any system, no `..` on its own, no drive, no stream, no control character. */
function isPlainName(name: string): boolean {
  return name.length <= 255 && /^[A-Za-z0-9_][A-Za-z0-9_.+-]*\.safetensors$/.test(name) && basename(name) === name;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function badIndex(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError('bad_safetensors', `${at}: ${what}; the index does not belong to these files.`, {
    at,
    expected,
    got,
  });
}

function noWeights(directory: string): CircuitscopeError {
  const pickles = ['pytorch_model.bin', 'pytorch_model.bin.index.json'];
  const pickle = pickles.find((name) => existsSync(join(directory, name)));
  if (pickle) return pickleRefused(join(directory, pickle));
  return new CircuitscopeError(
    'missing_file',
    `${directory} holds no model.safetensors; give a directory with one, or its index.`,
    {
      at: directory,
      expected: 'config.json and model.safetensors or model.safetensors.index.json',
    },
  );
}

/** PyTorch's files are pickles: programs. They are never executed. */
export function pickleRefused(path: string): CircuitscopeError {
  return new CircuitscopeError(
    'pickle_refused',
    `${path} is a PyTorch pickle, which can run code when it is opened and is not read here; convert it to safetensors first.`,
    { at: path, expected: 'model.safetensors', got: basename(path) },
  );
}

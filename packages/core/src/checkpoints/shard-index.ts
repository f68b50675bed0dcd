import { basename, join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import type { StoredTensor } from './checkpoint.ts';
import { parseJson } from './parse-json.ts';
import { readWhole } from './read-bytes.ts';
import { shown } from './safetensors.ts';

/** Sizes that no honest index reaches. */
const limits = { indexBytes: 64_000_000, shards: 4096 } as const;

/** How a kind of weights is stored in a directory of `save_pretrained`. */
export interface Container {
  readonly kind: 'huggingface' | 'pytorch';
  readonly single: string;
  readonly index: string;
  readonly extension: 'safetensors' | 'bin';
  /** Code of errors about the index. */
  readonly code: 'bad_safetensors' | 'bad_pytorch';
  readonly read: (path: string) => readonly StoredTensor[];
}

/**
 * The tensors of the shards that an index lists. Every tensor of the index must stand in the shard named for it, and a
 * shard holds nothing that the index leaves out. A name in the index is a bare file name; it can never lead out of the
 * directory.
 */
export function readShards(
  directory: string,
  container: Container,
): { readonly tensors: ReadonlyMap<string, StoredTensor>; readonly paths: readonly string[] } {
  const indexPath = join(directory, container.index);
  const weightMap = readIndex(indexPath, container);
  const shards = new Set(weightMap.values());
  if (shards.size > limits.shards)
    throw bad(container, indexPath, 'it lists too many shards', `at most ${limits.shards}`, `${shards.size}`);
  const tensors = new Map<string, StoredTensor>();
  for (const shard of shards) {
    for (const tensor of container.read(join(directory, shard))) {
      const listed = weightMap.get(tensor.name);
      if (listed !== shard) {
        const at = `${indexPath}: ${shown(tensor.name)}`;
        throw bad(container, at, `${shard} holds a tensor that is not listed there`, shown(listed), shard);
      }
      tensors.set(tensor.name, tensor);
    }
  }
  for (const [name, shard] of weightMap) {
    if (tensors.has(name)) continue;
    const at = `${indexPath}: ${shown(name)}`;
    throw bad(container, at, 'a listed tensor is missing', `a tensor in ${shard}`, 'none');
  }
  return { tensors, paths: [indexPath, ...[...shards].map((shard) => join(directory, shard))] };
}

function readIndex(path: string, container: Container): ReadonlyMap<string, string> {
  const json = parseJson(readWhole(path, limits.indexBytes), { code: container.code, at: path, maxDepth: 16 });
  const map = isObject(json) ? new Map(Object.entries(json)).get('weight_map') : undefined;
  if (!isObject(map)) throw bad(container, path, 'it has no weight_map', 'an object of file names', shown(map));
  const weightMap = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    if (typeof shard !== 'string' || !isPlainName(shard, container.extension)) {
      const what = `this is not a bare .${container.extension} file name`;
      throw bad(container, `${path}: ${shown(name)}`, what, 'a name in the same directory', shown(shard));
    }
    weightMap.set(name, shard);
  }
  return weightMap;
}

/** Letters, digits and a few signs: no separator of any system, no `..` on its own, no drive, no stream, no control character. */
function isPlainName(name: string, extension: string): boolean {
  const plain = name.length <= 255 && /^[A-Za-z0-9_][A-Za-z0-9_.+-]*$/.test(name) && basename(name) === name;
  return plain && name.endsWith(`.${extension}`);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad({ code }: Container, at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError(code, `${at}: ${what}; the index does not belong to these files.`, {
    at,
    expected,
    got,
  });
}

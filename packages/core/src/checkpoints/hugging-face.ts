import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { fileSource } from './byte-source.ts';
import { type Checkpoint, hashFiles, remembered, type StoredTensor, sortedFiles } from './checkpoint.ts';
import { configPathBeside, configPathIn, readConfig } from './model-config.ts';
import { readNpz } from './npy.ts';
import { readPytorch } from './pytorch.ts';
import { fileLength } from './read-bytes.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import { type Container, readShards } from './shard-index.ts';

/** The path that was given, none where null was, else the one that is found. */
function configOf(given: string | null | undefined, find: () => string | undefined): string | undefined {
  return given === undefined ? find() : (given ?? undefined);
}

/** In the order of preference. */
const containers: readonly Container[] = [
  {
    kind: 'huggingface',
    single: 'model.safetensors',
    index: 'model.safetensors.index.json',
    extension: 'safetensors',
    code: 'bad_safetensors',
    read: (path) => readSafetensorsHeader(path).tensors,
  },
  {
    kind: 'pytorch',
    single: 'pytorch_model.bin',
    index: 'pytorch_model.bin.index.json',
    extension: 'bin',
    code: 'bad_pytorch',
    read: (path) => readPytorch(fileSource(path)),
  },
];

/**
 * A directory as `save_pretrained` writes it: config.json, and model.safetensors or pytorch_model.bin, or the shards that
 * the index of one of them lists. A `.safetensors` file alone is read with the configuration beside it, if there is one.
 *
 * A symbolic link in the directory is followed when it ends at a regular file, for that is how the hub's cache is laid
 * out, and whoever made the directory made the link.
 *
 * @param config path of a configuration to take in place of the one that lies there
 * @throws CircuitscopeError `missing_file`, `bad_safetensors`, `bad_pytorch`, `bad_config`, `pickle_refused`, `too_large`.
 */
export function openHuggingFace(path: string, config?: string | null): Checkpoint {
  if (path.endsWith('.safetensors')) {
    const tensors = readSafetensorsHeader(path).tensors;
    return opened(
      'huggingface',
      path,
      tensors,
      [path],
      configOf(config, () => configPathBeside(path)),
    );
  }
  const configPath = configOf(config, () => configPathIn(path) ?? join(path, 'config.json'));
  for (const container of containers) {
    const single = join(path, container.single);
    if (existsSync(single)) return opened(container.kind, path, container.read(single), [single], configPath);
    if (!existsSync(join(path, container.index))) continue;
    const { tensors, paths } = readShards(path, container);
    return opened(container.kind, path, tensors.values(), paths, configPath);
  }
  const npz = join(path, 'model.npz');
  if (existsSync(npz)) return opened('npz', path, readNpz(fileSource(npz)), [npz], configPath);
  throw new CircuitscopeError(
    'missing_file',
    `${path} holds no model.safetensors and no pytorch_model.bin; give a directory with one, or its index.`,
    { at: path, expected: containers.flatMap(({ single, index }) => [single, index]).join(' or ') },
  );
}

/** One file of `torch.save`, with the config.json or cfg.json beside it if there is one; without, only its tensors are known. */
export function openPytorch(path: string, config?: string | null): Checkpoint {
  return opened(
    'pytorch',
    path,
    readPytorch(fileSource(path)),
    [path],
    configOf(config, () => configPathBeside(path)),
  );
}

/** An .npz archive of arrays by name, with the configuration beside it. */
export function openNpz(path: string, config?: string | null): Checkpoint {
  return opened(
    'npz',
    path,
    readNpz(fileSource(path)),
    [path],
    configOf(config, () => configPathBeside(path)),
  );
}

/** @param configPath none where nothing says what the model is: then its configuration is null. */
export function opened(
  kind: Checkpoint['kind'],
  path: string,
  tensors: Iterable<StoredTensor>,
  weights: readonly string[],
  configPath: string | undefined,
): Checkpoint {
  const config = configPath === undefined ? null : readConfig(configPath);
  const byName = new Map([...tensors].map((tensor) => [tensor.name, tensor]));
  const paths = configPath === undefined ? weights : [configPath, ...weights];
  const files = sortedFiles(paths.map((file) => ({ path: file, byteLength: fileLength(file) })));
  return { kind, path, config, tensors: byName, files, contentHash: remembered(() => hashFiles(files)) };
}

/** A pickle of another program than PyTorch. */
export function pickleRefused(path: string): CircuitscopeError {
  return new CircuitscopeError(
    'pickle_refused',
    `${path} is a pickle, a program, and not one that torch.save wrote; convert it to safetensors where it was made.`,
    { at: path, expected: 'a file of torch.save, or model.safetensors', got: basename(path) },
  );
}

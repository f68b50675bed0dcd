import { existsSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { parseJson } from './parse-json.ts';
import { readWhole } from './read-bytes.ts';
import { shown } from './safetensors.ts';

const maxBytes = 4_000_000;

/** Files that say what a model is: transformers' config, TransformerLens's, and the list of a sequential net's modules. */
const names = ['config.json', 'cfg.json', 'layers.json'];

/**
 * The configuration of one file of weights: `NAME.config.json` for `NAME.pt`, where several lie in one directory, else that of
 * the directory.
 */
export function configPathBeside(path: string): string | undefined {
  const own = join(dirname(path), `${basename(path, extname(path))}.config.json`);
  return existsSync(own) ? own : configPathIn(dirname(path));
}

/** The configuration in a directory, if it has one. */
export function configPathIn(directory: string): string | undefined {
  return names.map((name) => join(directory, name)).find((path) => existsSync(path));
}

/** @throws CircuitscopeError `bad_config`, `missing_file`, `too_large`. */
export function readConfig(path: string): object {
  const config = parseJson(readWhole(path, maxBytes), { code: 'bad_config', at: path });
  if (Array.isArray(config) && basename(path) === 'layers.json') return { model_type: 'convnet', layers: config };
  if (typeof config === 'object' && config !== null && !Array.isArray(config)) return config;
  throw new CircuitscopeError('bad_config', `${path} does not hold a JSON object.`, {
    at: path,
    expected: 'an object',
    got: shown(config),
  });
}

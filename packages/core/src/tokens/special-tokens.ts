import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseJson } from '../checkpoints/parse-json.ts';
import { readWhole } from '../checkpoints/read-bytes.ts';

const maxBytes = 16_000_000;

/** The token that begins a text, as tokenizer_config.json or special_tokens_map.json in a file's folder names it. */
export function bosNamedBeside(path: string): string | undefined {
  const bos = settingBeside(path, 'bos_token');
  const content = typeof bos === 'object' && bos !== null && 'content' in bos ? bos.content : bos;
  return typeof content === 'string' ? content : undefined;
}

/** A setting of tokenizer_config.json, else of special_tokens_map.json. @throws CircuitscopeError `bad_tokenizer`. */
export function settingBeside(path: string, key: string): unknown {
  for (const name of ['tokenizer_config.json', 'special_tokens_map.json']) {
    const file = join(dirname(path), name);
    if (!existsSync(file)) continue;
    const json = parseJson(readWhole(file, maxBytes), { code: 'bad_tokenizer', at: file });
    const value = typeof json === 'object' && json !== null && Object.hasOwn(json, key) ? Reflect.get(json, key) : null;
    if (value !== null) return value;
  }
  return undefined;
}

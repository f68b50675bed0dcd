import { existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Captures, CircuitscopeError, canonicalJson, invalidRecord, parseCaptures } from '@circuitscope/schema';
import { parseJson } from '../checkpoints/parse-json.ts';
import { readWhole } from '../checkpoints/read-bytes.ts';

export const MANIFEST = 'manifest.json';
const MAX_BYTES = 1 << 28;

/**
 * The manifest of a folder, or a fresh one where it is empty. Shards that were begun and not entered are removed.
 * @throws CircuitscopeError `wrong_capture`, `folder_in_use`, `bad_captures`
 */
export function openCaptures(folder: string, fresh: Captures): Captures {
  const path = join(folder, MANIFEST);
  if (!existsSync(path)) {
    const [other] = readdirSync(folder).filter((file) => file !== `${MANIFEST}.tmp`);
    if (other === undefined) return fresh;
    throw new CircuitscopeError('folder_in_use', `${folder} holds other files (${other}); give an empty folder.`, {
      at: folder,
      got: other,
    });
  }
  const parsed = parseCaptures(parseJson(readWhole(path, MAX_BYTES), { code: 'bad_captures', at: path }));
  if (!parsed.ok) throw invalidRecord(parsed.issues, `manifest ${path}`);
  const found = parsed.value;
  for (const key of ['model', 'numericsVersion', 'corpus', 'sites', 'length', 'bos', 'limit', 'shardBytes'] as const) {
    const [was, is] = [canonicalJson(found[key]), canonicalJson(fresh[key])];
    if (was === is) continue;
    throw new CircuitscopeError(
      'wrong_capture',
      `${folder} holds a capture with another ${key}; go on with the same settings, or give an empty folder.`,
      { at: key, expected: was.slice(0, 200), got: is.slice(0, 200) },
    );
  }
  for (const { file, bytes } of found.shards) {
    const there = existsSync(join(folder, file)) ? statSync(join(folder, file)).size : null;
    if (there === bytes && !/[\\/]/.test(file)) continue;
    throw new CircuitscopeError('bad_captures', `${join(folder, file)} is not as its manifest says; capture anew.`, {
      at: file,
      expected: `${bytes} bytes`,
      got: there === null ? 'no such file' : `${there} bytes`,
    });
  }
  const known = new Set([MANIFEST, ...found.shards.map(({ file }) => file)]);
  for (const file of readdirSync(folder)) {
    if (!known.has(file) && /^captures-\d{6}\.safetensors(?:\.[0-9a-f]+\.tmp)?$|^manifest\.json\.tmp$/.test(file))
      rmSync(join(folder, file));
  }
  return found;
}

/** Whole under its name, or not at all. */
export function saveManifest(folder: string, manifest: Captures): void {
  const path = join(folder, MANIFEST);
  writeFileSync(`${path}.tmp`, `${JSON.stringify(manifest, null, 2)}\n`);
  renameSync(`${path}.tmp`, path);
}

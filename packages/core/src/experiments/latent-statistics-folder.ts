import { existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CircuitscopeError,
  canonicalJson,
  invalidRecord,
  type LatentStatistics as Manifest,
  parseLatentStatistics,
} from '@circuitscope/schema';
import { hashFile, readSafetensorsHeader, readStoredFloat64, writeSafetensors } from '../checkpoints/index.ts';
import { parseJson } from '../checkpoints/parse-json.ts';
import { readWhole } from '../checkpoints/read-bytes.ts';
import { LatentStatistics } from '../dictionaries/index.ts';

const MANIFEST = 'manifest.json';
const MAX_BYTES = 1 << 20;

export interface StoredStatistics {
  readonly manifest: Manifest;
  readonly statistics: LatentStatistics;
}

/**
 * What a folder holds, or fresh statistics where it is empty.
 * @throws CircuitscopeError `wrong_statistics` where its settings are others, `folder_in_use`, `bad_statistics`
 */
export async function openStatistics(folder: string, fresh: Manifest): Promise<StoredStatistics> {
  const path = join(folder, MANIFEST);
  const { latents } = fresh.dictionary;
  if (!existsSync(path)) {
    const [other] = readdirSync(folder).filter((file) => !isLeftOver(file));
    if (other === undefined) {
      removeLeftOver(folder, null);
      return { manifest: fresh, statistics: new LatentStatistics(latents, fresh.examples) };
    }
    throw new CircuitscopeError('folder_in_use', `${folder} holds other files (${other}); give an empty folder.`, {
      at: folder,
      got: other,
    });
  }
  const parsed = parseLatentStatistics(parseJson(readWhole(path, MAX_BYTES), { code: 'bad_statistics', at: path }));
  if (!parsed.ok) throw invalidRecord(parsed.issues, `manifest ${path}`);
  const manifest = parsed.value;
  const settings = [
    'model',
    'numericsVersion',
    'dictionary',
    'site',
    'corpus',
    'length',
    'bos',
    'limit',
    'ignore',
    'examples',
    'edges',
  ] as const;
  for (const key of settings) {
    const [was, is] = [canonicalJson(manifest[key]), canonicalJson(fresh[key])];
    if (was === is) continue;
    throw new CircuitscopeError(
      'wrong_statistics',
      `${folder} holds statistics with another ${key}; go on with the same settings, or give an empty folder.`,
      { at: key, expected: was.slice(0, 200), got: is.slice(0, 200) },
    );
  }
  removeLeftOver(folder, manifest.file?.file ?? null);
  if (!manifest.file) return { manifest, statistics: new LatentStatistics(latents, manifest.examples) };
  return { manifest, statistics: await readStatistics(folder, manifest, manifest.file) };
}

/** Of a stop that was begun, or of one that a later one has replaced. */
function isLeftOver(file: string): boolean {
  return /^statistics-\d+\.safetensors(?:\.[0-9a-f]+\.tmp)?$|^manifest\.json\.tmp$/.test(file);
}

function removeLeftOver(folder: string, named: string | null): void {
  for (const file of readdirSync(folder)) if (file !== named && isLeftOver(file)) rmSync(join(folder, file));
}

async function readStatistics(
  folder: string,
  manifest: Manifest,
  { file, bytes, sha256 }: NonNullable<Manifest['file']>,
): Promise<LatentStatistics> {
  const path = join(folder, file);
  const damaged = (why: string): CircuitscopeError =>
    new CircuitscopeError('bad_statistics', `${path} is not as its manifest says (${why}); begin anew.`, { at: file });
  if (/[\\/]/.test(file) || !existsSync(path)) throw damaged('it is not there');
  if (statSync(path).size !== bytes) throw damaged('it has another size');
  if (`sha256:${await hashFile(path)}` !== sha256) throw damaged('it has other bytes');
  const stored = new Map(readSafetensorsHeader(path).tensors.map((tensor) => [tensor.name, tensor]));
  const { examples, counted } = manifest;
  return LatentStatistics.restore(manifest.dictionary.latents, examples, counted, (name, shape) => {
    const tensor = stored.get(name);
    if (tensor?.dtype === 'f64' && tensor.shape.join() === shape.join()) return readStoredFloat64(tensor);
    throw damaged(`${name} is no float64 [${shape.join(', ')}]`);
  });
}

/** Both files whole under their names, the manifest last; what it named before goes. */
export async function saveStatistics(folder: string, { manifest, statistics }: StoredStatistics): Promise<Manifest> {
  const file = `statistics-${manifest.tokens}.safetensors`;
  const path = join(folder, file);
  writeSafetensors(
    path,
    statistics.tensors().map((tensor) => ({ ...tensor, dtype: 'f64' as const })),
  );
  const sha256 = `sha256:${await hashFile(path)}` as const;
  const saved = { ...manifest, file: { file, bytes: statSync(path).size, sha256 } };
  const manifestPath = join(folder, MANIFEST);
  writeFileSync(`${manifestPath}.tmp`, `${JSON.stringify(saved, null, 2)}\n`);
  renameSync(`${manifestPath}.tmp`, manifestPath);
  if (manifest.file && manifest.file.file !== file) rmSync(join(folder, manifest.file.file), { force: true });
  return saved;
}

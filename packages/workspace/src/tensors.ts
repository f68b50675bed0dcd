import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  hashFile,
  readSafetensorsHeader,
  type SafetensorsHeader,
  type TensorToWrite,
  writeSafetensors,
} from '@circuitscope/core/checkpoints';
import type { Hash } from '@circuitscope/schema';
import { addArtefact } from './catalogue.ts';
import { factsOfArtefact } from './facts.ts';
import { folders } from './folders.ts';
import { pathOf } from './paths.ts';
import { corrupt, statFile } from './read-file.ts';
import type { Workspace } from './workspace.ts';
import { moveDurably, touch, UNFINISHED } from './write-durably.ts';

/**
 * Stores tensors as one safetensors file under the hash of its bytes. Garbage collection spares it as long as a record that
 * is spared names its hash.
 * @param metadata texts beside the tensors; `name` is shown in lists
 */
export async function putTensors(
  { dir, catalogue }: Workspace,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<{ readonly hash: Hash }> {
  // The hash, and so the name, is known only when the file is there.
  const arriving = join(dir, folders.artefacts, `arriving-${randomBytes(6).toString('hex')}${UNFINISHED}`);
  try {
    writeSafetensors(arriving, tensors, metadata);
    const hash: Hash = `sha256:${await hashFile(arriving)}`;
    const path = pathOf(dir, 'artefacts', hash, '.safetensors');
    if (!touch(path)) moveDurably(arriving, path);
    addArtefact(catalogue, hash, factsOfArtefact(path, hash, '.safetensors'));
    return { hash };
  } finally {
    rmSync(arriving, { force: true });
  }
}

/**
 * The tensors of an artefact: headers, whose values `readStored` reads when they are wanted. The whole file is verified first.
 * @throws CircuitscopeError `missing_artefact`, `corrupt_artefact`, `bad_safetensors`, `bad_hash`
 */
export async function getTensors({ dir }: Workspace, hash: Hash): Promise<SafetensorsHeader> {
  const path = pathOf(dir, 'artefacts', hash, '.safetensors');
  statFile(path);
  const got: Hash = `sha256:${await hashFile(path)}`;
  if (got !== hash) throw corrupt(path, hash, got);
  return readSafetensorsHeader(path);
}

import { join } from 'node:path';
import { type Hash, parseHash } from '@circuitscope/schema';
import { type Folder, folders } from './folders.ts';

/** Endings of the files in a folder: a hash may come with more than one kind of content. */
export type Ending = '.json' | '.safetensors' | '';

/**
 * Where the file of a hash lies: `artefacts/ab/ab12….json`. A hash is parsed before it becomes a path, so no text from
 * outside can lead elsewhere.
 */
export function pathOf(dir: string, folder: Folder, hash: Hash, ending: Ending): string {
  const digits = parseHash(hash).slice('sha256:'.length);
  return join(dir, folders[folder], digits.slice(0, 2), `${digits}${ending}`);
}

/** The hash in a file name, or null for a file that is none of ours. */
export function hashOfName(name: string): { readonly hash: Hash; readonly ending: Ending } | null {
  const match = /^([0-9a-f]{64})(\.json|\.safetensors|)$/.exec(name);
  if (!match) return null;
  return { hash: `sha256:${match[1]}`, ending: match[2] as Ending };
}

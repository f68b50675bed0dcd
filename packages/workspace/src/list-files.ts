import { type Dirent, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Hash } from '@circuitscope/schema';
import { type Folder, folders } from './folders.ts';
import { type Ending, hashOfName } from './paths.ts';

export interface FoundFile {
  readonly path: string;
  readonly hash: Hash;
  readonly ending: Ending;
}

/** The files of a folder in the order of their hashes. Files that lie under a wrong name or in a wrong place are none of ours. */
export function listFiles(dir: string, folder: Folder): FoundFile[] {
  const root = join(dir, folders[folder]);
  return entriesOf(root)
    .filter((entry) => entry.isDirectory() && /^[0-9a-f]{2}$/.test(entry.name))
    .flatMap(({ name: shelf }) =>
      entriesOf(join(root, shelf)).flatMap((entry): FoundFile[] => {
        const found = entry.isFile() && entry.name.startsWith(shelf) ? hashOfName(entry.name) : null;
        return found ? [{ path: join(root, shelf, entry.name), ...found }] : [];
      }),
    );
}

/** Sorted; a folder that another process has just removed is empty. */
export function entriesOf(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

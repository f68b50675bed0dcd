import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** Ending of files that are not finished. Their names are no hashes, so nobody ever reads them. */
export const UNFINISHED = '.tmp';

/**
 * Makes a file appear whole under its name or not at all, also when the machine stops: written under another name, synced,
 * renamed, and the folder synced. Writers of equal content may do so at once.
 */
export function writeDurably(path: string, bytes: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${randomBytes(6).toString('hex')}${UNFINISHED}`;
  const file = openSync(temporary, 'wx');
  try {
    try {
      for (let done = 0; done < bytes.length; )
        done += writeSync(file, bytes, done, Math.min(1 << 28, bytes.length - done));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    moveDurably(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Renames within the workspace and makes the new name last. */
export function moveDurably(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  renameSync(from, to);
  syncFolder(dirname(to));
}

/** True if the file is there already; it then counts as new, so that no sweep takes it from under its new user. */
export function touch(path: string): boolean {
  if (!existsSync(path)) return false;
  try {
    const now = new Date();
    utimesSync(path, now, now);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

export function syncFolder(path: string): void {
  let folder: number;
  try {
    folder = openSync(path, 'r');
  } catch {
    return; // Windows opens no folders and needs none of this
  }
  try {
    fsyncSync(folder);
  } catch {
    // Some network file systems sync no folders; the name then lasts from their next flush on.
  } finally {
    closeSync(folder);
  }
}

import { randomBytes } from 'node:crypto';
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import type { Io } from '../io.ts';

/** Where a result may be written, seen from where the user stands: refused before anything is computed. */
export function outPath(given: string, force: boolean, io: Io): string {
  const out = resolve(io.cwd, given);
  if (existsSync(out) && !force) {
    throw new CircuitscopeError(
      'file_exists',
      `${given} exists; add --force to overwrite it, or choose another name.`,
      {
        at: given,
      },
    );
  }
  if (existsSync(dirname(out))) return out;
  throw new CircuitscopeError('missing_folder', `The folder of ${given} does not exist; make it first.`, { at: given });
}

/** Text under its name as a whole, or nothing. */
export function writeText(path: string, text: string): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    writeFileSync(temporary, text, { flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** One line of a CSV file (RFC 4180): what holds a comma, a quote or a line break stands in quotes. */
export function csvLine(cells: readonly (string | number)[]): string {
  const text = cells.map(String).map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell));
  return `${text.join(',')}\r\n`;
}

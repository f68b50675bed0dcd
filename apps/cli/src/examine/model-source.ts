import { resolve } from 'node:path';
import type { Io } from '../io.ts';

/** What a record says of where its model lies, so that it can be opened again from another folder. */
export function modelSource(given: string, io: Io): string {
  return given.startsWith('zoo:') ? given : resolve(io.cwd, given);
}

import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import type { Io } from '../io.ts';

const MAX_BYTES = 256_000_000;

/**
 * The JSON value in a file that the user names. @param what the file should be: `task`
 * @throws CircuitscopeError `missing_file`, `bad_file`, `invalid_record`
 */
export function readJsonFile(given: string, what: string, io: Io): unknown {
  const path = resolve(io.cwd, given);
  if (!existsSync(path)) {
    throw new CircuitscopeError('missing_file', `${given} does not exist; check the path.`, { at: given });
  }
  const found = statSync(path);
  if (!found.isFile() || found.size > MAX_BYTES) {
    throw new CircuitscopeError('bad_file', `${given} is no ${what}: give a JSON file of at most ${MAX_BYTES} bytes.`, {
      at: given,
    });
  }
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return value;
  } catch (cause) {
    throw new CircuitscopeError('invalid_record', `${given} is not valid JSON; write the ${what} again.`, {
      at: given,
      cause,
    });
  }
}

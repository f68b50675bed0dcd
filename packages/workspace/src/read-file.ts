import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, type Stats } from 'node:fs';
import { CircuitscopeError, type Hash } from '@circuitscope/schema';

/** The largest record; what is larger is tensors. */
const MAX_RECORD_BYTES = 256_000_000;

/** @throws CircuitscopeError `missing_artefact`, or `bad_artefact` for what is no regular file */
export function statFile(path: string): Stats {
  let found: Stats;
  try {
    found = lstatSync(path);
  } catch (cause) {
    throw new CircuitscopeError('missing_artefact', `${path} is not in the workspace; compute it again.`, {
      at: path,
      cause,
    });
  }
  if (found.isFile()) return found;
  throw new CircuitscopeError(
    'bad_artefact',
    `${path} is not a regular file; a workspace holds nothing else, so remove it.`,
    { at: path },
  );
}

/** The bytes of a small file. @throws CircuitscopeError `too_large` before anything is read, `missing_artefact`, `bad_artefact` */
export function readSmallFile(path: string): Uint8Array {
  const { size } = statFile(path);
  if (size > MAX_RECORD_BYTES) {
    throw new CircuitscopeError('too_large', `${path} is larger than a record may be; it is damaged, so remove it.`, {
      at: path,
      expected: `at most ${MAX_RECORD_BYTES} bytes`,
      got: `${size} bytes`,
    });
  }
  return readFileSync(path);
}

/** A file whose name says what its bytes must hash to, as JSON. @throws CircuitscopeError `corrupt_artefact`, `bad_artefact` */
export function readVerifiedJson(path: string, hash: Hash): unknown {
  const bytes = readSmallFile(path);
  const got = digestBytes(bytes);
  if (got !== hash) throw corrupt(path, hash, got);
  return parseJson(bytes, path);
}

export function parseJson(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new CircuitscopeError('bad_artefact', `${path} holds no JSON; remove it.`, { at: path, cause });
  }
}

export function corrupt(path: string, expected: Hash, got: Hash): CircuitscopeError {
  return new CircuitscopeError(
    'corrupt_artefact',
    `${path} does not hold what its name says, so it was changed or damaged; remove it and compute it again.`,
    {
      at: path,
      expected,
      got,
    },
  );
}

export function digestBytes(bytes: Uint8Array): Hash {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

import { closeSync, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { CircuitscopeError } from '@circuitscope/schema';

/** One read call takes at most this much: Node refuses 2 GiB and more, and a pause between lets signals through. */
const PIECE = 1 << 28;

/** Length in bytes of a regular file; symbolic links are followed. @throws CircuitscopeError `missing_file`, `bad_file`. */
export function fileLength(path: string): number {
  const found = statOf(path);
  if (found.isFile()) return found.size;
  // A pipe or device must never be opened: reading one can block for ever.
  throw new CircuitscopeError('bad_file', `${path} is not a regular file; give a file or a model directory.`, {
    at: path,
    expected: 'a regular file',
    got: found.isDirectory() ? 'a directory' : 'a device, pipe or socket',
  });
}

export function statOf(path: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    throw new CircuitscopeError('missing_file', `${path} does not exist or cannot be read; check the path.`, {
      at: path,
      cause,
    });
  }
}

/** The whole of a small file. @throws CircuitscopeError `too_large` before anything is allocated. */
export function readWhole(path: string, maxBytes: number): Uint8Array {
  const length = fileLength(path);
  if (length > maxBytes) {
    throw new CircuitscopeError(
      'too_large',
      `${path} is larger than such a file may be; check that it is the right file.`,
      {
        at: path,
        expected: `at most ${maxBytes} bytes`,
        got: `${length} bytes`,
      },
    );
  }
  return readBytes(path, 0, length);
}

/** Bytes [offset, offset + length) of a file. @throws CircuitscopeError `truncated` before allocating if they are not there. */
export function readBytes(path: string, offset: number, length: number): Uint8Array {
  return withFile(path, offset, length, (file) => {
    const bytes = allocate(path, length, (size) => new Uint8Array(size));
    fill(file, path, offset, bytes);
    return bytes;
  });
}

/** Calls `take` with one piece of [offset, offset + length) after the other; the piece is reused. */
export function readPieces(
  path: string,
  offset: number,
  length: number,
  take: (piece: Uint8Array, from: number) => void,
): void {
  withFile(path, offset, length, (file) => {
    const scratch = new Uint8Array(Math.min(length, 1 << 20));
    for (let from = 0; from < length; from += scratch.length) {
      const piece = scratch.subarray(0, Math.min(scratch.length, length - from));
      fill(file, path, offset + from, piece);
      take(piece, from);
    }
  });
}

/** Fills `target` from `offset` on. */
export function readInto(path: string, offset: number, target: Uint8Array): void {
  withFile(path, offset, target.length, (file) => fill(file, path, offset, target));
}

/** Refuses a range that the file does not have. To be asked before memory for it is taken. */
export function checkRange(path: string, offset: number, length: number): void {
  const size = fileLength(path);
  if (offset + length > size) throw truncated(path, offset + length, size);
}

/** Memory for what the file was seen to have; the runtime's own limit becomes a typed error. */
export function allocate<T>(path: string, count: number, make: (count: number) => T): T {
  try {
    return make(count);
  } catch (cause) {
    throw new CircuitscopeError('too_large', `${count} entries of ${path} do not fit into one buffer here.`, {
      at: path,
      cause,
    });
  }
}

function withFile<T>(path: string, offset: number, length: number, use: (file: number) => T): T {
  checkRange(path, offset, length);
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    throw new CircuitscopeError('missing_file', `${path} cannot be opened; check its permissions.`, {
      at: path,
      cause,
    });
  }
  try {
    const size = fstatSync(file).size;
    if (offset + length > size) throw truncated(path, offset + length, size);
    return use(file);
  } finally {
    closeSync(file);
  }
}

function fill(file: number, path: string, offset: number, target: Uint8Array): void {
  let done = 0;
  while (done < target.length) {
    const count = readSync(file, target, done, Math.min(PIECE, target.length - done), offset + done);
    if (count === 0) throw truncated(path, offset + target.length, offset + done); // shortened while it was read
    done += count;
  }
}

function truncated(path: string, needed: number, size: number): CircuitscopeError {
  return new CircuitscopeError('truncated', `${path} is shorter than what it announces; fetch it again.`, {
    at: path,
    expected: `at least ${needed} bytes`,
    got: `${size} bytes`,
  });
}

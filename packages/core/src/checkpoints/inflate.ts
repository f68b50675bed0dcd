import { constants, inflateRawSync } from 'node:zlib';
import { CircuitscopeError } from '@circuitscope/schema';

/** All of a deflated entry; memory is taken for what it announces and no more. @throws CircuitscopeError `bad_zip`. */
export function inflated(packed: Uint8Array, unpackedBytes: number, at: string): Uint8Array {
  const bytes = attempt(at, () => inflateRawSync(packed, { maxOutputLength: Math.max(1, unpackedBytes) }));
  if (bytes.length === unpackedBytes) return bytes;
  throw bad(at, `${unpackedBytes} bytes`, `${bytes.length} bytes`);
}

/** What the first bytes of a deflated entry unpack to. @throws CircuitscopeError `bad_zip`. */
export function inflatedStart(packed: Uint8Array, at: string): Uint8Array {
  return attempt(at, () => inflateRawSync(packed, { finishFlush: constants.Z_SYNC_FLUSH }));
}

function attempt(at: string, inflate: () => Uint8Array): Uint8Array {
  try {
    return inflate();
  } catch (cause) {
    throw bad(at, 'bytes that inflate as announced', 'others', cause);
  }
}

function bad(at: string, expected: string, got: string, cause?: unknown): CircuitscopeError {
  return new CircuitscopeError('bad_zip', `${at} cannot be unpacked; fetch or write it again.`, {
    at,
    expected,
    got,
    cause,
  });
}

import { constants, inflateRawSync } from 'node:zlib';
import { CircuitscopeError } from '@circuitscope/schema';

/** All of a deflated entry; memory is taken for what it announces and no more. @throws CircuitscopeError `bad_zip`. */
export function inflated(packed: Uint8Array, unpackedBytes: number, at: string): Uint8Array {
  const bytes = attempt(at, () => inflateRawSync(packed, { maxOutputLength: Math.max(1, unpackedBytes) }));
  if (bytes.length === unpackedBytes) return bytes;
  throw bad(at, `${unpackedBytes} bytes`, `${bytes.length} bytes`);
}

/** Packed bytes by which a longer beginning is tried. They unpack to 4 MB at most. */
const STEP = 4096;

/**
 * At least the first `most` bytes of a deflated entry, or all of it where it has fewer. Deflate may shrink to a thousandth, so as
 * little is unpacked as will do.
 *
 * @throws CircuitscopeError `bad_zip`.
 */
export function inflatedStart(packed: Uint8Array, most: number, at: string): Uint8Array {
  for (let length = STEP; ; length += STEP) {
    const part = packed.subarray(0, length);
    const bytes = attempt(at, () => inflateRawSync(part, { finishFlush: constants.Z_SYNC_FLUSH }));
    if (bytes.length >= most || length >= packed.length) return bytes;
  }
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

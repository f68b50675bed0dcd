import { fileLength, readBytes } from './read-bytes.ts';

/** Bytes of known length that are read piece by piece: a file, or memory in tests. */
export interface ByteSource {
  /** File name, for errors and as the `file` of tensors. */
  readonly at: string;
  readonly length: number;
  /** @throws CircuitscopeError `truncated` before allocating, where the bytes are not all there. */
  read(offset: number, length: number): Uint8Array;
}

/** @throws CircuitscopeError `missing_file`, `bad_file`. */
export function fileSource(path: string): ByteSource {
  return { at: path, length: fileLength(path), read: (offset, length) => readBytes(path, offset, length) };
}

/** The bytes are not copied. */
export function memorySource(at: string, bytes: Uint8Array): ByteSource {
  return {
    at,
    length: bytes.length,
    read: (offset, length) => {
      if (offset < 0 || length < 0 || offset + length > bytes.length) {
        throw new RangeError(`${at}: bytes ${offset} to ${offset + length} of ${bytes.length}`);
      }
      return bytes.subarray(offset, offset + length);
    },
  };
}

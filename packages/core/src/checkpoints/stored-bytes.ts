import { isBlockDtype } from './block-dtypes.ts';
import { bytesPerEntry, type StoredDtype, type StoredTensor } from './checkpoint.ts';
import { readBytes, readPieces } from './read-bytes.ts';
import { readStored } from './read-stored.ts';
import { rowMajor } from './row-major.ts';
import { isPacked, unpacked } from './unpack-stored.ts';

/** The type that a tensor has once it stands by itself: blocks become float32. */
export const denseDtype = ({ dtype }: StoredTensor): StoredDtype => (isBlockDtype(dtype) ? 'f32' : dtype);

/**
 * Hands over a tensor's bytes, dense and row-major, in its stored type: as they are in the file, piece by piece; a tensor
 * with strides, a packed or a quantised one is put together first. A piece is only good until the next one.
 */
export function storedBytes(stored: StoredTensor, take: (piece: Uint8Array) => void): void {
  const { dtype, file, byteOffset, byteLength, strides } = stored;
  if (stored.data || isBlockDtype(dtype)) {
    const values = readStored(stored);
    take(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return;
  }
  if (!strides && !isPacked(stored)) {
    readPieces(file, byteOffset, byteLength, (piece) => take(piece));
    return;
  }
  const span = isPacked(stored) ? unpacked(stored) : readBytes(file, byteOffset, byteLength);
  take(strides ? gathered(span, stored.shape, strides, bytesPerEntry[dtype]) : span);
}

/** Entries of `width` bytes in row-major order. */
function gathered(span: Uint8Array, shape: readonly number[], strides: readonly number[], width: number): Uint8Array {
  const out = new Uint8Array(shape.reduce((product, size) => product * size, width));
  rowMajor(shape, strides, (from, to) => {
    for (let byte = 0; byte < width; byte++) out[to * width + byte] = span[from * width + byte] ?? 0;
  });
  return out;
}

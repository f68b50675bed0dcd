import { isBlockDtype } from './block-dtypes.ts';
import { bytesPerEntry, type StoredDtype, type StoredTensor } from './checkpoint.ts';
import { inflated } from './inflate.ts';
import { checkRange, readBytes, readPieces } from './read-bytes.ts';
import { readStored } from './read-stored.ts';
import { rowMajor } from './row-major.ts';

/** The type that a tensor has once it stands by itself: blocks become float32. */
export const denseDtype = ({ dtype }: StoredTensor): StoredDtype => (isBlockDtype(dtype) ? 'f32' : dtype);

/**
 * Hands over a tensor's bytes, dense and row-major, in its stored type: as they are in the file, piece by piece; a tensor
 * with strides, a deflated or a quantised one is put together first. A piece is only good until the next one.
 */
export function storedBytes(stored: StoredTensor, take: (piece: Uint8Array) => void): void {
  const { dtype, file, byteOffset, byteLength, strides, deflated } = stored;
  if (stored.data || isBlockDtype(dtype)) {
    const values = readStored(stored);
    take(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return;
  }
  if (!strides && !deflated) {
    readPieces(file, byteOffset, byteLength, (piece) => take(piece));
    return;
  }
  const { byteOffset: from, byteLength: length } = deflated ?? stored;
  checkRange(file, from, length);
  const packed = readBytes(file, from, length);
  const span = deflated
    ? inflated(packed, deflated.unpackedBytes, `${file}: ${stored.name}`).subarray(byteOffset, byteOffset + byteLength)
    : packed;
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

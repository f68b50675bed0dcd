import { inflateSync } from 'node:zlib';
import type { StoredChunks, StoredTensor } from './checkpoint.ts';
import { badHdf5 } from './hdf5-cursor.ts';
import { inflated } from './inflate.ts';
import { allocate, checkRange, readBytes } from './read-bytes.ts';

/** Whether a tensor's bytes do not lie in its file as they are. */
export const isPacked = ({ deflated, chunks }: StoredTensor): boolean => deflated !== undefined || chunks !== undefined;

/** The bytes of a tensor that lies deflated or in chunks; the whole entry or dataset is put together for it. */
export function unpacked({ file, name, byteOffset, byteLength, deflated, chunks }: StoredTensor): Uint8Array {
  const at = `${file}: ${name}`;
  if (chunks) return assembled(chunks, file, at).subarray(byteOffset, byteOffset + byteLength);
  if (!deflated) return readBytes(file, byteOffset, byteLength);
  checkRange(file, deflated.byteOffset, deflated.byteLength);
  const packed = readBytes(file, deflated.byteOffset, deflated.byteLength);
  return inflated(packed, deflated.unpackedBytes, at).subarray(byteOffset, byteOffset + byteLength);
}

function assembled({ whole, shape, entryBytes, filters, pieces }: StoredChunks, file: string, at: string): Uint8Array {
  const chunkBytes = shape.reduce((product, size) => product * size, entryBytes);
  const last = whole.length - 1;
  const rows = shape.slice(0, last).reduce((product, size) => product * size, 1);
  const read = ({ byteOffset, byteLength }: StoredChunks['pieces'][number]): Uint8Array =>
    filters.reduceRight<Uint8Array>(
      (chunk, filter) => (filter === 'deflate' ? inflatedChunk(chunk, chunkBytes, at) : unshuffled(chunk, entryBytes)),
      readBytes(file, byteOffset, byteLength),
    );
  // One chunk before memory is taken for all of them: sizes that lie show there.
  const first = pieces[0] && read(pieces[0]);
  const bytes = whole.reduce((product, size) => product * size, entryBytes);
  const out = allocate(file, bytes, (length) => new Uint8Array(length));
  for (const piece of pieces) {
    const { start } = piece;
    const chunk = piece === pieces[0] && first ? first : read(piece);
    const count = Math.min(shape[last] ?? 1, (whole[last] ?? 1) - (start[last] ?? 0)) * entryBytes;
    for (let row = 0; row < rows; row++) {
      // Where the chunk's row stands in the whole; rows beyond its edge are padding.
      let [rest, to, step, inside] = [row, start[last] ?? 0, whole[last] ?? 1, true];
      for (let axis = last - 1; axis >= 0; axis--) {
        const size = shape[axis] ?? 1;
        const place = (start[axis] ?? 0) + (rest % size);
        inside &&= place < (whole[axis] ?? 1);
        to += place * step;
        step *= whole[axis] ?? 1;
        rest = Math.floor(rest / size);
      }
      const from = row * (shape[last] ?? 1) * entryBytes;
      if (inside) out.set(chunk.subarray(from, from + count), to * entryBytes);
    }
  }
  return out;
}

/** Memory is taken for what a chunk must hold and no more. */
function inflatedChunk(packed: Uint8Array, bytes: number, at: string): Uint8Array {
  let chunk: Uint8Array;
  try {
    chunk = inflateSync(packed, { maxOutputLength: bytes });
  } catch {
    throw badHdf5(at, 'a chunk cannot be unpacked', `${bytes} bytes`, 'bytes that do not inflate to that');
  }
  if (chunk.length !== bytes) throw badHdf5(at, 'a chunk unpacks to too little', `${bytes}`, `${chunk.length}`);
  return chunk;
}

/** Undoes the shuffle filter, which puts first bytes of all entries first, then second ones. */
function unshuffled(bytes: Uint8Array, entryBytes: number): Uint8Array {
  const count = bytes.length / entryBytes;
  const out = new Uint8Array(bytes.length);
  for (let entry = 0; entry < count; entry++)
    for (let byte = 0; byte < entryBytes; byte++) out[entry * entryBytes + byte] = bytes[byte * count + entry] ?? 0;
  return out;
}

import { CircuitscopeError } from '@circuitscope/schema';
import type { Floats } from '../tensor/index.ts';
import { blockFormats, isBlockDtype } from './block-dtypes.ts';
import { bytesOfEntries, bytesPerEntry, type StoredDtype, type StoredTensor } from './checkpoint.ts';
import { fromBfloat16, fromFloat16 } from './half.ts';
import { allocate, checkRange, readBytes, readInto, readPieces } from './read-bytes.ts';
import { rowMajor } from './row-major.ts';
import { isPacked, unpacked } from './unpack-stored.ts';

/**
 * The values of a stored weight [product of its shape], widened from bf16 or f16 (exact) or rounded from f64 to f32. Reads
 * exactly its bytes from the file; what is in the map of a checkpoint costs nothing until then.
 *
 * @throws CircuitscopeError `unsupported_dtype` for integers and booleans: buffers, not weights; see {@link readStoredFloat64}.
 */
export function readStored(stored: StoredTensor): Float32Array {
  if (stored.data) return dense(stored, stored.data.slice(), float32);
  const count = entries(stored);
  if (stored.dtype === 'f32') {
    const out = float32(stored.file, count);
    fill(stored, new Uint8Array(out.buffer));
    return dense(stored, out, float32);
  }
  if (stored.dtype === 'bf16' || stored.dtype === 'f16' || stored.dtype === 'f64') {
    return dense(stored, widened(stored, stored.dtype, float32(stored.file, count)), float32);
  }
  if (isBlockDtype(stored.dtype)) return dense(stored, dequantised(stored, float32(stored.file, count)), float32);
  throw new CircuitscopeError('unsupported_dtype', `${stored.name} holds ${stored.dtype}; a weight holds floats.`, {
    at: `${stored.file}: ${stored.name}`,
    expected: 'f32, bf16, f16, f64 or a quantised type',
    got: stored.dtype,
  });
}

/** The values of any stored tensor in float64. @throws CircuitscopeError `out_of_range` for an integer beyond ±(2⁵³ − 1). */
export function readStoredFloat64(stored: StoredTensor): Float64Array {
  if (stored.data) return dense(stored, Float64Array.from(stored.data), float64);
  if (isBlockDtype(stored.dtype)) return Float64Array.from(readStored(stored));
  const out = float64(stored.file, entries(stored));
  return dense(stored, widened(stored, stored.dtype, out), float64);
}

const float64 = (path: string, entryCount: number) => allocate(path, entryCount, (count) => new Float64Array(count));
const float32 = (path: string, entryCount: number) => allocate(path, entryCount, (count) => new Float32Array(count));

/** Entries between the first and the last one; refuses a record that disagrees with itself or with its file, before allocating. */
function entries(stored: StoredTensor): number {
  const { shape, strides } = stored;
  const count = shape.reduce((product, size) => product * size, 1);
  const span = strides ? 1 + shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] ?? 0), 0) : count;
  const consistent =
    Number.isSafeInteger(span) && count <= span && bytesOfEntries(stored.dtype, span) === stored.byteLength;
  if (consistent) {
    const { byteOffset, byteLength } = stored.deflated ?? stored;
    if (!stored.chunks) checkRange(stored.file, byteOffset, byteLength);
    return span;
  }
  throw new CircuitscopeError(
    'bad_tensor',
    `The shape and the length of ${stored.name} disagree; open the file again.`,
    {
      at: `${stored.file}: ${stored.name}`,
      expected: `[${shape.join(', ')}] ${stored.dtype} in ${bytesOfEntries(stored.dtype, span)} bytes`,
      got: `${stored.byteLength} bytes`,
    },
  );
}

/** Entries in row-major order, gathered by strides where there are any. */
function dense<T extends Floats>(
  { file, shape, strides }: StoredTensor,
  span: T,
  make: (file: string, count: number) => T,
): T {
  if (!strides) return span;
  const out = make(
    file,
    shape.reduce((product, size) => product * size, 1),
  );
  rowMajor(shape, strides, (from, to) => {
    out[to] = span[from] ?? 0;
  });
  return out;
}

function widened<T extends Floats>(stored: StoredTensor, dtype: StoredDtype, out: T): T {
  const width = bytesPerEntry[dtype];
  pieces(stored, (piece, from) => {
    const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
    const start = from / width; // pieces are of 1 MiB, so it never cuts an entry
    const count = piece.byteLength / width;
    for (let i = 0; i < count; i++) out[start + i] = entryAt(stored, dtype, view, i);
  });
  return out;
}

/** Block by block, from pieces of about 1 MiB that hold whole blocks. */
function dequantised(stored: StoredTensor, out: Float32Array): Float32Array {
  if (!isBlockDtype(stored.dtype)) return out;
  const { entries: perBlock, bytes: blockBytes, unpack } = blockFormats[stored.dtype];
  const blocks = out.length / perBlock;
  const perPiece = Math.floor((1 << 20) / blockBytes);
  for (let first = 0; first < blocks; first += perPiece) {
    const count = Math.min(perPiece, blocks - first);
    const piece = readBytes(stored.file, stored.byteOffset + first * blockBytes, count * blockBytes);
    for (let i = 0; i < count; i++) unpack(piece, i * blockBytes, out, (first + i) * perBlock);
  }
  return out;
}

function fill(stored: StoredTensor, target: Uint8Array): void {
  if (isPacked(stored)) target.set(unpacked(stored));
  else readInto(stored.file, stored.byteOffset, target);
}

function pieces(stored: StoredTensor, take: (piece: Uint8Array, from: number) => void): void {
  if (isPacked(stored)) take(unpacked(stored), 0);
  else readPieces(stored.file, stored.byteOffset, stored.byteLength, take);
}

function entryAt(stored: StoredTensor, dtype: StoredDtype, view: DataView, i: number): number {
  switch (dtype) {
    case 'f64':
      return view.getFloat64(8 * i, true);
    case 'f32':
      return view.getFloat32(4 * i, true);
    case 'bf16':
      return fromBfloat16(view.getUint16(2 * i, true));
    case 'f16':
      return fromFloat16(view.getUint16(2 * i, true));
    case 'i64':
      return safe(stored, view.getBigInt64(8 * i, true));
    case 'u64':
      return safe(stored, view.getBigUint64(8 * i, true));
    case 'i32':
      return view.getInt32(4 * i, true);
    case 'u32':
      return view.getUint32(4 * i, true);
    case 'i16':
      return view.getInt16(2 * i, true);
    case 'u16':
      return view.getUint16(2 * i, true);
    case 'i8':
      return view.getInt8(i);
    case 'u8':
      return view.getUint8(i);
    case 'bool':
      return view.getUint8(i) === 0 ? 0 : 1;
  }
}

function safe(stored: StoredTensor, value: bigint): number {
  if (BigInt.asIntN(54, value) === value) return Number(value);
  throw new CircuitscopeError('out_of_range', `${stored.name} holds an integer that a float64 cannot hold exactly.`, {
    at: `${stored.file}: ${stored.name}`,
    got: String(value),
  });
}

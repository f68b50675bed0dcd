import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { CircuitscopeError } from '@circuitscope/schema';
import { bytesPerEntry, type StoredDtype } from './checkpoint.ts';

export type WritableData = Float32Array | Float64Array | Int32Array;

/** A tensor to write. A function is called when its turn comes, so that no two big tensors need to be alive together. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: 'f32' | 'f64' | 'i32';
  readonly shape: readonly number[];
  readonly data: WritableData | (() => WritableData);
}

/** A tensor that already is bytes, of any type; they are handed over in pieces when its turn comes. */
export interface BytesToWrite {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly bytes: (take: (piece: Uint8Array) => void) => void;
}

const nameOf = (dtype: StoredDtype): string => dtype.toUpperCase();

/**
 * Writes a safetensors file: equal tensors and metadata give equal bytes, whatever order they come in. Tensors stand sorted
 * by width (8 bytes first, so that all stay aligned), then by name in code units; the header is padded to 8 bytes. The file
 * appears whole under its name or not at all.
 *
 * @throws CircuitscopeError `bad_tensor` for a shape, type or name that does not fit; what the file system refuses as it is.
 */
export function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite | BytesToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const sorted = [...tensors].sort(
    (a, b) => bytesPerEntry[b.dtype] - bytesPerEntry[a.dtype] || compare(a.name, b.name),
  );
  const head = header(sorted, metadata);
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  const file = openSync(temporary, 'wx');
  try {
    try {
      writeAll(file, head);
      for (const tensor of sorted) {
        if ('bytes' in tensor) writePieces(file, tensor);
        else writeAll(file, bytesOf(tensor));
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function header(
  tensors: readonly (TensorToWrite | BytesToWrite)[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries: string[] = [];
  const meta = Object.keys(metadata).sort(compare);
  if (meta.length > 0) {
    entries.push(
      `"__metadata__":{${meta.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`).join(',')}}`,
    );
  }
  const seen = new Set(['__metadata__']);
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (seen.has(name)) throw bad(name, 'the name is taken', 'names that differ', name);
    seen.add(name);
    const end = offset + entriesOf(name, shape) * bytesPerEntry[dtype];
    entries.push(
      `${JSON.stringify(name)}:{"dtype":"${nameOf(dtype)}","shape":[${shape.join(',')}],"data_offsets":[${offset},${end}]}`,
    );
    offset = end;
  }
  const text = new TextEncoder().encode(`{${entries.join(',')}}`);
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  return bytes;
}

function entriesOf(name: string, shape: readonly number[]): number {
  const count = shape.reduce((product, size) => product * size, 1);
  if (Number.isSafeInteger(8 * count) && shape.every((size) => Number.isSafeInteger(size) && size >= 0)) return count;
  throw bad(name, 'the shape is not one of whole numbers', 'sizes from 0 on', `[${shape.join(', ')}]`);
}

/** The tensor's own memory, seen as bytes; nothing is copied. */
function bytesOf({ name, dtype, shape, data }: TensorToWrite): Uint8Array {
  const values = typeof data === 'function' ? data() : data;
  const kind = values instanceof Float32Array ? 'f32' : values instanceof Float64Array ? 'f64' : 'i32';
  if (kind !== dtype) throw bad(name, 'the data have another type', dtype, kind);
  if (values.length !== entriesOf(name, shape)) {
    throw bad(name, 'shape and data disagree', `[${shape.join(', ')}]`, `${values.length} entries`);
  }
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function writePieces(file: number, { name, dtype, shape, bytes }: BytesToWrite): void {
  const expected = entriesOf(name, shape) * bytesPerEntry[dtype];
  let written = 0;
  bytes((piece) => {
    writeAll(file, piece);
    written += piece.length;
  });
  if (written !== expected) throw bad(name, 'shape and data disagree', `${expected} bytes`, `${written} bytes`);
}

function writeAll(file: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) done += writeSync(file, bytes, done, Math.min(1 << 28, bytes.length - done));
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function bad(name: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError('bad_tensor', `The tensor ${JSON.stringify(name)} cannot be written: ${what}.`, {
    at: name,
    expected,
    got,
  });
}

import type { StoredDtype } from './checkpoint.ts';
import { badHdf5, type Hdf5Cursor } from './hdf5-cursor.ts';

// The messages of an object header that a dataset or an attribute is described by.

/** What entries are: numbers, texts of fixed length, texts in a heap; `other` is known to exist and not read. */
export type Hdf5Type =
  | { readonly kind: 'number'; readonly dtype: StoredDtype; readonly bytes: number }
  | { readonly kind: 'text'; readonly bytes: number }
  | { readonly kind: 'heap_text'; readonly bytes: number }
  | { readonly kind: 'other'; readonly what: string; readonly bytes: number };

const classes = ['integers', 'floats', 'times', 'text', 'bit fields', 'opaque bytes', 'records', 'references', 'enums'];

export function readType(from: Hdf5Cursor): Hdf5Type {
  const head = from.u8();
  from.expect('the version of a type', head >> 4, 1, 2, 3);
  const [low, , high] = from.take(3);
  const bits = (low ?? 0) | ((high ?? 0) << 16);
  const bytes = from.u32();
  const kind = head & 15;
  const other = (what: string): Hdf5Type => ({ kind: 'other', what, bytes });
  if (kind === 0) {
    const [offset, precision] = [from.u16(), from.u16()];
    if (bits & 1) return other('big-endian integers');
    const dtype = integers.get(`${bits & 8 ? 'i' : 'u'}${bytes}`);
    return dtype && offset === 0 && precision === 8 * bytes ? { kind: 'number', dtype, bytes } : other('odd integers');
  }
  if (kind === 1) {
    if (bits & 0x41) return other('big-endian floats');
    const layout = [from.u16(), from.u16(), from.u8(), from.u8(), from.u8(), from.u8(), from.u32()];
    const dtype = floats.get(layout.join());
    return dtype && bytes * 8 === layout[1] ? { kind: 'number', dtype, bytes } : other('odd floats');
  }
  if (kind === 3) return { kind: 'text', bytes };
  if (kind === 9) return (bits & 15) === 1 && bytes === 16 ? { kind: 'heap_text', bytes } : other('lists');
  return other(classes[kind] ?? `type ${kind}`);
}

const integers: ReadonlyMap<string, StoredDtype> = new Map([
  ['i1', 'i8'],
  ['i2', 'i16'],
  ['i4', 'i32'],
  ['i8', 'i64'],
  ['u1', 'u8'],
  ['u2', 'u16'],
  ['u4', 'u32'],
  ['u8', 'u64'],
]);

/** By bit offset, precision, where exponent and mantissa begin and how long they are, and the exponent's bias. */
const floats: ReadonlyMap<string, StoredDtype> = new Map([
  ['0,16,10,5,0,10,15', 'f16'],
  ['0,16,7,8,0,7,127', 'bf16'],
  ['0,32,23,8,0,23,127', 'f32'],
  ['0,64,52,11,0,52,1023', 'f64'],
]);

/** The sizes of a dataset or attribute; none for one value alone. */
export function readShape(from: Hdf5Cursor): readonly number[] {
  const version = from.u8();
  from.expect('the version of a shape', version, 1, 2);
  const rank = from.u8();
  if (rank > 8) throw badHdf5(from.at, 'it has too many axes', 'at most 8', `${rank}`);
  from.skip(1);
  if (version === 1) from.skip(5);
  else from.expect('an empty dataset', from.u8(), 0, 1);
  return Array.from({ length: rank }, () => from.size());
}

export type Hdf5Layout =
  | { readonly kind: 'compact'; readonly place: number; readonly byteLength: number }
  | { readonly kind: 'contiguous'; readonly address: number | undefined; readonly byteLength: number }
  /** @property sizes of a chunk in entries along each axis, and at the end the bytes of an entry */
  | { readonly kind: 'chunked'; readonly tree: number | undefined; readonly sizes: readonly number[] };

export function readLayout(from: Hdf5Cursor): Hdf5Layout {
  from.expect('the version of a layout', from.u8(), 3);
  const kind = from.u8();
  if (kind === 0) {
    const byteLength = from.u16();
    const { place } = from;
    from.skip(byteLength);
    return { kind: 'compact', place, byteLength };
  }
  if (kind === 1) return { kind: 'contiguous', address: from.address(), byteLength: from.size() };
  from.expect('the kind of a layout', kind, 2);
  const rank = from.u8();
  if (rank < 2 || rank > 9) throw badHdf5(from.at, 'its chunks have too many axes', '1 to 8', `${rank - 1}`);
  const tree = from.address();
  return { kind: 'chunked', tree, sizes: Array.from({ length: rank }, () => from.u32()) };
}

export type Hdf5Filter = 'deflate' | 'shuffle';

const filterNames = new Map([
  [3, 'checksums (fletcher32)'],
  [4, 'szip'],
  [5, 'nbit'],
  [6, 'scale-offset'],
  [32000, 'lzf'],
  [32001, 'blosc'],
  [32015, 'zstd'],
]);

/** What was done to each chunk, in order. */
export function readFilters(from: Hdf5Cursor): readonly Hdf5Filter[] {
  const version = from.u8();
  from.expect('the version of a filter list', version, 1, 2);
  const count = from.u8();
  if (version === 1) from.skip(6);
  return Array.from({ length: count }, (): Hdf5Filter => {
    const id = from.u16();
    const named = version === 1 || id >= 256 ? from.u16() : 0;
    from.skip(2);
    const values = from.u16();
    from.skip(version === 1 ? Math.ceil(named / 8) * 8 : named);
    from.skip(4 * (version === 1 ? Math.ceil(values / 2) * 2 : values));
    if (id === 1) return 'deflate';
    if (id === 2) return 'shuffle';
    throw badHdf5(from.at, `it is stored with ${filterNames.get(id) ?? `filter ${id}`}`, 'gzip or nothing', `${id}`);
  });
}

/** A name with what it means, as the body of an attribute message begins; `from` is left at the attribute's data. */
export function readAttributeHead(from: Hdf5Cursor): {
  readonly name: string;
  readonly typeBytes: Uint8Array;
  readonly shapeBytes: Uint8Array;
} {
  const version = from.u8();
  from.expect('the version of an attribute', version, 1, 2, 3);
  const flags = from.u8();
  const [nameLength, typeLength, shapeLength] = [from.u16(), from.u16(), from.u16()];
  if (version === 3) from.skip(1);
  if (version > 1) from.expect('an attribute of a type that stands elsewhere', flags, 0);
  const padded = (length: number): Uint8Array => {
    const taken = from.take(length);
    if (version === 1) from.skip(Math.min(from.left, Math.ceil(length / 8) * 8 - length));
    return taken;
  };
  const name = padded(nameLength);
  const end = name.indexOf(0);
  return {
    name: new TextDecoder().decode(end < 0 ? name : name.subarray(0, end)),
    typeBytes: padded(typeLength),
    shapeBytes: padded(shapeLength),
  };
}

import { CircuitscopeError } from '@circuitscope/schema';
import { type ByteSource, fileSource } from './byte-source.ts';
import { bytesPerEntry, type StoredDtype, type StoredTensor } from './checkpoint.ts';
import { inflatedStart } from './inflate.ts';
import { readZip, type ZipEntry } from './zip.ts';

const limits = { headerBytes: 65_536, rank: 8, arrays: 100_000 } as const;

/** numpy's type strings. Byte order `<`, or `|` where there is one byte. */
const dtypes: ReadonlyMap<string, StoredDtype> = new Map([
  ['<f8', 'f64'],
  ['<f4', 'f32'],
  ['<f2', 'f16'],
  ['<i8', 'i64'],
  ['<i4', 'i32'],
  ['<i2', 'i16'],
  ['|i1', 'i8'],
  ['<u8', 'u64'],
  ['<u4', 'u32'],
  ['<u2', 'u16'],
  ['|u1', 'u8'],
  ['|b1', 'bool'],
]);

/** The array of a .npy file, which is read where it lies. @throws CircuitscopeError `bad_npy`, `missing_file`, `truncated`. */
export function readNpy(path: string): StoredTensor {
  return parseNpy(fileSource(path), 'array');
}

/** The same for bytes from anywhere. */
export function parseNpy(source: ByteSource, name: string): StoredTensor {
  const header = parseHeader((most) => source.read(0, Math.min(most, source.length)), source.at);
  return stored(header, name, source.at, 0, source.length, source.at);
}

/**
 * The arrays of an .npz archive by name. Those of `savez` lie in the file as they are; those of `savez_compressed` are
 * inflated when they are read, each as a whole.
 *
 * @throws CircuitscopeError `bad_npy`, `bad_zip`.
 */
export function readNpz(source: ByteSource): StoredTensor[] {
  const tensors: StoredTensor[] = [];
  for (const entry of readZip(source).values()) {
    const at = `${source.at}: ${entry.name}`;
    if (!entry.name.endsWith('.npy')) throw bad(at, 'an npz archive holds .npy files alone', 'NAME.npy', entry.name);
    if (tensors.length >= limits.arrays) throw bad(at, 'there are too many arrays', `${limits.arrays}`, 'more');
    const name = entry.name.slice(0, -'.npy'.length);
    const header = parseHeader((most) => beginning(source, entry, most), at);
    const { byteOffset, byteLength, unpackedBytes } = entry;
    const plain = entry.method === 'stored';
    const tensor = stored(header, name, source.at, plain ? byteOffset : 0, unpackedBytes, at);
    tensors.push(plain ? tensor : { ...tensor, deflated: { byteOffset, byteLength, unpackedBytes } });
  }
  if (tensors.length === 0) throw bad(source.at, 'it holds no arrays', 'arrays', 'none');
  return tensors;
}

function beginning(source: ByteSource, entry: ZipEntry, most: number): Uint8Array {
  const { byteOffset, byteLength, unpackedBytes, method } = entry;
  if (method === 'stored') return source.read(byteOffset, Math.min(most, byteLength));
  // Packed bytes can be more than what they unpack to: by the first table, which has some 300 bytes.
  const packed = source.read(byteOffset, Math.min(byteLength, most + 1024));
  const wanted = Math.min(most, unpackedBytes);
  return inflatedStart(packed, wanted, `${source.at}: ${entry.name}`).subarray(0, wanted);
}

interface Header {
  readonly dtype: StoredDtype;
  readonly fortran: boolean;
  readonly shape: readonly number[];
  readonly dataStart: number;
}

/** Magic, version, length, and one Python dict of three fields, which is matched, never evaluated. */
function parseHeader(start: (most: number) => Uint8Array, at: string): Header {
  const head = start(12);
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  if (head.length < 12 || !magic.every((byte, i) => head[i] === byte))
    throw bad(at, 'it does not begin like one', '\\x93NUMPY', `${head.length} bytes of something else`);
  const version = head[6] ?? 0;
  if (version < 1 || version > 3) throw bad(at, 'its version is not known', '1, 2 or 3', `${version}`);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const [prefix, length] = version === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  if (length > limits.headerBytes)
    throw bad(at, 'its header is too long', `at most ${limits.headerBytes} bytes`, `${length} bytes`);
  const bytes = start(prefix + length);
  if (bytes.length < prefix + length) throw bad(at, 'its header is cut off', `${prefix + length}`, `${bytes.length}`);
  const text = new TextDecoder('latin1').decode(bytes.subarray(prefix, prefix + length));
  return { ...parseLiteral(text, at), dataStart: prefix + length };
}

function parseLiteral(text: string, at: string): Omit<Header, 'dataStart'> {
  const inside = /^\{(.*)\}\s*$/s.exec(text)?.[1];
  if (inside === undefined) throw bad(at, 'its header is no dict', '{…}', JSON.stringify(text.slice(0, 60)));
  const fields = new Map<string, string>();
  let rest = inside.trim();
  while (rest !== '') {
    const found = /^'(\w{1,40})'\s*:\s*('[^'\\]{0,40}'|True|False|\([\d\s,]{0,400}\))\s*(?:,\s*|$)/.exec(rest);
    if (!found)
      throw bad(at, 'its header has a field that is none', "'name': value", JSON.stringify(rest.slice(0, 60)));
    const [whole, key = '', value = ''] = found;
    if (fields.has(key)) throw bad(at, 'its header has a field twice', 'once', key);
    fields.set(key, value);
    rest = rest.slice(whole.length);
  }
  const [descr = '', order = '', shape = ''] = ['descr', 'fortran_order', 'shape'].map((key) => fields.get(key));
  if (fields.size !== 3 || !descr || !order || !shape)
    throw bad(at, 'its header has other fields', 'descr, fortran_order, shape', [...fields.keys()].join(', '));
  const dtype = dtypes.get(descr.slice(1, -1));
  if (!descr.startsWith("'") || !dtype) {
    throw bad(at, 'its type is not read here (no objects, records, big-endian)', [...dtypes.keys()].join(' '), descr);
  }
  if (order !== 'True' && order !== 'False') throw bad(at, 'fortran_order is no truth value', 'True or False', order);
  const numbers = /^\(\s*(?:\d+\s*,\s*)*(?:\d+\s*)?\)$/.test(shape) ? (shape.match(/\d+/g) ?? []).map(Number) : null;
  if (!numbers || numbers.length > limits.rank || (numbers.length === 1 && !shape.includes(',')))
    throw bad(at, 'its shape is none', `a tuple of at most ${limits.rank} numbers`, shape.slice(0, 60));
  return { dtype, fortran: order === 'True', shape: numbers };
}

/** @param start first byte of the .npy, @param length its bytes, which header and data must fill. */
function stored(header: Header, name: string, file: string, start: number, length: number, at: string): StoredTensor {
  const { dtype, fortran, shape, dataStart } = header;
  const byteLength = shape.reduce((product, size) => product * size, bytesPerEntry[dtype]);
  if (!Number.isSafeInteger(byteLength) || !shape.every(Number.isSafeInteger) || dataStart + byteLength !== length) {
    const expected = `[${shape.join(', ')}] ${dtype} = ${byteLength} bytes`;
    throw bad(at, 'shape and data disagree', expected, `${length - dataStart} bytes`);
  }
  const tensor = { name, dtype, shape, file, byteOffset: start + dataStart, byteLength };
  const long = shape.filter((size) => size !== 1).length;
  if (!fortran || byteLength === 0 || long < 2) return tensor;
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((product, size) => product * size, 1));
  return { ...tensor, strides };
}

function bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError(
    'bad_npy',
    `${at} is not a usable numpy file: ${what}; write it again with numpy.save.`,
    {
      at,
      expected,
      got,
    },
  );
}

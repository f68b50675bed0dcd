import { CircuitscopeError } from '@circuitscope/schema';
import type { ByteSource } from './byte-source.ts';
import { bytesPerEntry, type StoredTensor } from './checkpoint.ts';
import { crc32 } from './crc32.ts';
import { namedTensors } from './named-tensors.ts';
import { isKind, pickleLimits, unpickle } from './pickle.ts';
import {
  storageEntryBytes,
  type TorchPickled,
  type TorchStorage,
  type TorchTensor,
  torchNames,
} from './torch-values.ts';
import { readZip, type ZipEntry } from './zip.ts';

/** The number that legacy files begin with, as pickle: PROTO 2, LONG1 of ten bytes. */
const legacyStart = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const legacyProtocol = 1001;

/** A zip archive (since PyTorch 1.6) or a legacy file, which begins with a pickled magic number. */
export function isPytorch(head: Uint8Array): boolean {
  return [[0x50, 0x4b, 3, 4], legacyStart.slice(0, 4)].some((start) => start.every((byte, i) => head[i] === byte));
}

/**
 * The tensors of a file that `torch.save` wrote, as views into the file: the pickle is read by a machine that can only
 * describe data, the storages stay where they are. Strides and offsets are kept.
 *
 * @throws CircuitscopeError `pickle_refused`, `bad_pickle`, `bad_pytorch`, `bad_zip`, `truncated`.
 */
export function readPytorch(source: ByteSource): StoredTensor[] {
  const head = source.read(0, Math.min(4, source.length));
  if (!isPytorch(head)) {
    throw bad(
      source.at,
      'it is neither a zip archive nor a legacy file of torch.save',
      'PK or a magic number',
      'neither',
    );
  }
  return head[0] === 0x50 ? fromZip(source) : fromLegacy(source);
}

function fromZip(source: ByteSource): StoredTensor[] {
  const { at } = source;
  const entries = readZip(source);
  const pickles = [...entries.keys()].filter((name) => name === 'data.pkl' || name.endsWith('/data.pkl'));
  const [pickle] = pickles;
  if (pickle === undefined || pickles.length > 1)
    throw bad(at, 'it does not hold one data.pkl', 'one', `${pickles.length}`);
  const root = pickle.slice(0, -'data.pkl'.length);
  if (entries.has(`${root}constants.pkl`)) {
    throw new CircuitscopeError('pickle_refused', `${at} is a TorchScript program; save its state_dict instead.`, {
      at,
    });
  }
  const order = entries.get(`${root}byteorder`);
  if (order && new TextDecoder().decode(whole(source, order, 16)).trim() !== 'little')
    throw bad(at, 'its numbers are not little-endian', 'little', 'another byte order');
  const listed = entries.get(pickle);
  const bytes = listed ? whole(source, listed, pickleLimits.bytes) : new Uint8Array();
  const { value, end } = unpickle(bytes, 0, `${at}: ${pickle}`, torchNames(new Map()));
  if (end !== bytes.length) throw bad(at, 'bytes follow the pickle', `${end} bytes`, `${bytes.length} bytes`);
  const place = (storage: TorchStorage): Place => {
    const entry = entries.get(`${root}data/${storage.key}`);
    if (!entry)
      throw bad(at, `the storage ${short(storage.key)} is missing`, `${root}data/${short(storage.key)}`, 'none');
    if (entry.method !== 'stored')
      throw bad(`${at}: ${entry.name}`, 'a storage is packed', 'stored entries, as torch.save writes them', 'deflate');
    return { byteOffset: entry.byteOffset, byteLength: entry.byteLength };
  };
  return placed(namedTensors(value, at), source, place);
}

interface Place {
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** magic number, protocol, system, value, storage keys: five pickles; then each storage as int64 count and its bytes. */
function fromLegacy(source: ByteSource): StoredTensor[] {
  const { at } = source;
  const { values, seen, end } = legacyPickles(source);
  const [, protocol, , value, keys] = values;
  if (protocol !== legacyProtocol) throw bad(at, 'the protocol is not known', `${legacyProtocol}`, show(protocol));
  if (value === undefined || !isKind(keys, 'list')) throw bad(at, 'the list of storages is missing', 'a list', 'none');
  const tensors = namedTensors(value, at);
  const places = new Map<string, Place>();
  let next = end;
  for (const key of keys.items) {
    const storage = typeof key === 'string' ? seen.get(key) : undefined;
    if (!storage || places.has(storage.key))
      throw bad(at, 'a storage is unknown, or listed twice', 'storages that the pickle names', show(key));
    if (next + 8 > source.length) throw bad(at, 'a storage is cut off', `${next + 8} bytes`, `${source.length} bytes`);
    const head = source.read(next, 8);
    const count = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
    const byteLength = storage.count * storageEntryBytes(storage);
    if (count !== BigInt(storage.count) || byteLength > source.length - next - 8) {
      const what = `the storage ${short(storage.key)} is cut off or has another length`;
      throw bad(at, what, `${storage.count} entries`, `${count} entries, ${source.length - next - 8} bytes left`);
    }
    places.set(storage.key, { byteOffset: next + 8, byteLength });
    next += 8 + byteLength;
  }
  if (next !== source.length) throw bad(at, 'bytes follow the last storage', `${next} bytes`, `${source.length} bytes`);
  return placed(tensors, source, (storage) => {
    const found = places.get(storage.key);
    if (!found) throw bad(at, `the storage ${short(storage.key)} is missing`, 'a listed storage', 'none');
    return found;
  });
}

interface LegacyPickles {
  readonly values: readonly TorchPickled[];
  readonly seen: ReadonlyMap<string, TorchStorage>;
  /** Where the last one ends. */
  readonly end: number;
}

/** The five pickles. Their length is not known before, so ever larger beginnings of the file are tried. */
function legacyPickles(source: ByteSource): LegacyPickles {
  for (let length = 1 << 16; ; length *= 4) {
    const known = Math.min(length, source.length, pickleLimits.bytes);
    const bytes = source.read(0, known);
    if (!legacyStart.every((byte, i) => bytes[i] === byte))
      throw bad(source.at, 'the magic number is wrong', 'that of torch.save', 'another');
    try {
      const values: TorchPickled[] = [];
      const seen = new Map<string, TorchStorage>();
      let end = 0;
      while (values.length < 5) {
        const read = unpickle(bytes, end, source.at, torchNames(seen));
        values.push(read.value);
        end = read.end;
      }
      return { values, seen, end };
    } catch (error) {
      const cut = error instanceof CircuitscopeError && error.code === 'truncated';
      if (!cut || known === source.length || known === pickleLimits.bytes) throw error;
    }
  }
}

/** Each tensor's bytes: from its first entry to its last one, which must lie in the storage, which must be as long as said. */
function placed(
  tensors: ReadonlyMap<string, TorchTensor>,
  source: ByteSource,
  placeOf: (storage: TorchStorage) => Place,
): StoredTensor[] {
  return [...tensors].map(([name, { storage, dtype, offset, shape, strides }]) => {
    const at = `${source.at}: ${name}`;
    const { byteOffset, byteLength } = placeOf(storage);
    const unit = storageEntryBytes(storage);
    if (storage.count * unit !== byteLength)
      throw bad(at, 'its storage has another length', `${storage.count * unit} bytes`, `${byteLength} bytes`);
    const width = bytesPerEntry[dtype];
    const capacity = Math.floor((storage.length * unit) / width);
    const count = shape.reduce((product, size) => product * size, 1);
    const last = offset + shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] ?? 0), 0);
    const inside = count === 0 || (Number.isSafeInteger(last) && last < capacity);
    // A view that repeats entries could ask for any amount of memory.
    const span = count === 0 ? 0 : last - offset + 1;
    if (!inside || !(count <= span)) {
      const what = inside ? 'it repeats entries of its storage' : 'it reaches beyond its storage';
      throw bad(at, what, `at most ${capacity} entries`, `[${shape.join(', ')}] from ${offset} on`);
    }
    const dense = isDense(shape, strides);
    return {
      name,
      dtype,
      shape,
      file: source.at,
      byteOffset: byteOffset + storage.from * unit + (count === 0 ? 0 : offset) * width,
      byteLength: (dense ? count : span) * width,
      ...(dense ? {} : { strides }),
    };
  });
}

/** Row-major without gaps; the stride of an axis of one entry means nothing. */
function isDense(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 0) return true;
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis] ?? 1;
  }
  return true;
}

/** A small stored entry, whose checksum must hold. */
function whole(source: ByteSource, entry: ZipEntry, most: number): Uint8Array {
  const at = `${source.at}: ${entry.name}`;
  if (entry.method !== 'stored' || entry.byteLength > most)
    throw bad(at, 'it is packed or too large', `at most ${most} plain bytes`, `${entry.byteLength} bytes`);
  const bytes = source.read(entry.byteOffset, entry.byteLength);
  if (crc32(bytes) !== entry.crc32) throw bad(at, 'its checksum is wrong', entry.crc32.toString(16), 'another');
  return bytes;
}

const short = (text: string): string => JSON.stringify(text.slice(0, 80));
const show = (value: TorchPickled | undefined): string =>
  typeof value === 'object' || value === undefined ? 'another value' : String(value).slice(0, 80);

function bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError('bad_pytorch', `${at} is not a usable PyTorch file: ${what}; fetch or save it again.`, {
    at,
    expected,
    got,
  });
}

import { deflateSync } from 'node:zlib';
import { joined, u16, u32, u64 } from './zip-file.fixture.ts';

/** A text in the global heap where it is one, texts of fixed length where it is a list. */
export type AttributeToWrite = string | readonly string[];

export interface DatasetToWrite {
  readonly kind: 'dataset';
  readonly shape: readonly number[];
  readonly data: Float32Array;
  /** Sizes of a chunk, and what is done to each. */
  readonly chunk?: readonly number[];
  readonly filters?: readonly ('shuffle' | 'deflate')[];
  readonly compact?: boolean;
}

export interface GroupToWrite {
  readonly kind: 'group';
  readonly attributes?: { readonly [name: string]: AttributeToWrite };
  readonly members: { readonly [name: string]: GroupToWrite | DatasetToWrite };
}

export const group = (members: GroupToWrite['members'], attributes: GroupToWrite['attributes'] = {}): GroupToWrite => ({
  kind: 'group',
  attributes,
  members,
});

export const dataset = (
  shape: readonly number[],
  values: Iterable<number>,
  more: Pick<DatasetToWrite, 'chunk' | 'filters' | 'compact'> = {},
): DatasetToWrite => ({ kind: 'dataset', shape, data: Float32Array.from(values), ...more });

/** An HDF5 file in the layout that h5py writes: superblock 0, object headers 1, symbol tables, chunks in a tree. */
export function hdf5File(root: GroupToWrite): Uint8Array {
  const file = new Hdf5Writer();
  const header = file.group(root);
  return file.finished(header);
}

const SUPERBLOCK = 96;
/** Most entries of a symbol node, of a group's tree and of a chunk tree; a node takes the space of as many. */
const LEAF = 16;
const TREE = 4;
const CHUNK_TREE = 64;
const UNDEFINED = Array.from({ length: 8 }, () => 0xff);

class Hdf5Writer {
  readonly #parts: Uint8Array[] = [new Uint8Array(SUPERBLOCK)];
  #length = SUPERBLOCK;

  finished(root: number): Uint8Array {
    const bytes = joined(this.#parts);
    const trees = [...u16(LEAF / 2), ...u16(TREE / 2), ...u32(0)];
    const places = [...u64(0), ...UNDEFINED, ...u64(bytes.length), ...UNDEFINED];
    const signature = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
    bytes.set([...signature, 0, 0, 0, 0, 0, 8, 8, 0, ...trees, ...places, ...u64(0), ...u64(root)]);
    return bytes;
  }

  group({ members, attributes = {} }: GroupToWrite): number {
    const names = Object.keys(members).sort();
    const offsets = new Map<string, number>();
    let heap: number[] = [0, 0, 0, 0, 0, 0, 0, 0];
    for (const name of names) {
      offsets.set(name, heap.length);
      heap = padded([...heap, ...new TextEncoder().encode(name), 0]);
    }
    const entries = names.flatMap((name) => {
      const member = members[name]!;
      const header = member.kind === 'group' ? this.group(member) : this.dataset(member);
      return [...u64(offsets.get(name) ?? 0), ...u64(header), ...u64(0), ...u64(0), ...u64(0)];
    });
    const leaf = this.#put(filled([...word('SNOD'), 1, 0, ...u16(names.length), ...entries], 8 + 40 * LEAF));
    const last = offsets.get(names.at(-1) ?? '') ?? 0;
    const keys = [...u64(0), ...u64(leaf), ...u64(last)];
    const tree = this.#put(
      filled([...word('TREE'), 0, 0, ...u16(1), ...UNDEFINED, ...UNDEFINED, ...keys], 32 + 16 * TREE),
    );
    const names_ = this.#put(heap);
    const local = this.#put([...word('HEAP'), 0, 0, 0, 0, ...u64(heap.length), ...u64(1), ...u64(names_)]);
    const table = message(0x11, [...u64(tree), ...u64(local)]);
    return this.#header([table, ...Object.entries(attributes).map(([name, value]) => this.#attribute(name, value))]);
  }

  dataset({ shape, data, chunk, filters = [], compact = false }: DatasetToWrite): number {
    const bytes = new Uint8Array(data.buffer.slice(0, data.byteLength));
    const ids = { deflate: 1, shuffle: 2 };
    const layout = chunk
      ? [3, 2, shape.length + 1, ...u64(this.#chunks(shape, data, chunk, filters)), ...chunk.flatMap(u32), ...u32(4)]
      : compact
        ? [3, 0, ...u16(bytes.length), ...bytes]
        : [3, 1, ...(bytes.length > 0 ? u64(this.#put([...bytes])) : UNDEFINED), ...u64(bytes.length)];
    const pipeline = filters.flatMap((name) => [
      ...u16(ids[name]),
      ...u16(0),
      ...u16(1),
      ...u16(1),
      ...u32(4),
      ...u32(0),
    ]);
    const packed = filters.length > 0 ? [message(0x0b, [1, filters.length, 0, 0, 0, 0, 0, 0, ...pipeline])] : [];
    return this.#header([message(0x01, space(shape)), message(0x03, float32), ...packed, message(0x08, layout)]);
  }

  #chunks(shape: readonly number[], data: Float32Array, chunk: readonly number[], filters: readonly string[]): number {
    const starts = shape.reduce<number[][]>(
      (all, size, axis) =>
        all.flatMap((start) =>
          Array.from({ length: Math.ceil(size / chunk[axis]!) }, (_, i) => [...start, i * chunk[axis]!]),
        ),
      [[]],
    );
    const count = chunk.reduce((product, size) => product * size, 1);
    const keys = starts.map((start) => {
      const values = Float32Array.from({ length: count }, (_, i) => {
        let [rest, from, step, inside] = [i, 0, 1, true];
        for (let axis = shape.length - 1; axis >= 0; axis--) {
          const place = start[axis]! + (rest % chunk[axis]!);
          rest = Math.floor(rest / chunk[axis]!);
          inside &&= place < shape[axis]!;
          from += place * step;
          step *= shape[axis]!;
        }
        return inside ? data[from]! : 99;
      });
      let bytes = new Uint8Array(values.buffer);
      for (const filter of filters) bytes = filter === 'deflate' ? new Uint8Array(deflateSync(bytes)) : shuffled(bytes);
      return { start, length: bytes.length, place: this.#put([...bytes]) };
    });
    const key = (start: readonly number[], length: number) => [
      ...u32(length),
      ...u32(0),
      ...start.flatMap(u64),
      ...u64(0),
    ];
    const nodes = keys.flatMap(({ start, length, place }) => [...key(start, length), ...u64(place)]);
    const end = shape.map((size, axis) => Math.ceil(size / chunk[axis]!) * chunk[axis]!);
    const tree = [...word('TREE'), 1, 0, ...u16(keys.length), ...UNDEFINED, ...UNDEFINED, ...nodes, ...key(end, 0)];
    const entry = 16 + 8 * (shape.length + 1);
    return this.#put(filled(tree, 24 + CHUNK_TREE * entry + entry - 8));
  }

  #attribute(name: string, value: AttributeToWrite): Uint8Array {
    const text = [...new TextEncoder().encode(name), 0];
    const texts = typeof value === 'string' ? [value] : value;
    const encoded = texts.map((each) => [...new TextEncoder().encode(each)]);
    const longest = Math.max(1, ...encoded.map(({ length }) => length));
    const fixed = typeof value !== 'string';
    const type = fixed ? [0x13, 1, 0, 0, ...u32(longest)] : [0x19, 1, 0, 0, ...u32(16), 0x13, 0, 0, 0, ...u32(1)];
    const shape = space(fixed ? [texts.length] : []);
    const data = fixed
      ? encoded.flatMap((bytes) => [...bytes, ...Array.from({ length: longest - bytes.length }, () => 0)])
      : encoded.flatMap((bytes) => [...u32(bytes.length), ...u64(this.#heap(bytes)), ...u32(1)]);
    const sizes = [...u16(text.length), ...u16(type.length), ...u16(shape.length)];
    return message(0x0c, [1, 0, ...sizes, ...padded(text), ...padded(type), ...padded(shape), ...data]);
  }

  #heap(bytes: readonly number[]): number {
    const object = [...u16(1), ...u16(1), ...u32(0), ...u64(bytes.length), ...padded(bytes)];
    const length = Math.max(4096, 32 + object.length);
    const free = [...u16(0), ...u16(0), ...u32(0), ...u64(length - 16 - object.length)];
    const rest = Array.from({ length: length - 32 - object.length }, () => 0);
    return this.#put([...word('GCOL'), 1, 0, 0, 0, ...u64(length), ...object, ...free, ...rest]);
  }

  #header(messages: readonly Uint8Array[]): number {
    const body = joined(messages);
    return this.#put([1, 0, ...u16(messages.length), ...u32(1), ...u32(body.length), 0, 0, 0, 0, ...body]);
  }

  #put(bytes: readonly number[]): number {
    const at = this.#length;
    const whole = Uint8Array.from(padded(bytes));
    this.#parts.push(whole);
    this.#length += whole.length;
    return at;
  }
}

const float32 = [0x11, 0x20, 0x1f, 0, ...u32(4), ...u16(0), ...u16(32), 23, 8, 0, 23, ...u32(127)];
const space = (shape: readonly number[]): number[] => [1, shape.length, 0, 0, 0, 0, 0, 0, ...shape.flatMap(u64)];
const word = (letters: string): number[] => [...new TextEncoder().encode(letters)];

function message(type: number, body: readonly number[]): Uint8Array {
  const whole = padded(body);
  return Uint8Array.from([...u16(type), ...u16(whole.length), 0, 0, 0, 0, ...whole]);
}

function filled(bytes: readonly number[], length: number): number[] {
  return [...bytes, ...Array.from({ length: length - bytes.length }, () => 0)];
}

function padded(bytes: readonly number[]): number[] {
  return [...bytes, ...Array.from({ length: (8 - (bytes.length % 8)) % 8 }, () => 0)];
}

function shuffled(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const count = bytes.length / 4;
  return Uint8Array.from(bytes, (_, i) => bytes[(i % count) * 4 + Math.floor(i / count)] ?? 0);
}

import type { ByteSource } from './byte-source.ts';
import type { StoredTensor } from './checkpoint.ts';
import { readChunks } from './hdf5-chunks.ts';
import { badHdf5, Hdf5Cursor, text } from './hdf5-cursor.ts';
import { type Hdf5Filter, readAttributeHead, readFilters, readLayout, readShape, readType } from './hdf5-messages.ts';

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];

/** More than any honest model has; each read of a structure counts against the bytes, so nothing is gone through for ever. */
export const hdf5Limits = { headerBytes: 64_000_000, reads: 1_000_000, depth: 64, entries: 100_000 } as const;

export const isHdf5 = (head: Uint8Array): boolean => head.length >= 8 && SIGNATURE.every((byte, i) => head[i] === byte);

/** A group or a dataset. Nothing of it is read but its header; what it holds is read when it is asked for. */
export interface Hdf5Object {
  readonly path: string;
  readonly kind: 'group' | 'dataset';
  /** Members of a group by name. */
  members(): ReadonlyMap<string, Hdf5Object>;
  /** Texts of an attribute, one or a list; undefined where there is no such attribute. */
  texts(attribute: string): readonly string[] | undefined;
  /** Where a dataset lies. */
  tensor(name: string): StoredTensor;
}

/**
 * The root of an HDF5 file in the layout that h5py writes by default: superblock 0 or 1, object headers 1, groups as symbol
 * tables, datasets in one piece or in chunks, plain, shuffled or deflated. Links that lead elsewhere are not followed.
 *
 * @param start where the file begins in the source: it may lie in an archive
 * @throws CircuitscopeError `bad_hdf5` for what is damaged and for what is not read here
 */
export function readHdf5(source: ByteSource, start = 0, length = source.length - start): Hdf5Object {
  return new Hdf5Reader(source, start, length).root();
}

interface Message {
  readonly type: number;
  readonly bytes: Uint8Array;
  /** Where its body begins in the file. */
  readonly place: number;
}

/** Types of messages whose body is read. */
const read: ReadonlySet<number> = new Set([0x01, 0x03, 0x08, 0x0b, 0x0c, 0x11]);

class Hdf5Reader {
  readonly #source: ByteSource;
  readonly #start: number;
  readonly #length: number;
  #bytesLeft: number = hdf5Limits.headerBytes;
  #readsLeft: number = hdf5Limits.reads;
  readonly #heaps = new Map<number, ReadonlyMap<number, Uint8Array>>();

  constructor(source: ByteSource, start: number, length: number) {
    this.#source = source;
    this.#start = start;
    this.#length = length;
  }

  root(): Hdf5Object {
    const { at } = this.#source;
    const from = this.#cursor(0, Math.min(this.#length, 100), at);
    if (!isHdf5(from.take(Math.min(8, from.left))))
      throw badHdf5(at, 'it does not begin like one', 'HDF5', 'other bytes');
    const version = from.u8();
    from.expect("the superblock's version (libver='latest' writes newer ones)", version, 0, 1);
    from.skip(4);
    from.expect('the size of places', from.u8(), 8);
    from.expect('the size of lengths', from.u8(), 8);
    from.skip(version === 0 ? 9 : 13);
    from.expect('a base address', from.address() ?? -1, 0);
    from.skip(8);
    const end = from.size();
    if (end > this.#length) throw badHdf5(at, 'it is cut off', `${end} bytes`, `${this.#length} bytes`);
    if (from.address() !== undefined) throw badHdf5(at, 'it is spread over several files', 'one file', 'a driver');
    from.skip(8);
    return this.#object(from.address(), '', 0);
  }

  #object(address: number | undefined, path: string, depth: number): Hdf5Object {
    const at = `${this.#source.at}: ${path || '/'}`;
    if (depth > hdf5Limits.depth) throw badHdf5(at, 'groups nest too deep', `${hdf5Limits.depth}`, 'more');
    const messages = this.#messages(address, at);
    const symbols = messages.find(({ type }) => type === 0x11);
    const kind = messages.some(({ type }) => type === 0x08) ? 'dataset' : 'group';
    if (kind === 'group' && !symbols && messages.some(({ type }) => type === 0x02 || type === 0x06))
      throw badHdf5(at, "its group is of the newer kind (libver='latest', track_order)", 'a symbol table', 'links');
    return {
      path,
      kind,
      members: () => (symbols ? this.#members(new Hdf5Cursor(symbols.bytes, at), path, depth) : new Map()),
      texts: (attribute) => this.#texts(messages, attribute, `${at}@${attribute}`),
      tensor: (name) => this.#tensor(messages, name, at),
    };
  }

  /** The messages of an object header, those of its continuations too. */
  #messages(address: number | undefined, at: string): Message[] {
    const head = this.#cursor(address, 16, at);
    head.expect("the object header's version (libver='latest' writes newer ones)", head.u8(), 1);
    head.skip(1);
    let left = head.u16();
    head.skip(4);
    const blocks = [{ place: (address ?? 0) + 16, length: head.u32() }];
    const messages: Message[] = [];
    for (let block = blocks.shift(); block && left > 0; block = blocks.shift()) {
      const from = this.#cursor(block.place, block.length, at);
      while (from.left >= 8 && left > 0) {
        const [type, length, flags] = [from.u16(), from.u16(), from.u8()];
        from.skip(3);
        const place = block.place + from.place;
        const bytes = from.take(length);
        left--;
        if (type === 0x10) {
          const next = new Hdf5Cursor(bytes, at);
          blocks.push({ place: next.address() ?? this.#length, length: next.size() });
          continue;
        }
        if (flags & 2 && read.has(type))
          throw badHdf5(at, 'a part of its header stands elsewhere', 'its own', 'shared');
        messages.push({ type, bytes, place });
      }
    }
    return messages;
  }

  #members(symbols: Hdf5Cursor, path: string, depth: number): ReadonlyMap<string, Hdf5Object> {
    const { at } = symbols;
    const [tree, heap] = [symbols.address(), symbols.address()];
    const names = this.#localHeap(heap, at);
    const members = new Map<string, Hdf5Object>();
    this.#leaves(tree, at, (address) => {
      const head = this.#cursor(address, 8, at);
      head.signature('SNOD');
      head.expect("a symbol node's version", head.u8(), 1);
      head.skip(1);
      const count = head.u16();
      const from = this.#cursor((address ?? 0) + 8, 40 * count, at);
      for (let i = 0; i < count; i++) {
        const [nameAt, header, cached] = [from.size(), from.address(), from.u32()];
        from.skip(20);
        if (nameAt >= names.length) throw badHdf5(at, 'a name lies outside its heap', `${names.length}`, `${nameAt}`);
        const name = text(names.subarray(nameAt, nameAt + 1024));
        if (cached === 2) continue; // A symbolic link: whatever it says, nothing here needs it.
        if (name === '' || members.has(name)) throw badHdf5(at, 'a name is empty or twice there', 'names', name);
        if (members.size >= hdf5Limits.entries)
          throw badHdf5(at, 'it has too many members', `${hdf5Limits.entries}`, 'more');
        members.set(name, this.#object(header, `${path}/${name}`, depth + 1));
      }
    });
    return members;
  }

  /** Calls `visit` with each leaf of a group's tree. */
  #leaves(address: number | undefined, at: string, visit: (leaf: number | undefined) => void, under = 64): void {
    const head = this.#cursor(address, 24, at);
    head.signature('TREE');
    head.expect('the kind of a tree', head.u8(), 0);
    const level = head.u8();
    if (level >= under) throw badHdf5(at, 'a tree does not get shallower', `under ${under}`, `${level}`);
    const count = head.u16();
    const from = this.#cursor((address ?? 0) + 24, 16 * count + 8, at);
    for (let i = 0; i < count; i++) {
      from.skip(8);
      const child = from.address();
      if (level === 0) visit(child);
      else this.#leaves(child, at, visit, level);
    }
  }

  #localHeap(address: number | undefined, at: string): Uint8Array {
    const head = this.#cursor(address, 32, at);
    head.signature('HEAP');
    head.expect("a heap's version", head.u8(), 0);
    head.skip(3);
    const length = head.size();
    head.skip(8);
    const place = head.address();
    return this.#cursor(place, length, at).bytes;
  }

  #texts(messages: readonly Message[], attribute: string, at: string): readonly string[] | undefined {
    for (const { type, bytes } of messages) {
      if (type === 0x15) throw badHdf5(at, 'its attributes are stored in the newer way', 'in its header', 'elsewhere');
      if (type !== 0x0c) continue;
      const from = new Hdf5Cursor(bytes, at);
      const { name, typeBytes, shapeBytes } = readAttributeHead(from);
      if (name !== attribute) continue;
      const shape = readShape(new Hdf5Cursor(shapeBytes, at));
      const count = shape.reduce((product, size) => product * size, 1);
      if (count === 0) return [];
      const entry = readType(new Hdf5Cursor(typeBytes, at));
      if (entry.kind !== 'text' && entry.kind !== 'heap_text')
        throw badHdf5(at, 'it is no text', 'text', entry.kind === 'other' ? entry.what : entry.dtype);
      if (count > hdf5Limits.entries || count * entry.bytes > from.left)
        throw badHdf5(at, 'it is longer than its header', `${from.left} bytes`, `${count * entry.bytes} bytes`);
      return Array.from({ length: count }, () => {
        const value = new Hdf5Cursor(from.take(entry.bytes), at);
        if (entry.kind === 'text') return text(value.bytes);
        const length = value.u32();
        const [heap, index] = [value.address(), value.u32()];
        if (length === 0) return '';
        const found = this.#globalHeap(heap, at).get(index);
        if (!found || found.length < length)
          throw badHdf5(at, 'its text is not in the heap', `${length} bytes`, 'less');
        return text(found.subarray(0, length));
      });
    }
    return undefined;
  }

  #globalHeap(address: number | undefined, at: string): ReadonlyMap<number, Uint8Array> {
    const known = this.#heaps.get(address ?? -1);
    if (known) return known;
    const head = this.#cursor(address, 16, at);
    head.signature('GCOL');
    head.expect("a heap's version", head.u8(), 1);
    head.skip(3);
    const length = head.size();
    const from = this.#cursor((address ?? 0) + 16, Math.max(0, length - 16), at);
    const objects = new Map<number, Uint8Array>();
    while (from.left >= 16) {
      const index = from.u16();
      from.skip(6);
      const size = from.size();
      if (index === 0) break; // free space, to the end
      objects.set(index, from.take(size));
      from.align();
    }
    this.#heaps.set(address ?? -1, objects);
    return objects;
  }

  #tensor(messages: readonly Message[], name: string, at: string): StoredTensor {
    const of = (type: number): Message => {
      const found = messages.find((message) => message.type === type);
      if (found) return found;
      throw badHdf5(at, 'it is no dataset', 'type, shape and layout', `no message ${type}`);
    };
    if (messages.some(({ type }) => type === 0x07)) throw badHdf5(at, 'it lies in another file', 'its own', 'external');
    const entry = readType(new Hdf5Cursor(of(0x03).bytes, at));
    if (entry.kind !== 'number')
      throw badHdf5(
        at,
        'its entries are not read here',
        'little-endian numbers',
        entry.kind === 'other' ? entry.what : 'text',
      );
    const shape = readShape(new Hdf5Cursor(of(0x01).bytes, at));
    const byteLength = shape.reduce((product, size) => product * size, entry.bytes);
    if (!Number.isSafeInteger(byteLength))
      throw badHdf5(at, 'it is beyond every file', 'a size', `[${shape.join(', ')}]`);
    const message = of(0x08);
    const layout = readLayout(new Hdf5Cursor(message.bytes, at));
    const packed = messages.find(({ type }) => type === 0x0b);
    const filters: readonly Hdf5Filter[] = packed ? readFilters(new Hdf5Cursor(packed.bytes, at)) : [];
    const tensor = { name, dtype: entry.dtype, shape, file: this.#source.at, byteLength };
    if (layout.kind === 'chunked') {
      const reader = (address: number | undefined, length: number) => this.#cursor(address, length, at);
      const chunks = readChunks(layout, { shape, entryBytes: entry.bytes, filters, at }, reader);
      const pieces = chunks.pieces.map((piece) => {
        this.#check(piece.byteOffset, piece.byteLength, at);
        return { ...piece, byteOffset: this.#start + piece.byteOffset };
      });
      const stored = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
      if (stored > this.#length) throw badHdf5(at, 'its chunks share bytes', `${this.#length} bytes`, `${stored}`);
      return { ...tensor, byteOffset: 0, chunks: { ...chunks, pieces } };
    }
    const place = layout.kind === 'compact' ? message.place + layout.place : layout.address;
    if (layout.byteLength !== byteLength || filters.length > 0)
      throw badHdf5(at, 'shape and data disagree', `${byteLength} bytes`, `${layout.byteLength} bytes`);
    if (byteLength === 0) return { ...tensor, byteOffset: 0 };
    if (place === undefined) throw badHdf5(at, 'its values were never written', `${byteLength} bytes`, 'none');
    this.#check(place, byteLength, at);
    return { ...tensor, byteOffset: this.#start + place };
  }

  #cursor(address: number | undefined, length: number, at: string): Hdf5Cursor {
    if (address === undefined) throw badHdf5(at, 'it points nowhere', 'a place in the file', 'none');
    this.#check(address, length, at);
    this.#bytesLeft -= length;
    if (this.#bytesLeft < 0 || this.#readsLeft-- <= 0)
      throw badHdf5(
        at,
        'its structure is too large or leads back to itself',
        `${hdf5Limits.headerBytes} bytes`,
        'more',
      );
    return new Hdf5Cursor(this.#source.read(this.#start + address, length), at);
  }

  #check(address: number, length: number, at: string): void {
    if (address + length > this.#length)
      throw badHdf5(at, 'it is cut off', `${address + length} bytes`, `${this.#length} bytes`);
  }
}

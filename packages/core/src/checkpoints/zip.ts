import { CircuitscopeError } from '@circuitscope/schema';
import type { ByteSource } from './byte-source.ts';

/** One file of an archive: where its bytes lie, as they are stored. */
export interface ZipEntry {
  readonly name: string;
  readonly method: 'stored' | 'deflated';
  /** First byte of the content in the archive. */
  readonly byteOffset: number;
  /** Bytes in the archive. */
  readonly byteLength: number;
  /** Bytes when unpacked; equal to `byteLength` where the entry is stored. */
  readonly unpackedBytes: number;
  readonly crc32: number;
}

/** Limits that no honest checkpoint meets. */
export const zipLimits = { entries: 200_000, directoryBytes: 64_000_000, ratio: 128, ratioFreeBytes: 1 << 26 } as const;

const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const LOCATOR_BYTES = 20;
const CENTRAL_BYTES = 46;
const LOCAL_BYTES = 30;
const LARGE = 0xffffffff;
/** Deflate says at most 258 bytes in two bits. */
const DEFLATE_RATIO = 1032;

/**
 * The entries of a zip archive by name, as its central directory lists them and each local header confirms. No two entries
 * share a byte, so a small archive cannot unpack to much, and what one reader sees another sees too.
 *
 * @throws CircuitscopeError `bad_zip`.
 */
export function readZip(source: ByteSource): ReadonlyMap<string, ZipEntry> {
  const { offset, bytes, count } = directory(source);
  const entries = new Map<string, ZipEntry>();
  const starts: { readonly start: number; readonly end: number; readonly name: string }[] = [];
  let place = 0;
  for (let i = 0; i < count; i++) {
    const listed = central(source, bytes, place);
    place = listed.next;
    if (entries.has(listed.name)) throw bad(source.at, 'two entries have one name', 'names that differ', listed.name);
    const byteOffset = confirmed(source, listed, offset);
    const { name, method, byteLength, unpackedBytes, crc32 } = listed;
    entries.set(name, { name, method, byteOffset, byteLength, unpackedBytes, crc32 });
    starts.push({ start: listed.header, end: byteOffset + byteLength, name });
  }
  if (place !== bytes.length)
    throw bad(source.at, 'the directory and its length disagree', `${place} bytes`, `${bytes.length}`);
  starts.sort((a, b) => a.start - b.start);
  starts.forEach(({ start, name }, i) => {
    const before = starts[i - 1];
    if (before && start < before.end)
      throw bad(`${source.at}: ${name}`, 'two entries overlap', `byte ${before.end} or later`, `byte ${start}`);
  });
  return entries;
}

interface Directory {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly count: number;
}

function directory(source: ByteSource): Directory {
  const tailLength = Math.min(source.length, END_BYTES + 0xffff);
  const tail = source.read(source.length - tailLength, tailLength);
  const view = viewOf(tail);
  let end = tail.length - END_BYTES;
  // The comment must reach to the end of the file exactly; what looks like an end record inside a comment does not.
  while (
    end >= 0 &&
    !(view.getUint32(end, true) === END && end + END_BYTES + view.getUint16(end + 20, true) === tail.length)
  )
    end--;
  if (end < 0) throw bad(source.at, 'it has no end record', 'a zip archive', 'none; perhaps it was cut off');
  const at = source.length - tail.length + end;
  if (view.getUint16(end + 4, true) !== view.getUint16(end + 6, true))
    throw bad(source.at, 'it is one part of several', 'one file', 'a split archive');
  const small = [
    view.getUint16(end + 10, true),
    view.getUint32(end + 12, true),
    view.getUint32(end + 16, true),
  ] as const;
  // PyTorch writes the 64-bit record always; where the short one is not full, both must say the same.
  const large = end64(source, at);
  const [count, size, offset] = large?.sizes ?? small;
  const limit = large?.limit ?? at;
  if (large && small.some((value, i) => value !== large.sizes[i] && value !== (i === 0 ? 0xffff : LARGE)))
    throw bad(source.at, 'its two end records disagree', large.sizes.join(', '), small.join(', '));
  if (count > zipLimits.entries || size > zipLimits.directoryBytes || count * CENTRAL_BYTES > size) {
    const most = `at most ${zipLimits.entries} entries in ${zipLimits.directoryBytes} bytes`;
    throw bad(source.at, 'the directory has an impossible size', most, `${count} entries in ${size} bytes`);
  }
  if (offset + size !== limit) {
    throw bad(source.at, 'the directory is not where the end record says', `ends at byte ${limit}`, `${offset + size}`);
  }
  return { offset, bytes: source.read(offset, size), count };
}

function end64(
  source: ByteSource,
  end: number,
): { readonly sizes: readonly [number, number, number]; readonly limit: number } | null {
  if (end < LOCATOR_BYTES) return null;
  const locator = viewOf(source.read(end - LOCATOR_BYTES, LOCATOR_BYTES));
  if (locator.getUint32(0, true) !== LOCATOR_64) return null;
  const limit = long(source.at, locator, 8);
  if (limit + 56 > end - LOCATOR_BYTES)
    throw bad(source.at, 'the 64-bit end record is not in the file', `before byte ${end}`, `byte ${limit}`);
  const record = viewOf(source.read(limit, 56));
  if (record.getUint32(0, true) !== END_64) throw bad(source.at, 'the 64-bit end record is missing', 'PK 6 6', 'none');
  const sizes = [long(source.at, record, 32), long(source.at, record, 40), long(source.at, record, 48)] as const;
  return { sizes, limit };
}

interface Listed extends Omit<ZipEntry, 'byteOffset'> {
  /** Byte of the local header. */
  readonly header: number;
  readonly next: number;
}

function central(source: ByteSource, bytes: Uint8Array, place: number): Listed {
  const view = viewOf(bytes);
  if (place + CENTRAL_BYTES > bytes.length || view.getUint32(place, true) !== CENTRAL)
    throw bad(source.at, 'the directory is cut off', 'an entry', `byte ${place} of ${bytes.length}`);
  const nameLength = view.getUint16(place + 28, true);
  const extraLength = view.getUint16(place + 30, true);
  const next = place + CENTRAL_BYTES + nameLength + extraLength + view.getUint16(place + 32, true);
  if (next > bytes.length)
    throw bad(source.at, 'an entry of the directory is cut off', `${next} bytes`, `${bytes.length}`);
  const nameEnd = place + CENTRAL_BYTES + nameLength;
  const name = decodedName(source.at, bytes.subarray(place + CENTRAL_BYTES, nameEnd));
  const at = `${source.at}: ${name}`;
  if (view.getUint16(place + 8, true) & 1) throw bad(at, 'it is encrypted', 'plain entries', 'an encrypted one');
  const code = view.getUint16(place + 10, true);
  if (code !== 0 && code !== 8)
    throw bad(at, 'it is packed by an unknown method', '0 (stored) or 8 (deflate)', `${code}`);
  const extra = large(at, bytes.subarray(nameEnd, nameEnd + extraLength));
  const size = (from: number): number => {
    const value = view.getUint32(place + from, true);
    return value === LARGE ? extra() : value;
  };
  // The order of the three is the order of the extra field.
  const unpackedBytes = size(24);
  const byteLength = size(20);
  const header = size(42);
  if (code === 0 && byteLength !== unpackedBytes)
    throw bad(at, 'a stored entry has two lengths', `${byteLength} bytes`, `${unpackedBytes} bytes`);
  if (code === 8 && unpackedBytes > DEFLATE_RATIO * byteLength)
    throw bad(
      at,
      'it cannot unpack to so much',
      `at most ${DEFLATE_RATIO * byteLength} bytes`,
      `${unpackedBytes} bytes`,
    );
  if (unpackedBytes > zipLimits.ratioFreeBytes && unpackedBytes > zipLimits.ratio * byteLength) {
    const most = `at most ${zipLimits.ratio} times its size`;
    throw bad(at, 'it would unpack to far more than it holds', most, `${unpackedBytes} from ${byteLength} bytes`);
  }
  const method = code === 0 ? 'stored' : 'deflated';
  return { name, method, byteLength, unpackedBytes, crc32: view.getUint32(place + 16, true), header, next };
}

/** Reads the 64-bit numbers of extra field 1 one after the other. */
function large(at: string, extra: Uint8Array): () => number {
  const view = viewOf(extra);
  let place = 0;
  let end = -1;
  while (end < 0 && place + 4 <= extra.length) {
    const length = view.getUint16(place + 2, true);
    if (view.getUint16(place, true) === 1) end = place + 4 + length;
    place += end < 0 ? 4 + length : 4;
  }
  return () => {
    if (end < 0 || place + 8 > end || end > extra.length)
      throw bad(at, 'a 64-bit size is missing', 'extra field 1', 'none');
    place += 8;
    return long(at, view, place - 8);
  };
}

/** First byte of the content, if the local header says what the directory says. */
function confirmed(source: ByteSource, listed: Listed, directoryOffset: number): number {
  const at = `${source.at}: ${listed.name}`;
  const cut = (): CircuitscopeError =>
    bad(at, 'it reaches beyond the files of the archive', `before byte ${directoryOffset}`, `byte ${listed.header}`);
  if (listed.header + LOCAL_BYTES > directoryOffset) throw cut();
  const view = viewOf(source.read(listed.header, LOCAL_BYTES));
  if (view.getUint32(0, true) !== LOCAL) throw bad(at, 'its header is missing', 'PK 3 4', `byte ${listed.header}`);
  const nameLength = view.getUint16(26, true);
  const start = listed.header + LOCAL_BYTES + nameLength + view.getUint16(28, true);
  if (start + listed.byteLength > directoryOffset) throw cut();
  const name = decodedName(source.at, source.read(listed.header + LOCAL_BYTES, nameLength));
  if (name !== listed.name) throw bad(at, 'its header has another name', listed.name, name);
  if (view.getUint16(8, true) !== (listed.method === 'stored' ? 0 : 8) || view.getUint16(6, true) & 1)
    throw bad(at, 'its header has another method', listed.method, `${view.getUint16(8, true)}`);
  return start;
}

function decodedName(at: string, bytes: Uint8Array): string {
  let name: string;
  try {
    name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw bad(at, 'a name is not UTF-8', 'text', `${bytes.length} bytes`);
  }
  const control = Array.from(name).some((character) => character < ' ' || character === '\u007f');
  if (name !== '' && !control && name.length <= 1024) return name;
  throw bad(
    at,
    'a name is empty, too long or has control characters',
    'a file name',
    JSON.stringify(name.slice(0, 40)),
  );
}

function long(at: string, view: DataView, offset: number): number {
  const value = view.getBigUint64(offset, true);
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw bad(at, 'a size is impossible', 'less than 2⁵³', String(value));
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError('bad_zip', `${at} is not a usable zip archive: ${what}; fetch or write it again.`, {
    at,
    expected,
    got,
  });
}

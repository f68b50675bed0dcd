import { CircuitscopeError } from '@circuitscope/schema';
import { bytesPerEntry, type StoredDtype, type StoredTensor } from './checkpoint.ts';
import { parseJson } from './parse-json.ts';
import { fileLength, readBytes } from './read-bytes.ts';

/** What a safetensors file says of itself. Tensors are in the order of their bytes. */
export interface SafetensorsHeader {
  readonly tensors: readonly StoredTensor[];
  readonly metadata: ReadonlyMap<string, string>;
}

/** Limits that no honest file meets. The library of the format allows headers of 100 MB; the largest shards have 0.2 MB. */
export const safetensorsLimits = { headerBytes: 16_000_000, tensors: 100_000, nameLength: 1024, rank: 8 } as const;

const dtypes: ReadonlyMap<unknown, StoredDtype> = new Map([
  ['F64', 'f64'],
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
  ['I64', 'i64'],
  ['I32', 'i32'],
  ['I16', 'i16'],
  ['I8', 'i8'],
  ['U64', 'u64'],
  ['U32', 'u32'],
  ['U16', 'u16'],
  ['U8', 'u8'],
  ['BOOL', 'bool'],
]);

/** Header of a safetensors file; reads nothing beyond it. @throws CircuitscopeError `bad_safetensors`, `missing_file`. */
export function readSafetensorsHeader(path: string): SafetensorsHeader {
  const length = fileLength(path);
  const head = readBytes(path, 0, Math.min(8, length));
  return parseSafetensorsHeader(readBytes(path, 0, 8 + headerLength(head, length, path)), length, path);
}

/**
 * The strict reading of `u64 length, JSON header, data`: every byte of the data belongs to exactly one tensor, so that no
 * second file can hide in it and no tensor can reach outside.
 *
 * @param bytes the file from its start, at least up to the end of the header.
 * @param fileBytes length of the whole file.
 * @param at file name for errors, and the `file` of the tensors.
 * @throws CircuitscopeError `bad_safetensors`.
 */
export function parseSafetensorsHeader(bytes: Uint8Array, fileBytes: number, at: string): SafetensorsHeader {
  const length = headerLength(bytes, fileBytes, at);
  const dataStart = 8 + length;
  if (bytes.length < dataStart) throw bad(at, 'the header is cut off', `${dataStart} bytes`, `${bytes.length} bytes`);
  const header = bytes.subarray(8, dataStart);
  if (header[0] !== 0x7b)
    throw bad(at, 'the header does not begin with {', 'a JSON object', `byte ${header[0] ?? 'none'}`);
  const json = parseJson(header, { code: 'bad_safetensors', at, maxDepth: 3, unsignedIntegersOnly: true });

  const tensors: StoredTensor[] = [];
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [name, value] of fields(json, at)) {
    if (name === '__metadata__') metadata = parseMetadata(value, at);
    else tensors.push(parseTensor(name, value, dataStart, at));
    if (tensors.length > safetensorsLimits.tensors) {
      throw bad(at, 'there are too many tensors', `at most ${safetensorsLimits.tensors}`, 'more');
    }
  }
  tensors.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  checkTiling(tensors, dataStart, fileBytes, at);
  return { tensors, metadata };
}

function headerLength(bytes: Uint8Array, fileBytes: number, at: string): number {
  if (bytes.length < 8 || fileBytes < 8)
    throw bad(at, 'the file is too short', 'at least 8 bytes', `${fileBytes} bytes`);
  const announced = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  const most = Math.min(safetensorsLimits.headerBytes, fileBytes - 8);
  if (announced <= most) return Number(announced);
  throw bad(at, 'the announced header does not fit', `at most ${most} bytes`, `${announced} bytes`);
}

function parseMetadata(value: unknown, at: string): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  for (const [key, text] of fields(value, `${at}: __metadata__`)) {
    if (typeof text !== 'string')
      throw bad(`${at}: __metadata__.${shown(key)}`, 'metadata is text', 'a string', typeof text);
    metadata.set(key, text);
  }
  return metadata;
}

function parseTensor(name: string, value: unknown, dataStart: number, file: string): StoredTensor {
  const at = `${file}: ${shown(name)}`;
  if (name.length > safetensorsLimits.nameLength) {
    throw bad(at, 'the name is too long', `at most ${safetensorsLimits.nameLength} characters`, `${name.length}`);
  }
  const record = new Map(fields(value, at));
  for (const key of record.keys()) {
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets') {
      throw bad(at, 'there is an unknown field', 'dtype, shape, data_offsets', shown(key));
    }
  }
  const dtype = dtypes.get(record.get('dtype'));
  if (!dtype) throw bad(at, 'the dtype is not known', [...dtypes.keys()].join(', '), shown(record.get('dtype')));
  const shape = integers(record.get('shape'), safetensorsLimits.rank, `${at}: shape`);
  const offsets = integers(record.get('data_offsets'), 2, `${at}: data_offsets`);
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || begin > end) {
    throw bad(at, 'the data offsets are not [begin, end]', 'begin ≤ end', `[${offsets.join(', ')}]`);
  }
  const byteLength = bytesOf(shape, dtype, at);
  if (byteLength !== end - begin) {
    throw bad(
      at,
      'shape and data disagree',
      `[${shape.join(', ')}] ${dtype} = ${byteLength} bytes`,
      `${end - begin} bytes`,
    );
  }
  return { name, dtype, shape, file, byteOffset: dataStart + begin, byteLength };
}

function bytesOf(shape: readonly number[], dtype: StoredDtype, at: string): number {
  let bytes = bytesPerEntry[dtype];
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes))
      throw bad(at, 'the shape is too large', 'less than 2⁵³ bytes', `[${shape.join(', ')}]`);
  }
  return bytes;
}

function checkTiling(tensors: readonly StoredTensor[], dataStart: number, fileBytes: number, at: string): void {
  let end = dataStart;
  for (const { name, byteOffset, byteLength } of tensors) {
    if (byteOffset !== end) {
      const what = byteOffset < end ? 'two tensors overlap' : 'there is a hole before the tensor';
      throw bad(`${at}: ${shown(name)}`, what, `data at byte ${end - dataStart}`, `byte ${byteOffset - dataStart}`);
    }
    end = byteOffset + byteLength;
  }
  if (end !== fileBytes) {
    const what = end > fileBytes ? 'the data are cut off' : 'bytes follow the last tensor';
    throw bad(at, what, `${end} bytes in the file`, `${fileBytes} bytes`);
  }
}

function fields(value: unknown, at: string): [string, unknown][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.entries(value);
  throw bad(at, 'this is not a JSON object', 'an object', shown(value));
}

function integers(value: unknown, most: number, at: string): number[] {
  if (!Array.isArray(value) || value.length > most)
    throw bad(at, 'this is not a short list', `at most ${most} numbers`, shown(value));
  return value.map((entry: unknown) => {
    if (typeof entry === 'number' && Number.isSafeInteger(entry) && entry >= 0) return entry;
    throw bad(at, 'this is not a whole number', 'from 0 to 2⁵³ − 1', shown(entry));
  });
}

/** Text from the file, short and without control characters. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text =
    typeof value === 'string'
      ? value.slice(0, 80)
      : typeof value === 'object'
        ? Array.isArray(value)
          ? 'a list'
          : 'an object'
        : value;
  return typeof text === 'string' && typeof value === 'object' ? text : JSON.stringify(text);
}

function bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError(
    'bad_safetensors',
    `${at} is not a valid safetensors file: ${what}; fetch or write it again.`,
    {
      at,
      expected,
      got,
    },
  );
}

import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { parseSafetensorsHeader } from './safetensors.ts';

/** A file with the given header text and data of `dataBytes` zeros. */
function file(header: string, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}
const parse = (bytes: Uint8Array, length = bytes.length) => parseSafetensorsHeader(bytes, length, 'm.safetensors');
const refusal = (bytes: Uint8Array, length = bytes.length): CircuitscopeError => {
  try {
    parse(bytes, length);
  } catch (error) {
    if (error instanceof CircuitscopeError && error.code === 'bad_safetensors') return error;
    throw error;
  }
  throw new Error('accepted');
};
const one = (fields: string, dataBytes = 24) => refusal(file(`{"w":{${fields}}}`, dataBytes));

describe('parseSafetensorsHeader', () => {
  test('a valid header gives tensors in the order of their bytes, with absolute offsets', () => {
    const header =
      '{"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]},"e":{"dtype":"F32","shape":[0,3],"data_offsets":[24,24]},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}   ';
    const { tensors, metadata } = parse(file(header, 28));
    const start = 8 + header.length;
    expect(tensors).toEqual([
      { name: 'a', dtype: 'f32', shape: [2, 3], file: 'm.safetensors', byteOffset: start, byteLength: 24 },
      { name: 'e', dtype: 'f32', shape: [0, 3], file: 'm.safetensors', byteOffset: start + 24, byteLength: 0 },
      { name: 'b', dtype: 'bf16', shape: [2], file: 'm.safetensors', byteOffset: start + 24, byteLength: 4 },
    ]);
    expect([...metadata]).toEqual([['format', 'pt']]);
  });

  test('an empty file of no tensors is valid, a shorter one is not', () => {
    expect(parse(file('{}', 0)).tensors).toEqual([]);
    for (const length of [0, 1, 7]) expect(refusal(new Uint8Array(length)).message).toMatch(/too short/);
  });

  test('a header longer than the file, or than 16 MB, is refused before it is read', () => {
    const bytes = file('{}', 0);
    for (const announced of [3n, 16_000_001n, 1n << 40n, (1n << 63n) + 2n, 0xffffffffffffffffn]) {
      new DataView(bytes.buffer).setBigUint64(0, announced, true);
      expect(refusal(bytes).got).toBe(`${announced} bytes`);
      if (announced > 3n) expect(refusal(bytes, 2 ** 50).message).toMatch(/header does not fit/);
    }
  });

  test('each lie about a tensor is refused by its name', () => {
    expect(one('"dtype":"F33","shape":[2,3],"data_offsets":[0,24]').message).toMatch(/"w".*dtype is not known/);
    expect(one('"dtype":{},"shape":[2,3],"data_offsets":[0,24]').message).toMatch(/dtype is not known/);
    expect(one('"dtype":"F32","shape":[2,3],"data_offsets":[24,0]').message).toMatch(/not \[begin, end\]/);
    expect(one('"dtype":"F32","shape":[2,3],"data_offsets":[0]').message).toMatch(/not \[begin, end\]/);
    expect(one('"dtype":"F32","shape":[2,3],"data_offsets":[0,24,24]').message).toMatch(/short list/);
    expect(one('"dtype":"F32","shape":[2,4],"data_offsets":[0,24]')).toMatchObject({
      at: 'm.safetensors: "w"',
      expected: '[2, 4] f32 = 32 bytes',
      got: '24 bytes',
    });
    expect(one('"dtype":"F32","shape":6,"data_offsets":[0,24]').message).toMatch(/short list/);
    expect(one('"dtype":"F32","shape":[1,1,1,1,1,1,1,2,3],"data_offsets":[0,24]').message).toMatch(/short list/);
    expect(one('"dtype":"F32","shape":["2",3],"data_offsets":[0,24]').message).toMatch(/whole number/);
    expect(one('"dtype":"F32","shape":[2,3],"data_offsets":[0,24],"extra":1').message).toMatch(/unknown field/);
    expect(one('"shape":[2,3],"data_offsets":[0,24]').message).toMatch(/dtype/);
    expect(one('"dtype":"F32","data_offsets":[0,24]').message).toMatch(/short list/);
  });

  test('numbers that no size can have are refused, also where their product would wrap around', () => {
    for (const size of [
      '-2',
      '2.5',
      '1e308',
      '9007199254740993',
      '1e999',
      '0x10',
      'null',
      'true',
      '18446744073709551618',
    ]) {
      one(`"dtype":"F32","shape":[${size},3],"data_offsets":[0,24]`);
    }
    // 2^32 · 2^32 · 4 = 2^66 wraps to 0 in 64 bits.
    expect(one('"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]', 0).message).toMatch(/too large/);
    expect(one('"dtype":"F32","shape":[9007199254740991,0],"data_offsets":[0,0]', 0).message).toMatch(/too large/);
  });

  test('overlaps, holes, trailing bytes and missing data are refused', () => {
    const two = (a: string, b: string, bytes: number) =>
      refusal(
        file(
          `{"a":{"dtype":"U8","shape":[4],"data_offsets":${a}},"b":{"dtype":"U8","shape":[4],"data_offsets":${b}}}`,
          bytes,
        ),
      ).message;
    expect(two('[0,4]', '[0,4]', 4)).toMatch(/overlap/);
    expect(two('[0,4]', '[2,6]', 6)).toMatch(/overlap/);
    expect(two('[0,4]', '[6,10]', 10)).toMatch(/hole/);
    expect(two('[1,5]', '[5,9]', 9)).toMatch(/hole/);
    expect(two('[0,4]', '[4,8]', 9)).toMatch(/bytes follow/);
    expect(two('[0,4]', '[4,8]', 7)).toMatch(/cut off/);
    expect(refusal(file('{}', 1)).message).toMatch(/bytes follow/);
  });

  test('equal names, names of another shape and metadata that are no text are refused', () => {
    const w = '{"dtype":"U8","shape":[],"data_offsets":[0,1]}';
    expect(refusal(file(`{"w":${w},"w":${w}}`, 1)).message).toMatch(/"w" twice/);
    expect(refusal(file(`{"w":${w},"\\u0077":${w}}`, 1)).message).toMatch(/"w" twice/);
    expect(refusal(file('{"w":7}', 0)).message).toMatch(/not a JSON object/);
    expect(refusal(file('{"__metadata__":{"a":1}}', 0)).message).toMatch(/metadata is text/);
    expect(refusal(file('{"__metadata__":{"a":{"b":{"c":"d"}}}}', 0)).message).toMatch(/deeper than 3/);
    expect(refusal(file(`{"${'n'.repeat(1025)}":${w}}`, 1)).message).toMatch(/too long/);
    expect(refusal(file(' {}', 0)).message).toMatch(/begin with/);
    expect(refusal(file('[]', 0)).message).toMatch(/begin with/);
  });

  test('tensors named like parts of an object are ordinary tensors', () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '7', ''];
    const entries = names.map((name, i) => `"${name}":{"dtype":"U8","shape":[],"data_offsets":[${i},${i + 1}]}`);
    const { tensors } = parse(file(`{${entries.join(',')}}`, names.length));
    expect(tensors.map((tensor) => tensor.name)).toEqual(names);
    expect('dtype' in {}).toBe(false);
  });

  test('a header of 16 MB of nothing is refused in bounded time', () => {
    for (const filler of ['[', '{"a":', '"', '\\', ' ', '0', ',']) {
      const text = `{${filler.repeat(Math.floor(15_900_000 / filler.length))}`;
      const before = performance.now();
      refusal(file(text, 0));
      expect(performance.now() - before).toBeLessThan(5_000);
    }
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { bytesPerEntry, type StoredDtype, type StoredTensor } from './checkpoint.ts';
import { fromFloat16 } from './half.ts';
import { memoryCheckpoint } from './memory-checkpoint.ts';
import { readStored, readStoredFloat64 } from './read-stored.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-stored-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A tensor whose bytes stand at an odd offset of a file. */
function stored(dtype: StoredDtype, data: ArrayBufferView): StoredTensor {
  const file = join(root, 'x');
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  writeFileSync(file, Buffer.concat([Buffer.from('abc'), bytes, Buffer.from('z')]));
  return {
    name: 'x',
    dtype,
    shape: [bytes.length / bytesPerEntry[dtype]],
    file,
    byteOffset: 3,
    byteLength: bytes.length,
  };
}

describe('readStored', () => {
  test('float32 comes back to the bit from an unaligned place, beyond one piece too', () => {
    const values = Float32Array.from({ length: 600_001 }, (_, i) => Math.fround(Math.sqrt(i) - 300));
    values.set([-0, Number.NaN, Number.POSITIVE_INFINITY, 1e-45]);
    const bytes = (data: ArrayBufferView) => Buffer.from(data.buffer);
    expect(bytes(readStored(stored('f32', values))).equals(bytes(values))).toBe(true);
    expect(bytes(readStoredFloat64(stored('f32', values))).equals(bytes(Float64Array.from(values)))).toBe(true);
  });

  test('every bfloat16 is the float32 with the same upper half', () => {
    const halves = Uint16Array.from({ length: 65_536 }, (_, i) => i);
    const words = new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
    expect(readStored(stored('bf16', halves))).toEqual(words);
  });

  test('float16 widens exactly: subnormals, ends of the range, specials, and order', () => {
    expect([0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0xc000, 0x7bff, 0x3555].map(fromFloat16)).toEqual([
      0,
      -0,
      2 ** -24,
      1023 * 2 ** -24,
      2 ** -14,
      1,
      -2,
      65504,
      0.333251953125,
    ]);
    expect([0x7c00, 0xfc00, 0x7e00].map(fromFloat16)).toEqual([
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
    ]);
    for (let half = 1; half <= 0x7c00; half++)
      if (!(fromFloat16(half) > fromFloat16(half - 1))) throw new Error(`${half}`);
    expect(readStored(stored('f16', Uint16Array.of(0x3c00, 0x8000)))).toEqual(Float32Array.of(1, -0));
  });

  test('float64 rounds to float32, and stays itself where float64 is asked for', () => {
    const values = Float64Array.of(0.1, 1e300, -1e-320);
    expect(readStored(stored('f64', values))).toEqual(Float32Array.from(values));
    expect(readStoredFloat64(stored('f64', values))).toEqual(values);
  });

  test('integers read as float64 where they are exact, and are no weights', () => {
    expect([...readStoredFloat64(stored('i64', BigInt64Array.of(-5n, 2n ** 53n - 1n)))]).toEqual([-5, 2 ** 53 - 1]);
    expect([...readStoredFloat64(stored('i8', Int8Array.of(-128, 127)))]).toEqual([-128, 127]);
    expect([...readStoredFloat64(stored('bool', Uint8Array.of(0, 1, 255)))]).toEqual([0, 1, 1]);
    expect(() => readStoredFloat64(stored('u64', BigUint64Array.of(2n ** 64n - 1n)))).toThrow(/exactly/);
    expect(() => readStoredFloat64(stored('i64', BigInt64Array.of(2n ** 53n + 1n)))).toThrow(/exactly/);
    expect(() => readStored(stored('i32', Int32Array.of(1)))).toThrow(/a weight holds floats/);
  });

  test('a record that lies about its size is refused before anything is allocated', () => {
    const honest = stored('f32', Float32Array.of(1, 2));
    expect(() => readStored({ ...honest, shape: [2 ** 40] })).toThrow(/disagree/);
    expect(() => readStored({ ...honest, shape: [2 ** 30, 2 ** 30] })).toThrow(/disagree/);
    expect(() => readStoredFloat64({ ...honest, shape: [2 ** 45], byteLength: 2 ** 47 })).toThrow(/shorter/);
    expect(() => readStored({ ...honest, shape: [3], byteLength: 12 })).toThrow(/shorter/);
  });
});

describe('memoryCheckpoint', () => {
  const weights = (value: number) => new Map([['w', { shape: [1, 2], data: Float64Array.of(value, 0.1) }]]);

  test('keeps a float32 copy that neither side can change for the other', () => {
    const source = weights(3);
    const tensor = memoryCheckpoint('toy', {}, source).tensors.get('w')!;
    source.get('w')!.data[0] = 9;
    readStored(tensor)[0] = 8;
    expect(readStored(tensor)).toEqual(Float32Array.of(3, 0.1));
    expect(readStoredFloat64(tensor)[1]).toBe(Math.fround(0.1));
  });

  test('its hash follows values and configuration, not the name', async () => {
    const hash = (name: string, config: object, value: number) =>
      memoryCheckpoint(name, config, weights(value)).contentHash();
    const first = await hash('a', { x: 1, y: 2 }, 3);
    expect(await hash('b', { y: 2, x: 1 }, 3)).toBe(first);
    expect(await hash('a', { x: 1, y: 2 }, 4)).not.toBe(first);
    expect(await hash('a', { x: 1 }, 3)).not.toBe(first);
  });
});

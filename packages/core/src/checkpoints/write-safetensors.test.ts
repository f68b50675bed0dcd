import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readStoredFloat64 } from './read-stored.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import { type TensorToWrite, writeSafetensors } from './write-safetensors.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-write-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const tensors: TensorToWrite[] = [
  { name: 'é "x"\n', dtype: 'f32', shape: [3], data: Float32Array.of(1, -0, Number.NaN) },
  { name: 'ids', dtype: 'i32', shape: [2, 1], data: Int32Array.of(-7, 2 ** 31 - 1) },
  { name: 'wide', dtype: 'f64', shape: [], data: Float64Array.of(0.1) },
  { name: 'Z', dtype: 'f32', shape: [0, 4], data: new Float32Array(0) },
  { name: 'a view', dtype: 'f32', shape: [2], data: Float32Array.of(9, 5, 6, 9).subarray(1, 3) },
];

describe('writeSafetensors', () => {
  test('what was written reads back to the bit, with its metadata', () => {
    const path = join(root, 'a.safetensors');
    writeSafetensors(path, tensors, { note: 'two\nlines', format: 'circuitscope' });
    const { tensors: read, metadata } = readSafetensorsHeader(path);
    expect(metadata).toEqual(
      new Map([
        ['format', 'circuitscope'],
        ['note', 'two\nlines'],
      ]),
    );
    expect(read.length).toBe(tensors.length);
    for (const { name, dtype, shape, data } of tensors) {
      const found = read.find((tensor) => tensor.name === name)!;
      expect([found.dtype, found.shape]).toEqual([dtype, shape]);
      expect(readStoredFloat64(found)).toEqual(Float64Array.from(typeof data === 'function' ? data() : data));
    }
    expect(Object.is(readStoredFloat64(read.find((tensor) => tensor.name === 'é "x"\n')!)[1], -0)).toBe(true);
  });

  test('the order of the call does not show in the bytes, and every tensor is aligned to its entries', () => {
    const [one, two] = [join(root, 'b.safetensors'), join(root, 'c.safetensors')];
    writeSafetensors(one, tensors, { b: '2', a: '1' });
    writeSafetensors(two, tensors.toReversed(), { a: '1', b: '2' });
    expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
    for (const { dtype, byteOffset } of readSafetensorsHeader(one).tensors)
      expect(byteOffset % (dtype === 'f64' ? 8 : 4)).toBe(0);
    expect(readFileSync(one).readBigUInt64LE(0) % 8n).toBe(0n);
  });

  test('data from functions are asked for one after the other, in the order of the file', () => {
    const asked: string[] = [];
    const lazy = ['b', 'c', 'a'].map(
      (name): TensorToWrite => ({
        name,
        dtype: 'f32',
        shape: [1],
        data: () => {
          asked.push(name);
          return Float32Array.of(1);
        },
      }),
    );
    writeSafetensors(join(root, 'd.safetensors'), lazy);
    expect(asked).toEqual(['a', 'b', 'c']);
  });

  test('a failure leaves no file behind and keeps what stood there', () => {
    const folder = join(root, 'failing');
    mkdirSync(folder);
    const path = join(folder, 'e.safetensors');
    writeSafetensors(path, tensors.slice(0, 1));
    const before = readFileSync(path);
    const broken = (more: object) => () => writeSafetensors(path, [{ ...tensors[0]!, ...more }]);
    expect(broken({ shape: [4] })).toThrow(/shape and data disagree/);
    expect(broken({ dtype: 'f64' })).toThrow(/another type/);
    expect(broken({ shape: [-3] })).toThrow(/whole numbers/);
    expect(broken({ name: '__metadata__' })).toThrow(/name is taken/);
    expect(() => writeSafetensors(path, [tensors[0]!, tensors[0]!])).toThrow(/name is taken/);
    expect(
      broken({
        data: () => {
          throw new Error('no data');
        },
      }),
    ).toThrow(/no data/);
    expect(readdirSync(folder)).toEqual(['e.safetensors']);
    expect(readFileSync(path).equals(before)).toBe(true);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { fileSource, memorySource } from './byte-source.ts';
import type { StoredTensor } from './checkpoint.ts';
import { parseNpy, readNpy, readNpz } from './npy.ts';
import { openCheckpoint } from './open-checkpoint.ts';
import { readStored, readStoredFloat64 } from './read-stored.ts';
import { hasShared, shared, withoutShared } from './shared-data.ts';
import { joined, u16, u32, zipFile } from './zip-file.fixture.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-npy-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function npy(header: string, data: Uint8Array, version = 1): Uint8Array {
  const text = new TextEncoder().encode(header);
  const length = version === 1 ? u16(text.length) : u32(text.length);
  return joined([Uint8Array.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0, ...length]), text, data]);
}
const floats = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
const head = (more: { descr?: string; order?: string; shape?: string } = {}) =>
  `{'descr': ${more.descr ?? "'<f4'"}, 'fortran_order': ${more.order ?? 'False'}, 'shape': ${more.shape ?? '(2, 3)'}, }          \n`;
const parse = (bytes: Uint8Array): StoredTensor => parseNpy(memorySource('a.npy', bytes), 'array');
const refused = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message} ${error.got}`;
    throw error;
  }
  return 'accepted';
};
function values(bytes: Uint8Array): number[] {
  const path = join(root, 'a.npy');
  writeFileSync(path, bytes);
  return [...readStoredFloat64(readNpy(path))];
}

describe('npy', () => {
  test('C order, Fortran order, scalars, empty arrays and all versions read', () => {
    for (const version of [1, 2, 3]) expect(values(npy(head(), floats, version))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(values(npy(head({ order: 'True' }), floats))).toEqual([1, 3, 5, 2, 4, 6]);
    expect(parse(npy(head({ order: 'True' }), floats)).strides).toEqual([1, 2]);
    expect(values(npy(head({ shape: '(6,)', order: 'True' }), floats))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(values(npy(head({ shape: '()' }), floats.subarray(0, 4)))).toEqual([1]);
    expect(values(npy(head({ shape: '(0, 3)' }), floats.subarray(0, 0)))).toEqual([]);
    expect(values(npy(head({ descr: "'|i1'", shape: '(2,)' }), Uint8Array.of(255, 3)))).toEqual([-1, 3]);
  });

  test('a header is matched, never evaluated; objects, records and other byte orders are refused', () => {
    for (const header of [
      head({ descr: "'|O'" }),
      head({ descr: "'>f4'" }),
      head({ descr: "[('a', '<f4')]" }),
      head({ descr: "'<V4'" }),
      head({ descr: "__import__('os').system('true')" }),
      head({ shape: '(2 * 3,)' }),
      head({ shape: '(-6,)' }),
      head({ shape: '(6)' }),
      head({ shape: '(1,1,1,1,1,1,1,2,3)' }),
      head({ shape: '(6.0,)' }),
      head({ shape: '[2, 3]' }),
      head({ order: '0' }),
      head({ order: '[]' }),
      head().replace('descr', 'dtype'),
      head().replace("'shape'", "'extra': True, 'shape'"),
      head().replace("'shape'", "'descr': '<f4', 'shape'"),
      `${head()}x`,
      '{}',
      '',
    ]) {
      expect(
        refused(() => parse(npy(header, floats))),
        header,
      ).toMatch(/^bad_npy/);
    }
  });

  test('sizes that the file does not have are refused before anything is allocated', () => {
    for (const shape of ['(2, 4)', '(1000000000000,)', '(4294967296, 4294967296)', `(${'9'.repeat(40)},)`, '(2, 2)']) {
      expect(
        refused(() => parse(npy(head({ shape }), floats))),
        shape,
      ).toMatch(/bad_npy.*shape and data disagree/);
    }
    const long = npy(head(), floats, 2);
    new DataView(long.buffer).setUint32(8, 0xffffffff, true);
    expect(refused(() => parse(long))).toMatch(/header is too long/);
    const whole = npy(head(), floats);
    for (let length = 0; length < whole.length; length++)
      expect(refused(() => parse(whole.subarray(0, length)))).toMatch(/^bad_npy/);
  });
});

describe('npz', () => {
  const plain = zipFile([{ name: 'w.npy', bytes: npy(head({ order: 'True' }), floats) }], { large: false });
  const packed = zipFile([{ name: 'w.npy', bytes: npy(head({ order: 'True' }), floats), deflate: true }], {
    large: false,
  });
  const read = (bytes: Uint8Array): StoredTensor[] => readNpz(memorySource('m.npz', bytes));

  test('plain and compressed archives give the same arrays; plain ones can be mapped', () => {
    for (const [name, bytes] of Object.entries({ plain, packed })) {
      const path = join(root, `${name}.npz`);
      writeFileSync(path, bytes);
      const tensor = openCheckpoint(path).tensors.get('w')!;
      expect([...readStored(tensor)]).toEqual([1, 3, 5, 2, 4, 6]);
      expect(tensor.deflated === undefined).toBe(name === 'plain');
    }
  });

  test('what is no array, and what unpacks to other than it announces, is refused', () => {
    expect(refused(() => read(zipFile([{ name: 'a.txt', bytes: floats }])))).toMatch(/bad_npy/);
    expect(refused(() => read(zipFile([])))).toMatch(/bad_npy.*no arrays/);
    const bomb = zipFile([
      { name: 'w.npy', bytes: npy(head({ shape: '(20000000,)' }), new Uint8Array(80_000_000)), deflate: true },
    ]);
    expect(bomb.length).toBeLessThan(200_000);
    expect(refused(() => read(bomb))).toMatch(/bad_zip.*far more than it holds/);
    const path = join(root, 'lie.npz');
    const lie = packed.slice();
    const at = lie.findLastIndex((byte, i) => byte === 0x50 && lie[i + 1] === 0x4b && lie[i + 2] === 1);
    new DataView(lie.buffer).setUint32(at + 24, npy(head(), floats).length + 8, true);
    writeFileSync(path, lie);
    expect(refused(() => openCheckpoint(path))).toMatch(/shape and data disagree/);
  });
});

describe.skipIf(!hasShared)(`numpy files of other writers${withoutShared}`, () => {
  test('the plain and the compressed GPT-2 hold the bits of the safetensors file', () => {
    const containers = join(shared, 'golden/formats/gpt2-containers');
    const reference = openCheckpoint(join(containers, 'reference')).tensors;
    for (const name of ['npz', 'npz/model.npz', 'npz/model_compressed.npz']) {
      const { tensors, kind } = openCheckpoint(join(containers, name));
      expect([kind, tensors.size]).toEqual(['npz', reference.size]);
      for (const [key, expected] of reference) expect(readStored(tensors.get(key)!), key).toEqual(readStored(expected));
    }
  });

  test('small files and pictures read', () => {
    const folder = join(shared, 'data/formats/numpy');
    const array = readNpy(join(folder, 'test.npy'));
    expect([array.shape, [...readStoredFloat64(array)]]).toEqual([[10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
    const more = readNpz(fileSource(join(folder, 'test.npz'))).map((each) => [each.name, readStoredFloat64(each)[9]]);
    expect(more).toEqual([
      ['x', 9],
      ['x_plus_one', 10],
    ]);
    const pictures = readNpy(join(shared, 'data/vision/cifar10/cifar10_dev_rgb_u8.npy'));
    expect([pictures.dtype, pictures.shape]).toEqual(['u8', [100, 32, 32, 3]]);
  });
});

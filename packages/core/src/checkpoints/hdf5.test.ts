import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { memorySource } from './byte-source.ts';
import type { StoredTensor } from './checkpoint.ts';
import { type Hdf5Object, readHdf5 } from './hdf5.ts';
import { dataset, group, hdf5File } from './hdf5-file.fixture.ts';
import { readStored } from './read-stored.ts';
import { storedBytes } from './stored-bytes.ts';
import { u32, u64 } from './zip-file.fixture.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-hdf5-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const counted = (length: number) => Array.from({ length }, (_, i) => i + 1);
const file = hdf5File(
  group(
    {
      plain: dataset([2, 3], counted(6)),
      compact: dataset([3], counted(3), { compact: true }),
      empty: dataset([0, 4], []),
      chunked: dataset([5, 7, 3], counted(105), { chunk: [2, 3, 3] }),
      packed: dataset([5, 7], counted(35), { chunk: [4, 4], filters: ['shuffle', 'deflate'] }),
      inner: group({ deeper: group({ w: dataset([], [7]) }) }, { names: ['a', 'bcd', ''] }),
    },
    { model_config: '{"a": "ä"}' },
  ),
);

const open = (bytes: Uint8Array): Hdf5Object => readHdf5(memorySource('a.h5', bytes));
const at = (from: Hdf5Object, path: string): Hdf5Object =>
  path.split('/').reduce((object, name) => object.members().get(name) ?? expect.fail(`no ${name}`), from);
const refused = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message} ${error.got}`;
    throw error;
  }
  return 'accepted';
};
function values(tensor: StoredTensor, bytes = file): number[] {
  const path = join(root, 'a.h5');
  writeFileSync(path, bytes);
  const there = { ...tensor, file: path };
  const whole: number[] = [];
  storedBytes(there, (piece) => whole.push(...piece));
  const read = readStored(there);
  expect([...new Float32Array(Uint8Array.from(whole).buffer)]).toEqual([...read]);
  return [...read];
}
/** The file with four bytes written over at the first place after `from` where `find` stands. */
function patched(find: string, offset: number, bytes: readonly number[], from = 0): Uint8Array {
  const copy = file.slice();
  const place = Buffer.from(file).indexOf(find, from, 'latin1');
  expect(place).toBeGreaterThan(0);
  copy.set(bytes, place + offset);
  return copy;
}

describe('readHdf5', () => {
  test('datasets read however they are laid out', () => {
    const tensor = (path: string) => at(open(file), path).tensor(path);
    expect(tensor('plain')).toMatchObject({ shape: [2, 3], dtype: 'f32', byteLength: 24 });
    expect(values(tensor('plain'))).toEqual(counted(6));
    expect(values(tensor('compact'))).toEqual(counted(3));
    expect(values(tensor('empty'))).toEqual([]);
    expect(tensor('chunked').chunks?.pieces.length).toBe(9);
    expect(values(tensor('chunked'))).toEqual(counted(105));
    expect(values(tensor('packed'))).toEqual(counted(35));
    expect(values(tensor('inner/deeper/w'))).toEqual([7]);
    const { byteLength, ...turned } = { ...tensor('packed'), shape: [7, 5], strides: [1, 7] };
    expect(values({ ...turned, byteLength }).slice(0, 6)).toEqual([1, 8, 15, 22, 29, 2]);
  });

  test('groups and texts read', () => {
    const object = open(file);
    expect([...object.members().keys()]).toEqual(['chunked', 'compact', 'empty', 'inner', 'packed', 'plain']);
    expect(object.texts('model_config')).toEqual(['{"a": "ä"}']);
    expect(at(object, 'inner').texts('names')).toEqual(['a', 'bcd', '']);
    expect(object.texts('other')).toBeUndefined();
    expect(at(object, 'plain').kind).toBe('dataset');
    expect(refused(() => object.tensor('root'))).toMatch(/bad_hdf5.*no dataset/);
  });

  test('what is not read here says what it is', () => {
    const change = (place: number, value: number): Uint8Array =>
      Uint8Array.from(file, (byte, i) => (i === place ? value : byte));
    expect(refused(() => open(change(8, 2)))).toMatch(/bad_hdf5.*libver='latest'/);
    expect(refused(() => open(change(13, 4)))).toMatch(/size of places/);
    expect(refused(() => open(file.subarray(0, file.length - 1)))).toMatch(/cut off/);
    expect(refused(() => open(new TextEncoder().encode('no HDF5 at all')))).toMatch(/bad_hdf5/);
    const filters = at(open(file), 'packed').tensor('packed').chunks?.filters;
    expect(filters).toEqual(['shuffle', 'deflate']);
    // The pipeline lists shuffle with id 2: as 32000 it is lzf.
    const place = Buffer.from(file).indexOf(Uint8Array.from([2, 0, 0, 0, 1, 0, 1, 0, 4, 0, 0, 0]));
    const lzf = file.slice();
    lzf.set([0x00, 0x7d], place);
    expect(refused(() => at(open(lzf), 'packed').tensor('packed'))).toMatch(/lzf/);
    const big = file.slice();
    big[Buffer.from(file).indexOf(Uint8Array.from([0x11, 0x20, 0x1f])) + 1] = 0x21;
    expect(Object.keys(dtypesOf(big))).toContain('big-endian floats');
  });

  test('what leads back to itself ends, and sizes are asked for before memory is', () => {
    const tree = Buffer.from(file).lastIndexOf('TREE');
    const loop = file.slice();
    loop[tree + 5] = 1; // a tree of one level more, whose child is…
    loop.set(new Uint8Array(BigUint64Array.of(BigInt(tree)).buffer), tree + 32); // …itself
    expect(refused(() => open(loop).members())).toMatch(/does not get shallower/);
    expect(refused(() => open(patched('HEAP', 8, [255, 255, 255, 255, 255, 0])).members())).toMatch(/cut off|accepted/);
    // A chunk of 4,000 bytes that says it unpacks to 800 MB: its shape and its chunk's sizes are written over.
    const bomb = hdf5File(group({ zeros: dataset([1000], [1], { chunk: [1000], filters: ['deflate'] }) }));
    const many = u32(200_000_000);
    for (const sizes of [u64(1000), [...u32(1000), ...u32(4)]]) {
      const place = Buffer.from(bomb).indexOf(Uint8Array.from(sizes));
      expect(place).toBeGreaterThan(0);
      bomb.set(many, place);
    }
    expect(refused(() => at(open(bomb), 'zeros').tensor('zeros'))).toMatch(/unpacks to far more/);
    const place = Buffer.from(file).indexOf(Uint8Array.from([1, 3, 0, 0, 0, 0, 0, 0, ...u64(5), ...u64(7), 3])) + 8;
    const long = file.slice();
    long.set([255, 255, 255, 255, 255], place);
    expect(refused(() => at(open(long), 'chunked').tensor('chunked'))).toMatch(/too many chunks|beyond every file/);
  });
});

/** How often each type of a dataset is refused. */
function dtypesOf(bytes: Uint8Array): Record<string, number> {
  const found: Record<string, number> = {};
  for (const member of open(bytes).members().values()) {
    if (member.kind === 'group') continue;
    const got = /big-endian floats/.exec(refused(() => member.tensor('x')))?.[0] ?? 'read';
    found[got] = (found[got] ?? 0) + 1;
  }
  return found;
}

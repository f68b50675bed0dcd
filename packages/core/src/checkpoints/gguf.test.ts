import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { memorySource } from './byte-source.ts';
import { type Gguf, readGguf } from './gguf.ts';
import { ggufFile, type Meta, meta, type TensorToPack } from './gguf-file.fixture.ts';
import { openCheckpoint } from './open-checkpoint.ts';
import { readStored } from './read-stored.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import { hasShared, shared, withoutShared } from './shared-data.ts';
import { u32, u64 } from './zip-file.fixture.ts';

const read = (bytes: Uint8Array): Gguf => readGguf(memorySource('m.gguf', bytes));
const refused = (bytes: Uint8Array): string => {
  try {
    read(bytes);
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message} ${error.got}`;
    throw error;
  }
  return 'accepted';
};
const floats = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
const w: TensorToPack = { name: 'w', shape: [2, 3], type: 0, bytes: floats };
const q: TensorToPack = { name: 'q', shape: [2, 32], type: 8, bytes: new Uint8Array(68).fill(1) };
const facts: readonly Meta[] = [meta.text('general.architecture', 'none'), meta.texts('list', ['a', '', 'ü'])];
const whole = ggufFile(facts, [w, q]);

describe('readGguf', () => {
  test('metadata and tensors, with shapes the right way round', () => {
    const { metadata, tensors, version } = read(whole);
    expect(version).toBe(3);
    expect([...metadata]).toEqual([
      ['general.architecture', 'none'],
      ['list', ['a', '', 'ü']],
    ]);
    expect(tensors.map(({ name, dtype, shape, byteLength }) => [name, dtype, shape, byteLength])).toEqual([
      ['w', 'f32', [2, 3], 24],
      ['q', 'q8_0', [2, 32], 68],
    ]);
  });

  test('tensors that overlap, leave holes, are cut or have impossible shapes are refused by name', () => {
    const lie = (more: Partial<TensorToPack>) => refused(ggufFile(facts, [{ ...w, ...more }, q]));
    expect(lie({ offset: 32 })).toMatch(/bad_gguf: m.gguf: (w|q).*overlaps/);
    expect(lie({ offset: 2 ** 52 })).toMatch(/overlaps|hole/);
    expect(lie({ shape: [2, 4] })).toMatch(/accepted/); // within the padding: still bytes of its own
    expect(lie({ shape: [2, 10] })).toMatch(/overlaps/);
    expect(lie({ shape: [2 ** 31, 2 ** 31] })).toMatch(/too large/);
    expect(lie({ shape: [2 ** 52, 0] })).toMatch(/hole|overlap/);
    expect(lie({ shape: [1, 1, 1, 2, 3] })).toMatch(/dimensions/);
    expect(lie({ type: 99 })).toMatch(/type is not read.*type 99/);
    expect(lie({ type: 8 })).toMatch(/whole blocks/);
    expect(lie({ name: 'q' })).toMatch(/one name/);
    expect(refused(ggufFile(facts, [q, w]).subarray(0, -32))).toMatch(/cut off/);
    expect(refused(Uint8Array.from([...whole, ...new Uint8Array(40)]))).toMatch(/bytes follow/);
  });

  test('counts and lengths that the file cannot hold are refused before anything is allocated', () => {
    const patched = (at: number, bytes: readonly number[]): string => {
      const copy = whole.slice();
      copy.set(bytes, at);
      return refused(copy);
    };
    for (const huge of [u64(2 ** 50), [255, 255, 255, 255, 255, 255, 255, 255], u64(70_000)]) {
      expect(patched(8, huge)).toMatch(/impossible|too large/); // tensors
      expect(patched(16, huge)).toMatch(/impossible|too large/); // metadata
      expect(patched(24, huge)).toMatch(/too long|too large/); // the first key
    }
    const list = (type: number, count: number): string =>
      refused(ggufFile([['x', 9, [...u32(type), ...u64(count)]]], []));
    expect(list(8, 2 ** 40)).toMatch(/longer than the file/);
    expect(list(0, 2 ** 40)).toMatch(/longer than the file/);
    expect(list(9, 1)).toMatch(/unknown type/);
    expect(refused(ggufFile([['x', 77, []]], []))).toMatch(/type is unknown/);
    expect(refused(ggufFile([['x', 7, [2]]], []))).toMatch(/truth value/);
    expect(refused(ggufFile([meta.u32('general.alignment', 0)], []))).toMatch(/alignment/);
    expect(refused(ggufFile([meta.u32('general.alignment', 48)], []))).toMatch(/alignment/);
    expect(refused(ggufFile([meta.u32('a', 1), meta.u32('a', 2)], []))).toMatch(/twice/);
    expect(patched(4, u32(1))).toMatch(/version/);
    expect(patched(0, [0x58])).toMatch(/begin/);
  });

  test('a file that is cut anywhere is refused', () => {
    const last = whole.length - 32; // after that, padding alone is missing
    for (let length = 0; length < last; length++) expect(refused(whole.subarray(0, length))).toMatch(/bad_gguf/);
  });
});

describe.skipIf(!hasShared)(`recorded GGUF files${withoutShared}`, () => {
  const folder = `${shared}/golden/formats/gguf`;

  test('each of 13 types gives the recorded values to the bit', () => {
    const got = openCheckpoint(`${folder}/tensors.gguf`).tensors;
    const expected = readSafetensorsHeader(`${folder}/tensors.expected.safetensors`).tensors;
    expect([got.size, expected.length]).toEqual([13, 13]);
    for (const tensor of expected) expect(readStored(got.get(tensor.name)!), tensor.name).toEqual(readStored(tensor));
  });

  test('metadata of every kind, and the lists of a whole vocabulary', () => {
    expect(openCheckpoint(`${folder}/tensors.gguf`).config).toMatchObject({
      'test.string': 'grüße 🙂',
      'test.array_i32': [1, -2, 3],
      'test.array_string': ['a', '', 'ü'],
      'test.bool': true,
      'test.f64': 0.1,
      'test.u64': 2 ** 53 - 1,
      'test.i8': -128,
    });
    const neox = openCheckpoint(`${shared}/data/gguf/ggml-vocab-gpt-neox.gguf`);
    expect(neox.config).toMatchObject({ 'gptneox.block_count': 44, 'gptneox.use_parallel_residual': true });
    expect(neox.tensors.size).toBe(0);
  });
});

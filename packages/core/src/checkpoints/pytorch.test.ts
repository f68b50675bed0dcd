import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { memorySource } from './byte-source.ts';
import type { StoredTensor } from './checkpoint.ts';
import { openCheckpoint } from './open-checkpoint.ts';
import { readPytorch } from './pytorch.ts';
import { readStored, readStoredFloat64 } from './read-stored.ts';
import { hasShared, shared, withoutShared } from './shared-data.ts';
import { floats, op, orderedDict, stateDict, tensor, torchLegacy, torchZip, twoTensors } from './torch-file.fixture.ts';
import { zipFile } from './zip-file.fixture.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-pytorch-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const read = (bytes: Uint8Array): StoredTensor[] => readPytorch(memorySource('m.pt', bytes));
function refusal(run: () => unknown): CircuitscopeError {
  try {
    run();
  } catch (error) {
    if (error instanceof CircuitscopeError) return error;
    throw error;
  }
  throw new Error('accepted');
}
const refused = (bytes: Uint8Array): string => {
  const { code, message } = refusal(() => read(bytes));
  return `${code}: ${message}`;
};
/** Values by name, read back through the file system. */
function values(bytes: Uint8Array): Record<string, number[]> {
  const path = join(root, 'm.pt');
  writeFileSync(path, bytes);
  return Object.fromEntries([...openCheckpoint(path).tensors].map(([name, t]) => [name, [...readStoredFloat64(t)]]));
}

describe('readPytorch', () => {
  test('a zip and a legacy file give the same tensors, strides and offsets kept', () => {
    const expected = { w: [1, 3, 5, 2, 4, 6], b: [1, 2, 3] };
    expect(values(torchZip())).toEqual(expected);
    expect(values(torchLegacy())).toEqual(expected);
    const [w, b] = read(torchZip());
    expect([w?.strides, b?.strides, w?.byteLength, b?.byteLength]).toEqual([[1, 2], undefined, 24, 12]);
    const shifted = stateDict([{ key: '0', count: 6, shape: [2, 2], strides: [3, 1], offset: 1 }]);
    expect(values(torchZip(shifted, { 0: floats(6) }))).toEqual({ w: [2, 3, 5, 6] });
  });

  test('the state dict is found in a checkpoint, and prefixes of wrappers go', () => {
    const named = (names: readonly string[]) =>
      orderedDict(names.map((name, i) => [op.text(name), tensor({ key: `${i}`, count: 1, shape: [1], strides: [1] })]));
    const names = (value: readonly number[]): string[] =>
      read(torchZip(value, { 0: floats(1), 1: floats(1) })).map(({ name }) => name);
    const pair = (prefix: string) => named([`${prefix}a`, `${prefix}b`]);
    expect(
      names(
        op.dict([
          [op.text('epoch'), op.int(3)],
          [op.text('state_dict'), pair('module.')],
        ]),
      ),
    ).toEqual(['a', 'b']);
    expect(
      names(
        op.dict([
          [op.text('weights_of_mine'), pair('')],
          [op.text('note'), op.text('x')],
        ]),
      ),
    ).toEqual(['a', 'b']);
    expect(names(op.dict([[op.text('model'), op.dict([[op.text('module'), pair('_orig_mod.')]])]]))).toEqual([
      'a',
      'b',
    ]);
    expect(names(op.dict([[op.text('layer'), op.dict([[op.text('a'), tensor(one)]])]]))).toEqual(['layer.a']);
    expect(names(pair('model.'))).toEqual(['a', 'b']);
    expect(names(pair('model.layers.0.'))).toEqual(['model.layers.0.a', 'model.layers.0.b']);
    expect(names(pair('module.model.transformer.'))).toEqual(['transformer.a', 'transformer.b']);
    expect(names(tensor(one))).toEqual(['tensor']);
  });
  const one = { key: '0', count: 1, shape: [1], strides: [1] };

  test('nothing that a pickle names is called, whatever it is', () => {
    const run = (module: string, name: string) => op.call(op.global(module, name), op.text('touch /tmp/owned'));
    for (const code of [
      run('os', 'system'),
      run('builtins', 'eval'),
      run('__builtin__', 'getattr'),
      run('torch', 'load'),
      run('torch._utils', '_rebuild_device_tensor_from_numpy'),
      run('collections', 'OrderedDict '),
      op.global('posix', 'system'),
      [0x69, ...op.global('os', 'system').slice(1)], // INST
      [...op.global('os', 'system'), 0x29, 0x81], // NEWOBJ
      [0x82, 1], // EXT1
      [0x80, 4, 0x8c, 2, 0x6f, 0x73, 0x8c, 6, ...new TextEncoder().encode('system'), 0x93], // STACK_GLOBAL
    ]) {
      for (const file of [torchZip(code), torchLegacy(code)])
        expect(refused(file), String(code)).toMatch(/^pickle_refused/);
    }
    const state = [...op.dict([]), ...op.dict([]), 0x62];
    expect(refused(torchZip(state))).toMatch(/pickle_refused.*no ordered dict/);
    expect(refused(torchZip(stateDict(), undefined, { 'constants.pkl': floats(1) }))).toMatch(/TorchScript/);
  });

  test('tensors that reach out of their storage, or repeat it, are refused by name', () => {
    const lie = (more: object) => refused(torchZip(stateDict([{ ...twoTensors[0]!, ...more }]), { 0: floats(6) }));
    expect(lie({ shape: [2, 4] })).toMatch(/bad_pytorch: m.pt: w .*beyond its storage/);
    expect(lie({ offset: 1 })).toMatch(/beyond its storage/);
    expect(lie({ strides: [1, 2147483647] })).toMatch(/beyond its storage/);
    expect(lie({ shape: [2147483647, 2147483647], strides: [0, 0] })).toMatch(/repeats entries/);
    expect(lie({ shape: [6, 2], strides: [1, 0] })).toMatch(/repeats entries/);
    expect(lie({ shape: [2, 3], strides: [1, 1] })).toMatch(/repeats entries/);
    expect(lie({ count: 7 })).toMatch(/another length/);
    expect(lie({ count: 5 })).toMatch(/another length|beyond/);
    expect(lie({ type: 'DoubleStorage' })).toMatch(/another length/);
    expect(lie({ shape: [-1, 3] })).toMatch(/pickle_refused/);
    expect(lie({ strides: [-1, 3] })).toMatch(/pickle_refused/);
    expect(lie({ offset: -1 })).toMatch(/pickle_refused/);
    expect(lie({ strides: [1] })).toMatch(/pickle_refused/);
    expect(lie({ shape: [1, 1, 1, 1, 1, 1, 1, 2, 3], strides: [1, 1, 1, 1, 1, 1, 1, 1, 2] })).toMatch(/pickle_refused/);
    expect(lie({ key: '7' })).toMatch(/storage "7" is missing/);
    expect(lie({ key: '../../etc/passwd' })).toMatch(/is missing/);
  });

  test('cycles, values without end and names that collide are refused', () => {
    // A dict that holds itself: EMPTY_DICT, BINPUT 0, 'self', BINGET 0, SETITEM.
    const cycle = [0x7d, 0x71, 0, ...op.text('self'), 0x68, 0, 0x73];
    expect(refused(torchZip(cycle))).toMatch(/bad_pickle.*nest without end/);
    // Each level holds the one below twice: 2^21 leaves in 21 levels. BINGET level − 1, TUPLE2, BINPUT level.
    const bomb = Array.from({ length: 21 }, (_, level) => [0x68, level, 0x86, 0x71, level + 1]).flat();
    expect(refused(torchZip(op.dict([[op.text('x'), [0x5d, 0x71, 0, ...bomb]]])))).toMatch(/nest without end/);
    const twice = op.dict([
      [op.text('a'), op.int(1)],
      [op.text('a'), op.int(2)],
    ]);
    expect(refused(torchZip(twice))).toMatch(/twice/);
    const collide = op.dict([
      [op.text('a'), op.dict([[op.text('b'), tensor(one)]])],
      [op.text('a.b'), tensor(one)],
    ]);
    expect(refused(torchZip(collide, { 0: floats(1) }))).toMatch(/two tensors have one name/);
    expect(refused(torchZip(op.dict([])))).toMatch(/holds no tensors/);
  });
});

describe('damage', () => {
  const zip = torchZip();
  const legacy = torchLegacy();

  test('a file that is cut anywhere is refused', () => {
    for (const whole of [zip, legacy]) {
      for (let length = 0; length < whole.length; length++) refusal(() => read(whole.subarray(0, length)));
    }
  });

  test('bytes that follow are refused', () => {
    for (const whole of [zip, legacy]) expect(refused(Uint8Array.from([...whole, 0]))).toMatch(/bad_/);
  });
});

describe('zip archives', () => {
  test('entries that overlap, are packed, repeat or lie about themselves are refused', () => {
    const data = (bytes: Uint8Array, deflate = false) => ({ name: 'a/data/0', bytes, deflate });
    const pickle = { name: 'a/data.pkl', bytes: op.whole(stateDict([{ ...twoTensors[0]! }])) };
    expect(refused(zipFile([pickle, data(floats(6), true)]))).toMatch(/a storage is packed/);
    expect(refused(zipFile([pickle, pickle, data(floats(6))]))).toMatch(/one name/);
    expect(refused(zipFile([pickle, { ...pickle, name: 'b/data.pkl' }, data(floats(6))]))).toMatch(/one data.pkl/);
    expect(refused(zipFile([data(floats(6))]))).toMatch(/one data.pkl/);
    const whole = zipFile([pickle, data(floats(6))], { large: false });
    expect(read(whole).length).toBe(1);
    const patched = (at: number, ...bytes: number[]): string => {
      const copy = whole.slice();
      copy.set(bytes, at);
      return refused(copy);
    };
    const end = whole.length - 22;
    expect(patched(end + 10, 0xff, 0xff)).toMatch(/impossible size|disagree/);
    expect(patched(end + 16, 1, 0, 0, 0)).toMatch(/directory is not where/);
    expect(patched(end + 4, 1)).toMatch(/several/);
    const pickled = whole.indexOf(0x80, 30); // the pickle's first byte: its checksum no longer holds
    expect(patched(pickled + 1, 3)).toMatch(/checksum/);
  });
});

describe.skipIf(!hasShared)(`PyTorch files of other writers${withoutShared}`, () => {
  const folder = join(shared, 'data/formats/pytorch');
  const containers = join(shared, 'golden/formats/gpt2-containers');

  test('every type holds its recorded values', () => {
    const tensorOf = (name: string): number[] => {
      const stored = openCheckpoint(join(folder, `${name}.pt`)).tensors.get('tensor');
      return stored ? [...readStoredFloat64(stored)] : [];
    };
    expect(tensorOf('float64')).toEqual([1.1, 2.2, 3.3]);
    expect(tensorOf('float32')).toEqual([1, 2.5, -3.7, 0].map(Math.fround));
    expect(tensorOf('float16')).toEqual([1.5, -2.25, 3.125]);
    expect(tensorOf('bfloat16')).toEqual([1.5, -2.5, 3.5]);
    expect(tensorOf('int64')).toEqual([100, -200, 300, 0]);
    expect(tensorOf('int16')).toEqual([1000, -2000, 3000]);
    expect(tensorOf('int8')).toEqual([127, -128, 0, 50]);
    expect(tensorOf('uint8')).toEqual([0, 128, 255, 42]);
    expect(tensorOf('bool')).toEqual([1, 0, 1, 1, 0]);
    expect(tensorOf('scalar')).toEqual([42]);
    expect(tensorOf('empty')).toEqual([]);
  });

  test('every one of 22 files opens; those that differ in storage alone agree', () => {
    const files = readdirSync(folder);
    expect(files.length).toBe(22);
    for (const file of files)
      for (const each of openCheckpoint(join(folder, file)).tensors.values()) readStoredFloat64(each);
    const names = (file: string): string[] => [...openCheckpoint(join(folder, file)).tensors.keys()];
    expect(names('checkpoint.pt')).toEqual(['fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias']);
    expect(names('nested_dict.pt')).toEqual(['layer1.weight', 'layer1.bias', 'layer2.weight', 'layer2.bias']);
    expect(names('weights_with_config.pt')).toEqual(['fc1.weight', 'fc1.bias', 'fc2.weight']);
    const offsets = openCheckpoint(join(folder, 'legacy_with_offsets.pt')).tensors;
    expect([...readStored(offsets.get('tensor2')!)]).toEqual([2, 2.1, 2.2, 2.3, 2.4].map(Math.fround));
  });

  test('six containers hold the bits of the safetensors file', () => {
    const reference = openCheckpoint(join(containers, 'reference')).tensors;
    for (const name of [
      'torch-bin',
      'torch-bin-sharded',
      'torch-legacy',
      'torch-legacy/pytorch_model.bin',
      'torch-strided',
      'torch-nested/checkpoint.pt',
    ]) {
      const { tensors, kind } = openCheckpoint(join(containers, name));
      expect(kind).toBe('pytorch');
      for (const [key, expected] of reference) expect(readStored(tensors.get(key)!), key).toEqual(readStored(expected));
    }
    const strided = openCheckpoint(join(containers, 'torch-strided')).tensors.get('transformer.h.0.mlp.c_fc.weight');
    expect([strided?.shape, strided?.strides]).toEqual([
      [32, 128],
      [1, 32],
    ]);
  });

  test('trained nets open from zip and legacy files', () => {
    const resnet = openCheckpoint(join(shared, 'data/vision/cifar10/resnet20-12fca82f.th')).tensors;
    expect(resnet.get('layer3.2.conv2.weight')?.shape).toEqual([64, 64, 3, 3]);
    const clock = openCheckpoint(join(shared, 'data/algorithmic/clock-pizza/model_l8k1hzciux.pt')).tensors;
    expect(clock.get('blocks.0.attn.W_K')?.shape).toEqual([4, 32, 128]);
  });
});

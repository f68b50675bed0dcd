import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { memorySource } from './byte-source.ts';
import { openOnnx, readOnnx } from './onnx.ts';
import {
  type Bytes,
  external,
  int,
  message,
  node,
  onnxFile,
  raw,
  smallNet,
  tensor,
  text,
  varint,
} from './onnx-file.fixture.ts';
import { readStored } from './read-stored.ts';
import { hasShared, shared, withoutShared } from './shared-data.ts';

const beside = (name: string): number => {
  if (name === 'w.data') return 40;
  throw new CircuitscopeError('missing_file', `${name} does not exist.`);
};
const read = (bytes: Uint8Array) => readOnnx(memorySource('m.onnx', bytes), beside);
const refused = (bytes: Uint8Array): string => {
  try {
    read(bytes);
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message} ${error.got}`;
    throw error;
  }
  return 'accepted';
};
const whole = onnxFile(smallNet);
const withTensor = (shape: readonly number[], more: Bytes, type = 1) =>
  onnxFile([...smallNet, tensor('t', shape, more, type)]);

describe('readOnnx', () => {
  test('nodes, attributes, tensors, inputs and outputs', () => {
    const { net, tensors } = read(whole);
    expect(net.opset).toBe(17);
    expect(net.nodes[0]).toEqual({
      op: 'Conv',
      name: '',
      inputs: ['images', 'c.weight'],
      outputs: ['c'],
      attributes: { kernel_shape: [1, 1] },
    });
    expect([net.inputs, net.outputs]).toEqual([[{ name: 'images', shape: [1, 1, 2, 2] }], ['logits']]);
    expect(tensors.map(({ name, shape, byteLength }) => [name, shape, byteLength])).toEqual([
      ['c.weight', [2, 1, 1, 1], 8],
      ['fc.weight', [3, 8], 96],
      ['fc.bias', [3], 12],
    ]);
    const data = new Float32Array(whole.slice(tensors[2]?.byteOffset, (tensors[2]?.byteOffset ?? 0) + 12).buffer);
    expect([...data]).toEqual([1, 2, 3]);
  });

  test('tensors that lie about shape, type or place are refused', () => {
    expect(refused(withTensor([3], raw([1, 2])))).toMatch(/bad_onnx.*shape and data of the tensor t/);
    expect(refused(withTensor([2 ** 31, 2 ** 31], raw([1])))).toMatch(/type or shape/);
    expect(refused(withTensor([-2], raw([1])))).toMatch(/type or shape/);
    expect(refused(withTensor([1, 1, 1, 1, 1, 1, 1, 1, 2], raw([1, 2])))).toMatch(/type or shape/);
    expect(refused(withTensor([2], raw([1, 2]), 8))).toMatch(/type or shape/);
    expect(refused(withTensor([2], int(5, 1)))).toMatch(/number by number/);
    expect(refused(onnxFile([...smallNet, tensor('c.weight', [1], raw([1]))]))).toMatch(/two tensors/);
  });

  test('external data stay in the folder and in their file', () => {
    const place = (entries: Readonly<Record<string, string>>) => refused(withTensor([2], external(entries)));
    expect(place({ location: 'w.data', offset: '32' })).toBe('accepted');
    for (const location of ['../w.data', '/etc/passwd', 'a/w.data', '..', '', 'C:\\w', 'w\u0000.data', '.hidden'])
      expect(place({ location }), location).toMatch(/bare file name/);
    expect(place({ location: 'w.data', offset: '36' })).toMatch(/is not in w.data/);
    expect(place({ location: 'w.data', offset: '-8' })).toMatch(/is not in w.data/);
    expect(place({ location: 'w.data', offset: '9'.repeat(30) })).toMatch(/is not in w.data/);
    expect(place({ location: 'w.data', length: '12' })).toMatch(/is not in w.data/);
    expect(place({ location: 'other.data' })).toMatch(/missing_file/);
    expect(
      refused(withTensor([2], [...external({ location: 'w.data' }), ...external({ location: 'w.data' })])),
    ).toMatch(/twice/);
  });

  test('lengths that the file does not have, numbers without end and wrong kinds are refused', () => {
    expect(refused(Uint8Array.from([0x3a, ...varint(2n ** 60n), 1]))).toMatch(/longer than what holds it/);
    expect(refused(Uint8Array.from([0x3a, ...Array(11).fill(0xff)]))).toMatch(/never ends/);
    expect(refused(Uint8Array.from([0x3b]))).toMatch(/unknown kind/);
    expect(refused(Uint8Array.from([0x02, 0]))).toMatch(/no number/);
    expect(refused(new Uint8Array())).toMatch(/no graph/);
    expect(refused(onnxFile(smallNet, 99))).toMatch(/set of operations/);
    expect(refused(Uint8Array.from([...whole, ...message(7, text(2, 'again'))]))).toMatch(/two graphs/);
    expect(refused(Uint8Array.from([...whole, ...message(25, text(1, 'f'))]))).toMatch(/functions of its own/);
    const branch = message(5, text(1, 'then_branch'), message(6, text(2, 'g')));
    expect(refused(onnxFile([...smallNet, node('If', ['x'], ['y'], branch)]))).toMatch(/is a graph/);
  });

  test('a file that is cut anywhere is refused', () => {
    for (let length = 0; length < whole.length; length++)
      expect(refused(whole.subarray(0, length))).toMatch(/bad_onnx/);
  });
});

describe.skipIf(!hasShared)(`recorded ONNX files${withoutShared}`, () => {
  test('initialisers in a second file are those of the first', () => {
    const folder = `${shared}/golden/formats/onnx`;
    const [one, two] = ['', '-external'].map((kind) => openOnnx(`${folder}/residual-concat${kind}.onnx`));
    expect([one?.tensors.size, two?.files.length]).toEqual([13, 2]);
    for (const [name, expected] of one?.tensors ?? []) {
      const got = two?.tensors.get(name);
      if (expected.dtype === 'f32') expect(readStored(got!), name).toEqual(readStored(expected));
    }
    expect(one?.config.nodes.map(({ op }) => op)).toContain('Concat');
  });
});

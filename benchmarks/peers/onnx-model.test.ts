import { expect, test } from 'vitest';
import { onnxModel } from './onnx-model.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const text = (word: string): string => hex(new TextEncoder().encode(word));

// Field numbers of onnx.proto3, written out: key = number · 8 + wire type, then a length where the type is 2.
test('a graph of one node is these bytes of protobuf', () => {
  const model = onnxModel({
    nodes: [{ op: 'Relu', in: ['x'], out: ['y'] }],
    inputs: [{ name: 'x', shape: [2, 300], type: 'f32' }],
    outputs: [{ name: 'y', shape: [2, 300], type: 'f32' }],
    constants: [],
  });
  const node = `0a0178 120179 2204${text('Relu')}`;
  const shape = '0a020802 0a0308ac02';
  const value = (name: string): string => `0a01${text(name)} 120f 0a0d 0801 1209 ${shape}`;
  const graph = `0a0c${node} 1205${text('timed')} 5a14${value('x')} 6214${value('y')}`;
  const expected = `0809 120c${text('circuitscope')} 3a41${graph} 42040a001012 42110a0d${text('com.microsoft')}1001`;
  expect(hex(model)).toBe(expected.replaceAll(' ', ''));
});

test('numbers, texts, lists and constants stand where the format has them, negative ones in ten bytes', () => {
  const model = hex(
    onnxModel({
      nodes: [
        {
          op: 'T',
          domain: 'd',
          in: [],
          out: [],
          attributes: { a: -1, b: 's', c: [1, 2], e: { float: 1 } },
        },
      ],
      inputs: [],
      outputs: [],
      constants: [
        { name: 'w', shape: [1], data: Float32Array.of(1) },
        { name: 'k', shape: [1], data: BigInt64Array.of(64n) },
      ],
    }),
  );
  expect(model).toContain('18ffffffffffffffffff01a00102');
  expect(model).toContain('220173a00103');
  expect(model).toContain('40014002a00107');
  expect(model).toContain('150000803fa00101');
  expect(model).toContain('080110014201774a040000803f');
  expect(model).toContain('0801100742016b4a084000000000000000');
  expect(model).toContain(`3a01${text('d')}`);
});

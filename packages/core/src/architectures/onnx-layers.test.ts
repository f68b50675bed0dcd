import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import {
  type Bytes,
  integer,
  ints,
  node,
  onnxFile,
  raw,
  smallNet,
  tensor,
  value,
  word,
} from '../checkpoints/onnx-file.fixture.ts';
import { captured, chooseExecutor, imagePrompt, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { type ConvnetModel, loadConvnet } from './convnet.ts';
import { recorded, relativeError, sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-onnx-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let files = 0;
function open(graph: readonly Bytes[]): ConvnetModel {
  const path = join(root, `${files++}.onnx`);
  writeFileSync(path, onnxFile(graph));
  return loadConvnet(path);
}
const codeOf = (graph: readonly Bytes[]): string => {
  try {
    open(graph);
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};
async function logits(model: ConvnetModel, images: Tensor, precise = true): Promise<Tensor> {
  const executor = precise ? referenceExecutor({ precision: 'f64' }) : (await chooseExecutor()).executor;
  const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
  return captured(
    await runPlan({ graph: model.graph, weights: model.weights, executor }, plan, imagePrompt(images)),
    'logits',
  );
}
/** The small net with other nodes or tensors at some places. */
const withParts = (changes: Readonly<Record<number, Bytes>>, more: readonly Bytes[] = []): Bytes[] => [
  ...smallNet.map((part, i) => changes[i] ?? part),
  ...more,
];

describe('onnxConvnet', () => {
  test('a chain of layers computes what its nodes say', async () => {
    const images = { shape: [1, 1, 2, 2], data: Float32Array.of(1, -2, 3, -4) };
    const relu = [1, 0, 3, 0, 0, 2, 0, 4];
    const expected = [0, 1, 2].map((out) => relu.reduce((sum, x, i) => sum + x * (8 * out + i), out + 1));
    expect([...(await logits(open(smallNet), images)).data]).toEqual(expected);
    const turned = withParts({
      3: node('Gemm', ['f', 'fc.weight', 'fc.bias'], ['logits'], integer('transB', 0)),
      5: tensor('fc.weight', [8, 3], raw(Array.from({ length: 24 }, (_, i) => (i % 3) * 8 + Math.floor(i / 3)))),
    });
    expect([...(await logits(open(turned), images)).data]).toEqual(expected);
  });

  test('a sum of two branches is a residual block, with or without a ReLU behind it', async () => {
    const graph = [
      node('Conv', ['images', 'c.weight'], ['c']),
      node('Add', ['c', 'images'], ['s']),
      node('Relu', ['s'], ['r']),
      node('GlobalAveragePool', ['r'], ['g']),
      node('Flatten', ['g'], ['f']),
      node('Gemm', ['f', 'fc.weight'], ['p'], integer('transB', 1)),
      node('Softmax', ['p'], ['logits']),
      tensor('c.weight', [1, 1, 1, 1], raw([2])),
      tensor('fc.weight', [2, 1], raw([1, 10])),
      value(11, 'images', [0, 1, 1, 2]),
      value(12, 'logits', [0, 2]),
    ];
    const model = open(graph);
    expect(model.spec.layers[0]).toMatchObject({ kind: 'residual', relu: true, shortcut: [] });
    const images = { shape: [1, 1, 1, 2], data: Float32Array.of(1, -1) };
    expect([...(await logits(model, images)).data]).toEqual([1.5, 15]);
  });

  test('what is not computed is refused by the operation’s name', () => {
    expect(codeOf(withParts({ 1: node('Sigmoid', ['c'], ['r']) }))).toMatch(/unsupported_architecture.*Sigmoid/);
    expect(codeOf(withParts({ 1: node('Concat', ['c', 'c'], ['r'], integer('axis', 1)) }))).toMatch(/Concat/);
    const conv = (...attributes: Bytes[]) =>
      codeOf(withParts({ 0: node('Conv', ['images', 'c.weight'], ['c'], ...attributes) }));
    expect(conv(ints('pads', [0, 0, 1, 1]))).toMatch(/pads one side/);
    expect(conv(word('auto_pad', 'SAME_UPPER'))).toMatch(/auto_pad/);
    expect(conv(ints('kernel_shape', [3, 3]))).toMatch(/window/);
    expect(conv(ints('strides', [1]))).toMatch(/two sizes/);
    expect(conv(integer('new_attribute', 1))).toMatch(/new_attribute/);
    expect(codeOf(withParts({ 2: node('Flatten', ['r'], ['f'], integer('axis', 2)) }))).toMatch(/axis/);
    expect(codeOf(withParts({ 7: value(11, 'images', [1, 1, 0, 2]) }))).toMatch(/no image of fixed size/);
    expect(codeOf(withParts({ 3: node('Gemm', ['f', 'r'], ['logits']) }))).toMatch(/no weight|one sum/);
    expect(codeOf([...smallNet, tensor('stray', [1], raw([1]))])).toBe('accepted'); // an initialiser that no node reads
    expect(codeOf([...smallNet, node('Relu', ['nowhere'], ['x'])])).toMatch(/does not reach/);
    const loop = withParts({ 1: node('Relu', ['c'], ['images']) });
    expect(codeOf(loop)).toMatch(/unsupported_architecture/);
  });
});

describe.skipIf(!sharedFolder)(`recorded ONNX nets${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test('the exported VGG gives the logits that PyTorch gives', async () => {
    const file = recorded('golden/formats/onnx/expected.safetensors');
    const model = loadConvnet(sharedPath('golden/formats/onnx/vgg.onnx'));
    for (const precise of [true, false])
      expect(
        relativeError(await logits(model, file.read('vgg/images'), precise), file.read('vgg/logits')),
      ).toBeLessThan(1e-5);
  });

  test('the trained MNIST net gives its recorded logits', async () => {
    const pixels = gunzipSync(readFileSync(sharedPath('data/vision/mnist/t10k-images-idx3-ubyte.gz'))).subarray(16);
    const images = Float32Array.from({ length: 4 * 784 }, (_, i) => ((pixels[i] ?? 0) / 255 - 0.1307) / 0.3081);
    const reference = sharedJson('data/reference/mnist-cnns.json') as { 'mnist.onnx': { logits_first4: number[][] } };
    const expected = reference['mnist.onnx'].logits_first4;
    const got = await logits(loadConvnet(sharedPath('data/vision/mnist/mnist.onnx')), {
      shape: [4, 1, 28, 28],
      data: images,
    });
    expected.flat().forEach((each, i) => {
      expect(Math.abs((got.data[i] ?? 0) - each)).toBeLessThan(1e-4);
    });
  });

  test('a net that is no chain says why', () => {
    expect(() => loadConvnet(sharedPath('golden/formats/onnx/residual-concat.onnx'))).toThrow(/gives several values/);
  });
});

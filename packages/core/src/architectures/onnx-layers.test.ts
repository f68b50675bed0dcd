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
  message,
  node,
  onnxFile,
  raw,
  real,
  smallNet,
  tensor,
  value,
  word,
} from '../checkpoints/onnx-file.fixture.ts';
import { captured, chooseExecutor, imagePrompt, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { type ConvnetModel, loadConvnet } from './convnet.ts';
import { ParityTable } from './parity-table.fixture.ts';
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

  test('branches that meet in a concatenation, inside a sum and beside it', async () => {
    // x → a = 2x; s = relu(a + x); out channels: [clip(s), x, a + s], each beside the others.
    const graph = [
      node('Conv', ['images', 'c.weight'], ['a']),
      node('Add', ['a', 'images'], ['s']),
      node('Clip', ['s', 'low', 'high'], ['r']),
      node('Concat', ['r', 'images', 'r'], ['j'], integer('axis', 1)),
      node('GlobalAveragePool', ['j'], ['g']),
      node('Flatten', ['g'], ['f']),
      node(
        'Gemm',
        ['f', 'fc.weight', 'fc.bias'],
        ['logits'],
        integer('transB', 1),
        real('alpha', 0.5),
        real('beta', 4),
      ),
      tensor('c.weight', [1, 1, 1, 1], raw([2])),
      tensor('low', [], raw([-1])),
      tensor('high', [], raw([4])),
      tensor('fc.weight', [2, 3], raw([1, 10, 100, 0, 1, 0])),
      tensor('fc.bias', [2], raw([1, 2])),
      value(11, 'images', [0, 1, 1, 2]),
      value(12, 'logits', [0, 2]),
      value(12, 'j', [0, 3, 1, 2]),
    ];
    const model = open(graph);
    expect(model.spec.layers.map(({ kind }) => kind)).toEqual(['concat', 'global_pool', 'linear']);
    const images = { shape: [1, 1, 1, 2], data: Float32Array.of(1, -3) };
    // 3x clipped is 3 and -1, of mean 1; x has the mean -1.
    const means = [1, -1, 1];
    const expected = [0.5 * (means[0]! + 10 * means[1]! + 100 * means[2]!) + 4, 0.5 * means[1]! + 8];
    for (const precise of [true, false]) expect([...(await logits(model, images, precise)).data]).toEqual(expected);
    // The first logit's slope: 3·(1 + 100)/2 through the clip where it is open, and 10/2 beside it, each over two places.
    const readout = {
      kind: 'gradient' as const,
      of: [{ kind: 'site' as const, at: { site: 'logits', unit: [0] } }],
      wrt: { kind: 'site' as const, at: { site: 'images' } },
    };
    for (const executor of [referenceExecutor({ precision: 'f64' }), (await chooseExecutor()).executor]) {
      const { graph, weights } = model;
      const run = await runPlan(
        { graph, weights, executor },
        makePlan(graph, { readouts: [readout] }),
        imagePrompt(images),
      );
      const [slope] = run.results;
      expect(slope?.kind === 'gradient' && [...slope.tensor.data]).toEqual([0.25 * (3 * 101 + 10), 0.25 * 10]);
    }
  });

  test('weights under a second name, by Identity, are those of the first; Dropout passes unless it trains', async () => {
    const images = { shape: [1, 1, 2, 2], data: Float32Array.of(1, -2, 3, -4) };
    const expected = [...(await logits(open(smallNet), images)).data];
    const again = [
      node('Identity', ['fc.weight'], ['again']),
      node('Identity', ['again'], ['and again']),
      node('Dropout', ['r', '', 'training'], ['d']),
      node('Flatten', ['d'], ['f']),
    ];
    const dropping = (training: number) => [
      ...withParts({
        2: again.flat(),
        3: node('Gemm', ['f', 'and again', 'fc.bias'], ['logits'], integer('transB', 1)),
      }),
      tensor('training', [], message(9, [training]), 9),
    ];
    expect([...(await logits(open(dropping(0)), images)).data]).toEqual(expected);
    expect(codeOf(dropping(1))).toMatch(/Dropout d: it drops values/);
  });

  test('padding so that the size is divided by the stride, one more at the end or at the start', async () => {
    const net = (rule: string): ConvnetModel =>
      open([
        node('Conv', ['images', 'c.weight'], ['c'], word('auto_pad', rule), ints('strides', [1, 2])),
        node('Flatten', ['c'], ['logits']),
        tensor('c.weight', [1, 1, 1, 2], raw([1, 10])),
        value(11, 'images', [0, 1, 1, 3]),
        value(12, 'logits', [0, 2]),
      ]);
    const images = { shape: [1, 1, 1, 3], data: Float32Array.of(1, 2, 3) };
    const ends = async (rule: string) => [...(await logits(net(rule), images)).data];
    expect([await ends('SAME_UPPER'), await ends('SAME_LOWER'), await ends('VALID')]).toEqual([
      [21, 3],
      [10, 32],
      [21],
    ]);
  });

  test('what is not computed is refused by the operation’s name', () => {
    expect(codeOf(withParts({ 1: node('Sigmoid', ['c'], ['r']) }))).toMatch(
      /unsupported_architecture: .*\.onnx: Sigmoid r: the operation is not computed here/,
    );
    expect(codeOf(withParts({ 1: node('Add', ['c', 'c'], ['r']) }))).toMatch(/Add/);
    expect(codeOf(withParts({ 1: node('Clip', ['c', 'images'], ['r']) }))).toMatch(/no single number|do not meet/);
    const conv = (...attributes: Bytes[]) =>
      codeOf(withParts({ 0: node('Conv', ['images', 'c.weight'], ['c'], ...attributes) }));
    expect(conv(ints('pads', [0, 0, 1]))).toMatch(/four sizes/);
    expect(conv(word('auto_pad', 'SAME'))).toMatch(/auto_pad/);
    expect(conv(ints('kernel_shape', [3, 3]))).toMatch(/window/);
    expect(conv(ints('strides', [1]))).toMatch(/two sizes/);
    expect(conv(integer('new_attribute', 1))).toMatch(/new_attribute/);
    const pool = node('MaxPool', ['c'], ['r'], ints('kernel_shape', [2, 2]), ints('pads', [0, 0, 0, 2]));
    expect(codeOf(withParts({ 1: pool }))).toMatch(/MaxPool r: it pads more than half a window/);
    expect(codeOf(withParts({ 2: node('Flatten', ['r'], ['f'], integer('axis', 2)) }))).toMatch(/axis/);
    expect(codeOf(withParts({ 7: value(11, 'images', [1, 1, 0, 2]) }))).toMatch(/no image of fixed size/);
    expect(codeOf(withParts({ 3: node('Gemm', ['f', 'r'], ['logits']) }))).toMatch(/no weight|one sum/);
    expect(codeOf([...smallNet, tensor('stray', [1], raw([1]))])).toBe('accepted'); // an initialiser that no node reads
    expect(codeOf([...smallNet, node('Relu', ['nowhere'], ['x'])])).toMatch(/does not reach/);
    const loop = withParts({ 1: node('Relu', ['c'], ['images']) });
    expect(codeOf(loop)).toMatch(/unsupported_architecture/);
  });
});

const table = new ParityTable('ONNX nets', [
  ['logits, probabilities', /^(logits|probabilities)$/],
  ['inside', /./],
]);
const numbersOf = (precise: boolean): string => (precise ? 'the reference in float64' : 'the chosen executor');

describe.skipIf(!sharedFolder)(`recorded ONNX nets${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test('the exported VGG gives the logits that PyTorch gives', async () => {
    const file = recorded('golden/formats/onnx/expected.safetensors');
    const model = loadConvnet(sharedPath('golden/formats/onnx/vgg.onnx'));
    for (const precise of [true, false]) {
      const error = relativeError(await logits(model, file.read('vgg/images'), precise), file.read('vgg/logits'));
      expect(error).toBeLessThan(1e-5);
      table.add('an exported VGG', numbersOf(precise), 'logits', error);
    }
  });

  test('the trained MNIST net gives its recorded logits', async () => {
    const pixels = gunzipSync(readFileSync(sharedPath('data/vision/mnist/t10k-images-idx3-ubyte.gz'))).subarray(16);
    const images = Float32Array.from({ length: 4 * 784 }, (_, i) => ((pixels[i] ?? 0) / 255 - 0.1307) / 0.3081);
    const reference = sharedJson('data/reference/mnist-cnns.json') as { 'mnist.onnx': { logits_first4: number[][] } };
    const expected = reference['mnist.onnx'].logits_first4;
    const model = loadConvnet(sharedPath('data/vision/mnist/mnist.onnx'));
    // Recorded with five decimals.
    const wish = { shape: [4, 10], data: Float64Array.from(expected.flat()) };
    for (const precise of [true, false]) {
      const error = relativeError(await logits(model, { shape: [4, 1, 28, 28], data: images }, precise), wish);
      expect(error).toBeLessThan(1e-5);
      table.add('a trained MNIST net', numbersOf(precise), 'logits', error);
    }
  });

  test.each(['residual-concat.onnx', 'residual-concat-external.onnx'])(
    '%s, by hand, gives what onnxruntime gives',
    async (name) => {
      const file = recorded('golden/formats/onnx/expected.safetensors');
      const model = loadConvnet(sharedPath(`golden/formats/onnx/${name}`));
      const [images, joined, probabilities] = ['images', 'joined', 'probabilities'].map((part) =>
        file.read(`residual-concat/${part}`),
      );
      if (!images || !joined || !probabilities) throw new Error('a recorded value is missing');
      for (const precise of [true, false]) {
        const executor = precise ? referenceExecutor({ precision: 'f64' }) : (await chooseExecutor()).executor;
        const readouts = ['joined', 'logits'].map((site) => ({ kind: 'capture' as const, at: { site } }));
        const { graph, weights } = model;
        const run = await runPlan({ graph, weights, executor }, makePlan(graph, { readouts }), imagePrompt(images));
        const compare = (entry: string, error: number): void => {
          expect(error, entry).toBeLessThan(1e-5);
          table.add(name, numbersOf(precise), entry, error);
        };
        compare('joined', relativeError(captured(run, 'joined'), joined));
        const { shape, data } = captured(run, 'logits');
        const rows = Array.from({ length: 2 }, (_, row) => Array.from(data.subarray(5 * row, 5 * row + 5), Math.exp));
        const softmax = rows.flatMap((row) => row.map((each) => each / row.reduce((sum, other) => sum + other, 0)));
        compare('probabilities', relativeError({ shape, data: Float64Array.from(softmax) }, probabilities));
      }
    },
  );

  test('the parity table has every net', () => {
    const nets = ['an exported VGG', 'a trained MNIST net', 'residual-concat.onnx', 'residual-concat-external.onnx'];
    table.finish(nets, [true, false].map(numbersOf));
  });
});

import { CircuitscopeError } from '@circuitscope/schema';
import {
  checkAttention,
  checkConvolution,
  checkCrossEntropyGrad,
  checkLayerNorm,
  checkMatmul,
  checkProjection,
  checkSoftmax,
} from './check-rows.ts';
import { asBf16, type BenchEntries, benchData, benchEntries } from './data.ts';
import type { BenchOperation, OperationInput, OperationWeight } from './operation.ts';

// The declared list. Data are made when a check or a run asks for them, never when the list is read.

const f32 = (
  name: string,
  shape: readonly number[],
  stream: number,
  entries: BenchEntries = 'uniform',
): OperationInput => ({ name, shape, stream, entries });
const weight = (name: string, shape: readonly number[], stream: number): OperationWeight => ({
  name,
  dtype: 'f32',
  shape,
  stream,
});
const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const data = ({ shape, stream }: OperationWeight): Float32Array => benchData(size(shape), stream);
const given = ({ shape, stream, entries = 'uniform' }: OperationInput): Float32Array =>
  benchEntries(entries, size(shape), stream, shape.at(-1) ?? 1);
const gives = (...shape: number[]) => ({ shape, dtype: 'f32' as const });
const floats = (...shapes: (readonly number[])[]): number => 4 * shapes.reduce((sum, shape) => sum + size(shape), 0);

/** C[m, n] = A[m, k] · W[k, n]. */
function matmul(
  name: string,
  title: string,
  [m, k, n]: readonly [number, number, number],
  more: Pick<BenchOperation, 'regimes' | 'packings'> & { readonly dtype?: 'f32' | 'bf16' },
): BenchOperation {
  const { dtype = 'f32' } = more;
  // What bf16 holds, so that those who take only that are given the same numbers.
  const x = f32('x', [m, k], 1, dtype === 'bf16' ? 'bf16' : 'uniform');
  const w: OperationWeight = { name: 'W', dtype, shape: [k, n], stream: 2 };
  return {
    name,
    title,
    family: 'matmul',
    kernel: 'linear',
    attrs: {},
    shape: `${m}×${k}×${n}`,
    dtype,
    inputs: [x],
    weights: [w, null],
    outputs: [gives(m, n)],
    flops: 2 * m * k * n,
    bytes: floats([m, k], [m, n]) + (dtype === 'bf16' ? 2 : 4) * k * n,
    regimes: more.regimes,
    packings: more.packings,
    rows: m,
    rowLength: n,
    sizes: { m, k, n },
    check: (rows, output) => {
      const values = data(w);
      return checkMatmul(given(x), dtype === 'bf16' ? asBf16(values).values : values, k, n)(rows, output);
    },
  };
}

const spread = { gaussian: ', Gaussian', outliers: ', Gaussian with towering dimensions' } as const;

/** The first 64 active latents of each token: bias, ReLU, top-k in one pass. */
function project(
  m: number,
  regimes: BenchOperation['regimes'],
  activations: 'uniform' | keyof typeof spread = 'uniform',
): BenchOperation {
  const [k, n, kept] = [768, 24576, 64];
  const [x, w, b] = [f32('x', [m, k], 1, activations), weight('W', [k, n], 2), weight('b', [n], 3)];
  return {
    name: `project-${m}${activations === 'uniform' ? '' : `-${activations}`}`,
    title: `${m} tokens × 768 onto 24,576 directions, bias, ReLU, top 64${activations === 'uniform' ? '' : spread[activations]}`,
    family: 'project',
    kernel: 'bias_act_top_k',
    attrs: { activation: 'relu', k: kept },
    shape: `${m}×${k}×${n}, top ${kept}`,
    dtype: 'f32',
    inputs: [x],
    weights: [w, b, null],
    outputs: [gives(m, kept), { shape: [m, kept], dtype: 'i32' }, { shape: [m], dtype: 'i32' }],
    flops: 2 * m * k * n,
    bytes: floats([m, k], [k, n], [n], [m, kept], [m, kept]),
    regimes,
    packings: activations === 'uniform' ? ['before', 'inside'] : ['before'],
    rows: m,
    rowLength: kept,
    sizes: { m, k, n, kept },
    check: (rows) => checkProjection(given(x), data(w), data(b), k, kept)(rows),
  };
}

function attention(heads: number, positions: number, width: number): BenchOperation {
  const inputs = ['q', 'k', 'v'].map((name, at) => f32(name, [1, positions, heads, width], 1 + at));
  const scale = width ** -0.5;
  return {
    name: `attention-${heads}x${positions}x${width}`,
    title: `causal attention, ${heads} heads × ${positions} positions × ${width}`,
    family: 'attention',
    kernel: 'attention',
    attrs: { scale, causal: true },
    shape: `${heads}×${positions}×${width}`,
    dtype: 'f32',
    inputs,
    weights: [],
    outputs: [gives(1, positions, heads, width), null, null],
    // Scores and mix of the keys that a query may see.
    flops: 2 * heads * width * positions * (positions + 1),
    bytes: 4 * 4 * heads * positions * width,
    regimes: ['hot'],
    packings: ['none'],
    rows: positions,
    rowLength: heads * width,
    sizes: { heads, positions, width },
    check: (rows) => checkAttention(inputs.map(given), heads, width, scale)(rows),
  };
}

function softmax(m: number, n: number): BenchOperation {
  const x = f32('x', [m, n], 1);
  return {
    name: `softmax-${m}x${n}`,
    title: `softmax of ${m} rows of ${n}`,
    family: 'softmax',
    kernel: 'softmax',
    attrs: {},
    shape: `${m}×${n}`,
    dtype: 'f32',
    inputs: [x],
    weights: [],
    outputs: [gives(m, n)],
    flops: 0,
    bytes: floats([m, n], [m, n]),
    regimes: ['hot'],
    packings: ['none'],
    rows: m,
    rowLength: n,
    sizes: { m, n },
    check: (rows) => checkSoftmax(given(x), n)(rows),
  };
}

function layerNorm(m: number, n: number): BenchOperation {
  const [x, w, b, eps] = [f32('x', [m, n], 1), weight('w', [n], 2), weight('b', [n], 3), 1e-5];
  return {
    name: `layer-norm-${m}x${n}`,
    title: `layer norm of ${m} rows of ${n}`,
    family: 'layer_norm',
    kernel: 'norm',
    attrs: { kind: 'layer', eps },
    shape: `${m}×${n}`,
    dtype: 'f32',
    inputs: [x],
    weights: [w, b],
    outputs: [gives(m, n), null, null],
    flops: 0,
    bytes: floats([m, n], [m, n], [n], [n]),
    regimes: ['hot'],
    packings: ['none'],
    rows: m,
    rowLength: n,
    sizes: { m, n },
    check: (rows) => checkLayerNorm(given(x), data(w), data(b), eps)(rows),
  };
}

function convolution(images: number, channels: number, side: number): BenchOperation {
  const filters = channels;
  const [x, w] = [f32('x', [images, channels, side, side], 1), weight('W', [filters, channels, 3, 3], 2)];
  const places = images * filters * side * side;
  return {
    name: 'conv2d-resnet20',
    title: `3 × 3 convolution of a ResNet-20 layer: ${images} images, ${channels} channels, ${side} × ${side}`,
    family: 'conv2d',
    kernel: 'conv2d',
    attrs: { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 },
    shape: `${images}×${channels}×${side}×${side}`,
    dtype: 'f32',
    inputs: [x],
    weights: [w, null],
    outputs: [gives(images, filters, side, side)],
    flops: 2 * places * channels * 9,
    bytes: floats(x.shape, w.shape, [places]),
    regimes: ['hot'],
    packings: ['none'],
    rows: images * filters,
    rowLength: side * side,
    sizes: { images, channels, side, filters },
    check: (rows) => checkConvolution(given(x), data(w), { channels, side, filters })(rows),
  };
}

function crossEntropyGrad(m: number, n: number): BenchOperation {
  const [logits, ct] = [f32('logits', [1, m, n], 1), f32('ct', [1, m], 2)];
  const ids: OperationInput = { name: 'ids', shape: [1, m], stream: 7919, below: n };
  return {
    name: `cross-entropy-grad-${m}x${n}`,
    title: `gradient of cross entropy, ${m} tokens, vocabulary ${n}`,
    family: 'cross_entropy_grad',
    kernel: 'cross_entropy_grad',
    attrs: {},
    shape: `${m}×${n}`,
    dtype: 'f32',
    inputs: [logits, ids, ct],
    weights: [],
    outputs: [gives(1, m, n)],
    flops: 0,
    bytes: floats([m, n], [m, n], [m], [m]),
    regimes: ['hot'],
    packings: ['none'],
    rows: m,
    rowLength: n,
    sizes: { m, n },
    check: (rows) => checkCrossEntropyGrad(given(logits), indices(ids), given(ct), n)(rows),
  };
}

export function indices({ shape, stream, below = 1 }: OperationInput): Int32Array {
  return Int32Array.from({ length: size(shape) }, (_, at) => (stream * at) % below);
}

const square = (n: number): BenchOperation =>
  matmul(`sgemm-${n}`, `matrix product, ${n} squared`, [n, n, n], {
    regimes: ['hot'],
    packings: ['before', 'inside'],
  });

/** Every operation that `bench kernels` knows, the small ones first. */
export const benchOperations: readonly BenchOperation[] = [
  square(512),
  square(1024),
  square(2048),
  square(4096),
  project(16, ['hot', 'cold']),
  project(128, ['hot']),
  project(1024, ['hot']),
  project(16, ['hot'], 'gaussian'),
  project(16, ['hot'], 'outliers'),
  project(1024, ['hot'], 'gaussian'),
  project(1024, ['hot'], 'outliers'),
  matmul('gemv-f32', 'one token × 768 onto 24,576 directions', [1, 768, 24576], {
    regimes: ['hot', 'cold'],
    packings: ['before'],
  }),
  matmul('gemv-bf16', 'the same with weights in bf16', [1, 768, 24576], {
    dtype: 'bf16',
    regimes: ['hot', 'cold'],
    packings: ['before'],
  }),
  attention(12, 512, 64),
  softmax(1024, 24576),
  layerNorm(1024, 768),
  convolution(32, 16, 32),
  crossEntropyGrad(256, 50257),
];

/** @throws CircuitscopeError `unknown_operation` */
export function chosenOperations(only: readonly string[] | undefined): readonly BenchOperation[] {
  if (!only) return benchOperations;
  for (const word of only) {
    if (benchOperations.some(({ name }) => name === word || name.startsWith(`${word}-`))) continue;
    const expected = benchOperations.map(({ name }) => name).join(', ');
    throw new CircuitscopeError(
      'unknown_operation',
      `There is no operation ${word} to measure; choose from ${expected}, or a beginning such as sgemm.`,
      { at: '--only', expected, got: word },
    );
  }
  return benchOperations.filter(({ name }) => only.some((word) => name === word || name.startsWith(`${word}-`)));
}

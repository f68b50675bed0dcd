import { expect, test } from 'vitest';
import { type KernelName, runReference } from '../../kernels/index.ts';
import { Rng, type Tensor, tensor } from '../../tensor/index.ts';
import {
  addKernels,
  averageKernel,
  type ConvolutionWeights,
  composeKernels,
  convolutionKernel,
  identityKernel,
  type PlaneKernel,
  planeOf,
  scaledKernel,
} from './plane-kernel.ts';

const rng = new Rng(7, 'plane-kernel');
const draw = (shape: readonly number[]): Tensor =>
  tensor(
    shape,
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
  );

const run = (kernel: KernelName, x: Tensor, shape: readonly number[], attrs: object, W?: Tensor): Tensor => {
  const params = W ? [W, null] : [];
  const call = { kernel, inputs: [x], params, attrs: { ...attrs }, outShapes: [shape], wanted: [true] };
  const [out] = runReference(call, 'f64');
  if (!out || out.data instanceof Int32Array) throw new Error('no output');
  return tensor(out.shape, out.data);
};

const weights = (W: Tensor, how: Partial<ConvolutionWeights> = {}): ConvolutionWeights => ({
  shape: W.shape,
  data: W.data,
  stride: [1, 1],
  padding: [0, 0],
  dilation: [1, 1],
  groups: 1,
  ...how,
});

/** What a kernel makes of one image at one place. */
function apply(kernel: PlaneKernel, x: Tensor, out: number, at: readonly [number, number]): number {
  const [, , height = 0, width = 0] = x.shape;
  let sum = 0;
  for (let i = 0; i < kernel.into; i++) {
    const plane = planeOf(kernel, out, i);
    plane.forEach((factor, tap) => {
      const y = at[0] * kernel.stride[0] + kernel.origin[0] + Math.floor(tap / kernel.size[1]);
      const column = at[1] * kernel.stride[1] + kernel.origin[1] + (tap % kernel.size[1]);
      if (y >= 0 && y < height && column >= 0 && column < width)
        sum += factor * (x.data[(i * height + y) * width + column] ?? 0);
    });
  }
  return sum;
}

function expectSame(kernel: PlaneKernel, x: Tensor, got: Tensor): void {
  const [, channels = 0, height = 0, width = 0] = got.shape;
  for (let o = 0; o < channels; o++) {
    for (let y = 0; y < height; y++) {
      for (let column = 0; column < width; column++) {
        expect(apply(kernel, x, o, [y, column])).toBeCloseTo(got.data[(o * height + y) * width + column] ?? 0, 10);
      }
    }
  }
}

test('a kernel is the convolution: strides, gaps, padding and groups', () => {
  const x = draw([1, 4, 9, 8]);
  const W = draw([6, 2, 3, 2]);
  const how = { stride: [2, 1], padding: [2, 1], dilation: [2, 2], groups: 2 } as const;
  expectSame(convolutionKernel(weights(W, how)), x, run('conv2d', x, [1, 6, 5, 8], how, W));
});

test('two convolutions and an average pool are one kernel, to the last place', () => {
  const x = draw([1, 2, 17, 19]);
  const [W1, W2] = [draw([3, 2, 3, 3]), draw([5, 3, 2, 3])];
  const one = { stride: [2, 1], padding: [0, 0], dilation: [1, 1], groups: 1 } as const;
  const two = { ...one, stride: [1, 2] } as const;
  const first = run('conv2d', x, [1, 3, 8, 17], one, W1);
  const pool = { window: [2, 2], stride: [2, 1], padding: [0, 0], ceil: false, countPadding: false };
  const pooled = run('avg_pool2d', first, [1, 3, 4, 16], pool);
  const got = run('conv2d', pooled, [1, 5, 3, 7], two, W2);
  const whole = composeKernels(
    composeKernels(convolutionKernel(weights(W1, one)), averageKernel(3, [2, 2], { ...one, stride: [2, 1] })),
    convolutionKernel(weights(W2, two)),
  );
  expect([whole.size, whole.stride]).toEqual([
    [9, 6],
    [4, 2],
  ]);
  expectSame(whole, x, got);
});

test('a residual block is the identity plus its branch, also behind another', () => {
  const x = draw([1, 3, 11, 11]);
  const [W, V] = [draw([3, 3, 3, 3]), draw([3, 3, 1, 1])];
  const same = { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 } as const;
  const branch = run('conv2d', x, [1, 3, 11, 11], same, W);
  const block = addKernels(identityKernel(3), convolutionKernel(weights(W, same)));
  expectSame(
    block,
    x,
    tensor(
      x.shape,
      x.data.map((value, at) => value + (branch.data[at] ?? 0)),
    ),
  );
  const gain = [2, -1, 0.5];
  const after = composeKernels(block, scaledKernel(convolutionKernel(weights(V)), gain));
  expect(after.size).toEqual([3, 3]);
  expect(planeOf(composeKernels(identityKernel(3), block), 1, 2)).toEqual(planeOf(block, 1, 2));
});

test('what does not fit together is refused', () => {
  const strided = { ...identityKernel(2), stride: [2, 2] } as const;
  expect(() => composeKernels(identityKernel(2), identityKernel(3))).toThrow('cannot read');
  expect(() => addKernels(identityKernel(2), strided)).toThrow('equal channels and strides');
  const wide = averageKernel(64, [64, 64], { stride: [64, 64], padding: [0, 0], dilation: [1, 1] });
  expect(() => composeKernels(wide, wide)).toThrow('too large');
});

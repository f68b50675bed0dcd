import { CircuitscopeError } from '@circuitscope/schema';
import { axisOf, sidesOf } from '../kernels/index.ts';
import type { Attributes, Dim } from './graph.ts';
import type { Operation } from './operations.ts';

// Operations over images [batch, channels, height, width]. None has positions: whatever they read, all of it may matter.

type Shapes = readonly (readonly Dim[] | null)[];

/** Rows of features [batch, channels] are images of one place. */
const same = (_: Attributes, inputs: Shapes): readonly Dim[] =>
  inputs[0]?.length === 2 ? inputs[0] : imageOf(inputs, 0);

/** The image before the operation, which its cotangent has again; its rows are those of the input at `at`. */
const before =
  (at: number) =>
  (attrs: Attributes, inputs: Shapes): readonly Dim[] => [imageOf(inputs, at)[0] ?? 0, ...sizes(attrs, 'image', 3)];

const gradient = (attrs: Attributes): readonly Dim[] => ['groups', ...sizes(attrs, 'shape')];

const pooled = (attrs: Attributes, inputs: Shapes): readonly Dim[] => {
  const [rows = 0, channels = 0, height, width] = imageOf(inputs, 0);
  return [rows, channels, ...places(attrs, [height, width], attrs.ceil === true)];
};

export const visionOperations = {
  /** `out` channels, `window` [down, across]: the weight's sizes. */
  conv2d: {
    shape: (attrs, inputs) => {
      const [rows = 0, , height, width] = imageOf(inputs, 0);
      return [rows, number(attrs.out, 'out'), ...places(attrs, [height, width], false)];
    },
    reach: 'all',
  },
  /** in: ct; `image` is [channels, height, width] before the convolution. */
  conv2d_grad_input: { shape: before(0), reach: 'all' },
  /** in: x, ct */
  conv2d_grad_weight: { shape: gradient, reach: 'all' },
  channel_affine: { shape: same, reach: 'all' },
  /** in: ct, and perhaps what multiplies it */
  channel_sum: { shape: gradient, reach: 'all' },
  max_pool2d: { shape: pooled, reach: 'all' },
  /** in: x, ct */
  max_pool2d_grad: { shape: before(1), reach: 'all' },
  avg_pool2d: { shape: pooled, reach: 'all' },
  avg_pool2d_grad: { shape: before(0), reach: 'all' },
  concat_channels: {
    shape: (_, inputs) => {
      const [rows = 0, , ...plane] = imageOf(inputs, 0);
      const channels = inputs.map((_shape, at) => number(imageOf(inputs, at)[1], 'channels'));
      if (inputs.every((_shape, at) => String(imageOf(inputs, at).slice(2)) === String(plane)))
        return [rows, channels.reduce((sum, count) => sum + count, 0), ...plane];
      throw new CircuitscopeError('bad_graph', 'Images of different sizes cannot stand side by side as channels.', {
        expected: plane.join(' × '),
        got: inputs.map((_shape, at) => imageOf(inputs, at).slice(2).join(' × ')).join(', '),
      });
    },
    reach: 'all',
  },
  /** `count` channels from `first` on. */
  slice_channels: {
    shape: (attrs, inputs) => {
      const [rows = 0, , ...plane] = imageOf(inputs, 0);
      return [rows, number(attrs.count, 'count'), ...plane];
    },
    reach: 'all',
  },
  clip: { shape: (_, inputs) => inputs[0] ?? [], reach: 'all' },
  /** in: x, ct */
  clip_grad: { shape: (_, inputs) => inputs[1] ?? [], reach: 'all' },
} as const satisfies { readonly [name: string]: Operation };

function places(attrs: Attributes, size: readonly (Dim | undefined)[], ceil: boolean): readonly number[] {
  const window = sizes(attrs, 'window', 2);
  const [stride, padding] = [sizes(attrs, 'stride', 2), sidesOf(sizes(attrs, 'padding'))];
  const dilation = attrs.dilation === undefined ? [1, 1] : sizes(attrs, 'dilation', 2);
  return [0, 1].map((at) => {
    const axis = {
      size: number(size[at], 'an image'),
      window: window[at] ?? 1,
      stride: stride[at] ?? 1,
      padding: padding[at]?.padding ?? 0,
      behind: padding[at]?.behind ?? 0,
      dilation: dilation[at] ?? 1,
    };
    const { out } = axisOf(axis, ceil);
    if (out > 0) return out;
    throw new CircuitscopeError(
      'bad_graph',
      `A window of ${axis.window} does not fit an image that is ${axis.size} long and padded by ${axis.padding} and ${axis.behind}.`,
      {
        expected: `at least ${(axis.window - 1) * axis.dilation + 1}`,
        got: String(axis.size + axis.padding + axis.behind),
      },
    );
  });
}

function imageOf(inputs: Shapes, at: number): readonly Dim[] {
  const shape = inputs[at];
  if (shape?.length === 4) return shape;
  throw new CircuitscopeError('bad_graph', 'An operation over images needs [batch, channels, height, width].', {
    expected: 'four sizes',
    got: `[${(shape ?? []).join(', ')}]`,
  });
}

function sizes(attrs: Attributes, name: string, count?: number): readonly number[] {
  const value = attrs[name];
  if (Array.isArray(value) && (count === undefined || value.length === count)) {
    return value.map((entry) => number(entry, name));
  }
  throw new CircuitscopeError('bad_graph', `An operation over images needs the sizes ${name}.`, { at: name });
}

function number(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw new CircuitscopeError('bad_graph', `The size ${what} of an operation over images must be a whole number.`, {
    at: what,
    got: String(value),
  });
}

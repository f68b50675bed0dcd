import type { Json } from './graph.ts';
import type { Backward, VectorJacobian } from './vector-jacobian.ts';
import type { visionOperations } from './vision-operations.ts';

// The ways back of ../kernels/contract-vision.ts, one entry an operation.

const second = { kind: 'constant', because: 'second derivatives are not computed' } as const;

const sourceOf = (b: Backward): number => b.node.in[0] ?? -1;

/** What the cotangent of an image needs to know: how the window moved, and over what. */
const back = (b: Backward): { readonly [name: string]: Json } => ({ ...b.node.attrs, image: imageOf(b) });

const imageOf = (b: Backward): readonly Json[] => b.shape(sourceOf(b)).slice(1);

const channelSum = (b: Backward, index: number, inputs: readonly number[]): number =>
  b.add('channel_sum', inputs, { attrs: { shape: b.paramShape(index) } });

export const visionVectorJacobians = {
  conv2d: {
    kind: 'differentiable',
    input: (b) => b.add('conv2d_grad_input', [b.ct], { params: [b.node.params[0] ?? null], attrs: back(b) }),
    param: (b, index) =>
      index === 1
        ? channelSum(b, index, [b.ct, -1])
        : b.add('conv2d_grad_weight', [b.value(sourceOf(b)), b.ct], {
            attrs: { ...b.node.attrs, shape: b.paramShape(index) },
          }),
  },
  channel_affine: {
    kind: 'differentiable',
    input: (b) => {
      const [gain] = b.node.params;
      return gain == null ? b.ct : b.add('channel_affine', [b.ct], { params: [gain, null] });
    },
    param: (b, index) => channelSum(b, index, [b.ct, index === 0 ? b.value(sourceOf(b)) : -1]),
  },
  max_pool2d: {
    kind: 'differentiable',
    input: (b) => b.add('max_pool2d_grad', [b.value(sourceOf(b)), b.ct], { attrs: back(b) }),
  },
  avg_pool2d: { kind: 'differentiable', input: (b) => b.add('avg_pool2d_grad', [b.ct], { attrs: back(b) }) },
  concat_channels: {
    kind: 'differentiable',
    input: (b, index) => {
      const channels = (at: number): number => Number(b.shape(b.node.in[at] ?? -1)[1]);
      const first = b.node.in.slice(0, index).reduce((sum, _, at) => sum + channels(at), 0);
      return b.add('slice_channels', [b.ct], { attrs: { first, count: channels(index) } });
    },
  },
  slice_channels: second,
  clip: {
    kind: 'differentiable',
    input: (b) => b.add('clip_grad', [b.value(sourceOf(b)), b.ct], { attrs: b.node.attrs }),
  },
  clip_grad: second,
  conv2d_grad_input: second,
  conv2d_grad_weight: second,
  channel_sum: second,
  max_pool2d_grad: second,
  avg_pool2d_grad: second,
} as const satisfies { readonly [name in keyof typeof visionOperations]: VectorJacobian };

import type { KernelParam, KernelSpec, KernelValue } from './contract.ts';

// Kernels of convolution nets; part of the table in contract.ts. Images are [R, C, H, W]; `window`, `stride` and
// `dilation` are pairs [down, across]; `padding` is one for either side, or [top, left, bottom, right]. Padding of a convolution is zeros that take part in its chains.

const f32 = (name: string, shape: string): KernelValue => ({ name, dtype: 'f32', shape });
const perhapsVector = (name: string, shape: string): KernelParam => ({ name, role: 'vector', shape, optional: true });
const number = { type: 'number' } as const;
const flag = { type: 'boolean' } as const;
const pair = { type: 'sizes' } as const;
const movement = { stride: pair, padding: pair, dilation: pair, groups: number } as const;
const pool = { window: pair, stride: pair, padding: pair, ceil: flag } as const;
const maxPool = { ...pool, dilation: { ...pair, optional: true } } as const;
// `countPadding` divides by the entries of the window inside image and padding, not by those inside the image alone.
const avgPool = { ...pool, countPadding: flag } as const;
// A bound that is left out is none.
const bounds = { low: { ...number, optional: true }, high: { ...number, optional: true } } as const;
/** One kernel an output channel, as PyTorch stores it. */
const kernels: KernelParam = { name: 'W', role: 'rows', shape: '[O, C/groups, kh, kw]' };

export const visionKernels = {
  conv2d: {
    inputs: [f32('x', '[R, C, H, W]')],
    params: [kernels, perhapsVector('b', '[O]')],
    outputs: [f32('out', '[R, O, Y, X]')],
    attrs: movement,
  },
  conv2d_grad_input: {
    inputs: [f32('ct', '[R, O, Y, X]')],
    params: [kernels],
    outputs: [f32('out', '[R, C, H, W]')],
    attrs: movement,
  },
  conv2d_grad_weight: {
    inputs: [f32('x', '[R, C, H, W]'), f32('ct', '[R, O, Y, X]')],
    params: [],
    outputs: [f32('out', '[groups of rows, O, C/groups, kh, kw]')],
    attrs: movement,
  },
  channel_affine: {
    inputs: [f32('x', '[R, C, H, W] or [R, C]')],
    params: [perhapsVector('w', '[C]'), perhapsVector('b', '[C]')],
    outputs: [f32('out', 'as x')],
    attrs: {},
  },
  channel_sum: {
    inputs: [f32('ct', '[R, C, H, W] or [R, C]'), { ...f32('x', 'as ct: a factor of each entry'), optional: true }],
    params: [],
    outputs: [f32('out', '[groups of rows, C]')],
    attrs: {},
  },
  max_pool2d: {
    inputs: [f32('x', '[R, C, H, W]')],
    params: [],
    outputs: [f32('out', '[R, C, Y, X]')],
    attrs: maxPool,
  },
  max_pool2d_grad: {
    inputs: [f32('x', '[R, C, H, W]'), f32('ct', '[R, C, Y, X]')],
    params: [],
    outputs: [f32('out', '[R, C, H, W]; a window gives its cotangent to the first of its largest entries')],
    attrs: maxPool,
  },
  avg_pool2d: {
    inputs: [f32('x', '[R, C, H, W]')],
    params: [],
    outputs: [f32('out', '[R, C, Y, X]')],
    attrs: avgPool,
  },
  avg_pool2d_grad: {
    inputs: [f32('ct', '[R, C, Y, X]')],
    params: [],
    outputs: [f32('out', '[R, C, H, W]')],
    attrs: avgPool,
  },
  concat_channels: {
    inputs: [{ ...f32('x', '[R, C1, H, W], [R, C2, H, W], …'), many: true }],
    params: [],
    outputs: [f32('out', '[R, C1 + C2 + …, H, W]')],
    attrs: {},
  },
  slice_channels: {
    inputs: [f32('x', '[R, C, H, W]')],
    params: [],
    outputs: [f32('out', '[R, O, H, W]; the channels from `first` on')],
    attrs: { first: number },
  },
  clip: {
    inputs: [f32('x', '[…]')],
    params: [],
    outputs: [f32('out', '[…]')],
    attrs: bounds,
  },
  clip_grad: {
    inputs: [f32('x', '[…]'), f32('ct', '[…]')],
    params: [],
    outputs: [f32('out', '[…]')],
    attrs: bounds,
  },
} as const satisfies { readonly [name: string]: KernelSpec };

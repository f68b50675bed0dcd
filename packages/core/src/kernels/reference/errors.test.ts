import { CircuitscopeError } from '@circuitscope/schema';
import { expect, test } from 'vitest';
import { intTensor, type Tensor, tensor } from '../../tensor/index.ts';
import type { KernelAttributes, KernelName } from '../contract.ts';
import { runReference } from './index.ts';

const ones = (...shape: number[]): Tensor => tensor(shape, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1));
const ids = (...shape: number[]) => intTensor(shape, new Int32Array(shape.reduce((a, b) => a * b, 1)));

interface Wrong {
  readonly what: string;
  readonly kernel: KernelName;
  readonly inputs: Parameters<typeof runReference>[0]['inputs'];
  readonly params?: readonly (Tensor | null)[];
  readonly attrs?: KernelAttributes;
  readonly out: readonly number[];
  readonly code: string;
  readonly at: string;
}

const wrongs: readonly Wrong[] = [
  {
    what: 'terms of different shapes',
    kernel: 'sum',
    inputs: [ones(2, 3), ones(3, 2)],
    out: [2, 3],
    code: 'bad_shape',
    at: 'sum.input 1',
  },
  {
    what: 'another number of entries than there are',
    kernel: 'reshape',
    inputs: [ones(2, 3)],
    out: [2, 4],
    code: 'bad_shape',
    at: 'reshape.out',
  },
  {
    what: 'more waves than half a head',
    kernel: 'rotate',
    inputs: [ones(1, 1, 1, 3), ones(1, 1, 2), ones(1, 1, 2)],
    attrs: { layout: 'half' },
    out: [1, 1, 1, 3],
    code: 'bad_shape',
    at: 'rotate.x',
  },
  {
    what: 'sines for fewer tokens than cosines',
    kernel: 'rotate',
    inputs: [ones(1, 2, 1, 4), ones(1, 2, 2), ones(1, 1, 2)],
    attrs: { layout: 'half' },
    out: [1, 2, 1, 4],
    code: 'bad_shape',
    at: 'rotate.sin',
  },
  {
    what: 'a planned output of another shape',
    kernel: 'mul',
    inputs: [ones(2), ones(2)],
    out: [3],
    code: 'bad_shape',
    at: 'mul.out',
  },
  {
    what: 'a second matrix of other rows',
    kernel: 'gram',
    inputs: [ones(2, 1), ones(1, 1)],
    out: [1, 1],
    code: 'bad_shape',
    at: 'gram.y',
  },
  {
    what: 'partners found before without their indices',
    kernel: 'correlate_top_k',
    inputs: [ones(2, 1), ones(2, 1), ones(1, 3)],
    attrs: { k: 3, absolute: false },
    out: [1, 3],
    code: 'bad_shape',
    at: 'correlate_top_k.indices',
  },
  {
    what: 'columns beyond the last index',
    kernel: 'correlate_top_k',
    inputs: [ones(2, 1), ones(2, 1)],
    attrs: { k: 3, absolute: false, first: 2 ** 31 - 1 },
    out: [1, 3],
    code: 'out_of_range',
    at: 'correlate_top_k.first',
  },
  {
    what: 'floats for ids',
    kernel: 'embed',
    inputs: [ones(1, 2)],
    params: [ones(3, 2)],
    out: [1, 2, 2],
    code: 'bad_dtype',
    at: 'embed.ids',
  },
  ...[0, -1, Number.POSITIVE_INFINITY].map(
    (cap): Wrong => ({
      what: `a cap of ${cap}`,
      kernel: 'soft_cap',
      inputs: [ones(2)],
      attrs: { cap },
      out: [2],
      code: 'bad_attribute',
      at: 'soft_cap.cap',
    }),
  ),
  {
    what: 'a window of −1',
    kernel: 'scores',
    inputs: [ones(1, 1, 1, 1), ones(1, 1, 1, 1)],
    attrs: { scale: 1, causal: true, window: -1 },
    out: [1, 1, 1, 1],
    code: 'bad_attribute',
    at: 'scores.window',
  },
  {
    what: 'two slopes for three heads',
    kernel: 'add_alibi',
    inputs: [ones(1, 3, 1, 2), ids(1, 2)],
    params: [ones(2)],
    out: [1, 3, 1, 2],
    code: 'bad_shape',
    at: 'add_alibi.slopes',
  },
  {
    what: 'positions of the queries, not of the keys',
    kernel: 'add_alibi',
    inputs: [ones(1, 3, 1, 2), ids(1, 1)],
    params: [ones(3)],
    out: [1, 3, 1, 2],
    code: 'bad_shape',
    at: 'add_alibi.positions',
  },
  { what: 'ids for floats', kernel: 'softmax', inputs: [ids(1, 2)], out: [1, 2], code: 'bad_dtype', at: 'softmax.x' },
  { what: 'no input', kernel: 'softmax', inputs: [null], out: [1, 2], code: 'missing_value', at: 'softmax.x' },
  { what: 'no matrix', kernel: 'linear', inputs: [ones(1, 2)], out: [1, 2], code: 'missing_value', at: 'linear.W' },
  {
    what: 'a matrix of another height',
    kernel: 'linear',
    inputs: [ones(1, 2)],
    params: [ones(3, 2)],
    out: [1, 2],
    code: 'bad_shape',
    at: 'linear.x',
  },
  {
    what: 'a bias of another length',
    kernel: 'linear',
    inputs: [ones(1, 2)],
    params: [ones(2, 2), ones(3)],
    out: [1, 2],
    code: 'bad_shape',
    at: 'linear.b',
  },
  {
    what: 'too many parameters',
    kernel: 'mul',
    inputs: [ones(1), ones(1)],
    params: [ones(1)],
    out: [1],
    code: 'bad_call',
    at: 'mul',
  },
  {
    what: 'too many inputs',
    kernel: 'mul',
    inputs: [ones(1), ones(1), ones(1)],
    out: [1],
    code: 'bad_call',
    at: 'mul',
  },
  {
    what: 'an unknown norm',
    kernel: 'norm_scale',
    inputs: [ones(1, 2)],
    attrs: { kind: 'batch', eps: 0 },
    out: [1, 1],
    code: 'bad_attribute',
    at: 'norm_scale.kind',
  },
  {
    what: 'no epsilon',
    kernel: 'norm_scale',
    inputs: [ones(1, 2)],
    attrs: { kind: 'rms' },
    out: [1, 1],
    code: 'bad_attribute',
    at: 'norm_scale.eps',
  },
  {
    what: 'a symbol that nobody bound',
    kernel: 'edit',
    inputs: [ones(1, 2)],
    attrs: { op: 'set', valueShape: 'none', constant: 0, dims: ['pos', 1, 2] },
    out: [1, 2],
    code: 'bad_attribute',
    at: 'edit.dims',
  },
  {
    what: 'sizes that do not fit the value',
    kernel: 'edit',
    inputs: [ones(1, 2)],
    attrs: { op: 'set', valueShape: 'none', constant: 0, dims: [2, 1, 2] },
    out: [1, 2],
    code: 'bad_shape',
    at: 'edit.x',
  },
  {
    what: 'a mask of another length',
    kernel: 'edit',
    inputs: [ones(1, 2), null, ids(1, 2)],
    attrs: { op: 'set', valueShape: 'none', constant: 0, dims: [1, 1, 2] },
    out: [1, 2],
    code: 'bad_shape',
    at: 'edit.maskA',
  },
  {
    what: 'heads that do not divide',
    kernel: 'scores',
    inputs: [ones(1, 1, 3, 1), ones(1, 1, 2, 1)],
    attrs: { scale: 1, causal: true },
    out: [1, 3, 1, 1],
    code: 'bad_shape',
    at: 'scores.k',
  },
  {
    what: 'more rotated entries than there are',
    kernel: 'rotary',
    inputs: [ones(1, 1, 1, 2), ids(1, 1)],
    params: [ones(1, 2), ones(1, 2)],
    attrs: { layout: 'half', dims: 4 },
    out: [1, 1, 1, 2],
    code: 'bad_shape',
    at: 'rotary.x',
  },
  {
    what: 'a head that is not there',
    kernel: 'head_result',
    inputs: [ones(1, 1, 2, 1)],
    params: [ones(2, 3)],
    attrs: { head: 2 },
    out: [1, 1, 3],
    code: 'out_of_range',
    at: 'head_result.head',
  },
  {
    what: 'a negative k',
    kernel: 'top_k',
    inputs: [ones(1, 2)],
    attrs: { k: -1 },
    out: [1, 0],
    code: 'bad_attribute',
    at: 'top_k.k',
  },
  {
    what: 'a k beyond memory',
    kernel: 'top_k',
    inputs: [ones(1, 2)],
    attrs: { k: 2 ** 40 },
    out: [1, 2 ** 40],
    code: 'too_large',
    at: '',
  },
  {
    what: 'a mask of the wrong number of writers',
    kernel: 'edge_read',
    inputs: [ones(1, 1, 2), ones(1, 1, 2), ones(1, 1, 2)],
    attrs: { heads: 0 },
    out: [1, 1, 2],
    code: 'bad_shape',
    at: 'edge_read.mask',
  },
  {
    what: 'rows that do not divide',
    kernel: 'pair_dots',
    inputs: [ones(3, 1, 2), ones(2, 1, 2)],
    out: [3, 1, 1],
    code: 'bad_shape',
    at: 'pair_dots.other 0',
  },
];

test.each(wrongs)(
  '$what for $kernel is an error that names the place',
  ({ kernel, inputs, params, attrs, out, code, at }) => {
    const outShapes = kernel === 'top_k' ? [out, out] : [out];
    const call = {
      kernel,
      inputs,
      params: params ?? [],
      attrs: attrs ?? {},
      outShapes,
      wanted: outShapes.map(() => true),
    };
    let thrown: unknown;
    try {
      runReference(call);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(CircuitscopeError);
    expect(thrown).toMatchObject({ code, ...(at === '' ? {} : { at }) });
  },
);

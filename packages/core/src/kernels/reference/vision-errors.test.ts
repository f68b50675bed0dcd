import { expect, test } from 'vitest';
import { type Tensor, zeros } from '../../tensor/index.ts';
import type { KernelAttributes, KernelName } from '../contract.ts';
import { runReference } from './index.ts';

const move = { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
const pool = { window: [2, 2], stride: [2, 2], padding: [0, 0], ceil: false };

const wrongs: readonly (readonly [string, KernelName, KernelAttributes, readonly number[] | null, string])[] = [
  ['a weight for other groups', 'conv2d', { ...move, groups: 2 }, [4, 4, 3, 3], 'bad_shape'],
  ['a weight without a window', 'conv2d', move, [4, 4], 'bad_shape'],
  ['no groups at all', 'conv2d', { ...move, groups: 0 }, [4, 4, 3, 3], 'bad_attribute'],
  ['a stride of 0', 'conv2d', { ...move, stride: [0, 1] }, [4, 4, 3, 3], 'bad_attribute'],
  ['one number for two', 'conv2d', { ...move, padding: 1 }, [4, 4, 3, 3], 'bad_attribute'],
  ['padding of more than half a window', 'max_pool2d', { ...pool, padding: [2, 2] }, null, 'bad_attribute'],
];

test.each(wrongs)('%s is an error that says so', (_, kernel, attrs, weight, code) => {
  const params: (Tensor | null)[] = weight ? [zeros(weight), null] : [];
  const call = { kernel, inputs: [zeros([1, 4, 8, 8])], params, attrs, outShapes: [[1, 4, 6, 6]], wanted: [true] };
  expect(() => runReference(call)).toThrowError(expect.objectContaining({ code }));
});

import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { digestTensor } from './digest-tensor.ts';
import { elementCount, intTensor, isIntTensor, strides, tensor, zeros } from './tensor.ts';

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof CircuitscopeError) return error.code;
  }
  return 'no CircuitscopeError';
}

describe('shapes', () => {
  test('sizes multiply; a scalar has one entry, an empty axis none, whatever stands beside it', () => {
    expect([elementCount([]), elementCount([2, 3, 4]), elementCount([0, 5])]).toEqual([1, 24, 0]);
  });

  test('hostile sizes are refused before anything is allocated', () => {
    for (const shape of [[-1], [1.5], [Number.NaN], [Number.POSITIVE_INFINITY], [2 ** 54]]) {
      expect(codeOf(() => elementCount(shape))).toBe('bad_shape');
    }
    expect(codeOf(() => elementCount([2 ** 30, 2 ** 30]))).toBe('too_large');
    expect(codeOf(() => elementCount([0, 2 ** 30, 2 ** 30]))).toBe('too_large');
    expect(codeOf(() => zeros([2 ** 20, 2 ** 20]))).toBe('too_large');
    expect(elementCount([2 ** 26, 2 ** 26])).toBe(2 ** 52);
  });

  test('strides are row-major', () => {
    expect(strides([2, 3, 4])).toEqual([12, 4, 1]);
    expect(strides([])).toEqual([]);
  });

  test('data of another length than the shape are refused', () => {
    expect(codeOf(() => tensor([2, 2], new Float32Array(3)))).toBe('bad_shape');
    expect(codeOf(() => intTensor([2], new Int32Array(3)))).toBe('bad_shape');
    expect(isIntTensor(intTensor([1], new Int32Array(1)))).toBe(true);
    expect(isIntTensor(zeros([1], 'f64'))).toBe(false);
  });
});

describe('digest', () => {
  test('is sha256 over "f32 [2,1]", a new line and the little-endian bytes', () => {
    expect(digestTensor(tensor([2, 1], Float32Array.from([1, -2])))).toBe(
      'sha256:2c657d71f2d3a536cc41ae4453b4e94146bbf46ff595ed567567526cee1ab6b5',
    );
  });

  test('tells types, shapes, order and the sign of zero apart, but not where the data lie', () => {
    const base = tensor([2, 3], Float32Array.from([0, 1, 2, 3, 4, 5]));
    const others = [
      tensor([3, 2], base.data),
      tensor([2, 3], Float64Array.from(base.data)),
      intTensor([2, 3], Int32Array.from(base.data)),
      tensor([2, 3], Float32Array.from([-0, 1, 2, 3, 4, 5])),
      tensor([2, 3], Float32Array.from([1, 0, 2, 3, 4, 5])),
    ];
    expect(new Set([base, ...others].map(digestTensor)).size).toBe(6);
    const inside = Float32Array.from([9, 0, 1, 2, 3, 4, 5, 9]).subarray(1, 7);
    expect(digestTensor(tensor([2, 3], inside))).toBe(digestTensor(base));
  });
});

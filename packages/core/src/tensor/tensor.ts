import { CircuitscopeError } from '@circuitscope/schema';

// Tensors are dense and row-major; a view, a stride or a layout is never part of a value, so equal tensors have equal bytes.

/** Float32Array where the product computes, Float64Array where the oracle does. */
export type Floats = Float32Array | Float64Array;

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Floats;
}

/** Token ids, positions, masks (1 = keep) and the indices of a top-k. */
export interface IntTensor {
  readonly shape: readonly number[];
  readonly data: Int32Array;
}

/** Wraps data without copying. @throws CircuitscopeError `bad_shape` if the shape does not multiply to the length. */
export function tensor(shape: readonly number[], data: Floats): Tensor {
  checkLength(shape, data.length);
  return { shape, data };
}

/** Wraps data without copying. @throws CircuitscopeError `bad_shape` if the shape does not multiply to the length. */
export function intTensor(shape: readonly number[], data: Int32Array): IntTensor {
  checkLength(shape, data.length);
  return { shape, data };
}

/** A tensor of zeros. @throws CircuitscopeError `too_large` before anything is allocated. */
export function zeros(shape: readonly number[], precision: 'f32' | 'f64' = 'f32'): Tensor {
  const length = allocatable(shape, precision === 'f32' ? 4 : 8);
  return { shape, data: precision === 'f32' ? new Float32Array(length) : new Float64Array(length) };
}

export function intZeros(shape: readonly number[]): IntTensor {
  return { shape, data: new Int32Array(allocatable(shape, 4)) };
}

/** True for an IntTensor; the only test that tells the two apart. */
export function isIntTensor(value: Tensor | IntTensor): value is IntTensor {
  return value.data instanceof Int32Array;
}

/**
 * The number of entries, 1 for the shape []. Sizes come from files and command lines, so they are checked here, before
 * anybody allocates: each is a whole number ≥ 0 and the product stays below 2^53, where doubles still count exactly.
 * @throws CircuitscopeError `bad_shape`, `too_large`
 */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  let empty = false;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new CircuitscopeError('bad_shape', `A shape holds whole numbers from 0; [${shape.join(', ')}] does not.`, {
        expected: 'whole numbers from 0',
        got: String(size),
      });
    }
    if (size === 0) empty = true;
    else if (count > Number.MAX_SAFE_INTEGER / size) {
      throw new CircuitscopeError(
        'too_large',
        `The shape [${shape.join(', ')}] has more entries than can be counted.`,
        {
          expected: 'fewer than 2^53 entries',
          got: `[${shape.join(', ')}]`,
        },
      );
    } else count *= size;
  }
  return empty ? 0 : count;
}

/** Row-major strides in elements: [2, 3, 4] → [12, 4, 1]. */
export function strides(shape: readonly number[]): number[] {
  elementCount(shape);
  const result = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    result[axis] = stride;
    stride *= shape[axis] as number;
  }
  return result;
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

// The longest typed array that the supported runtimes promise (2^32 bytes); bigger weights stay in mapped files.
const maxBytes = 2 ** 32;

function allocatable(shape: readonly number[], bytesPerEntry: number): number {
  const length = elementCount(shape);
  if (length * bytesPerEntry <= maxBytes) return length;
  throw new CircuitscopeError(
    'too_large',
    `A tensor [${shape.join(', ')}] needs ${length * bytesPerEntry} bytes in one piece; split the batch or capture less.`,
    { expected: `at most ${maxBytes} bytes`, got: `${length * bytesPerEntry} bytes` },
  );
}

function checkLength(shape: readonly number[], length: number): void {
  const expected = elementCount(shape);
  if (expected === length) return;
  throw new CircuitscopeError(
    'bad_shape',
    `The shape [${shape.join(', ')}] needs ${expected} entries, but the data have ${length}.`,
    { expected: `${expected} entries`, got: `${length} entries` },
  );
}

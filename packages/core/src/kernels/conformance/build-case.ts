import { type Floats, type IntTensor, intTensor, Rng, type Tensor, tensor } from '../../tensor/index.ts';
import type { Bound, ConformanceCase } from '../conformance.ts';
import type { KernelAttributes, KernelName } from '../contract.ts';

/** Around the widths of 8 and 16 lanes, the 32 virtual lanes and the 48-column panels, and nothing at all. */
export const lengths = [0, 1, 7, 8, 63, 64, 65] as const;

export const widths = [1, 7, 8, 63, 64, 65] as const;

/** What float32 has besides numbers of middling size: NaN, infinities, zeros of both signs, subnormals, the extremes. */
export const specials = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  0,
  -0,
  2 ** -149,
  -(2 ** -149),
  2 ** -126,
  -3 * 2 ** -140,
  2 ** 127,
  1,
  -1,
] as const;

export interface CaseParts {
  readonly inputs: ConformanceCase['inputs'];
  readonly params?: ConformanceCase['params'];
  readonly attrs?: KernelAttributes;
  /** Shapes of the outputs; null = nobody wants it. */
  readonly out: readonly (readonly number[] | null)[];
  readonly bound: Bound;
  readonly sameBits?: true;
  readonly expect?: NonNullable<ConformanceCase['expect']>;
  readonly rounded?: true;
  readonly fails?: string;
}

export function buildCase(kernel: KernelName, fact: string, parts: CaseParts): ConformanceCase {
  const { inputs, params = [], attrs = {}, out, ...rest } = parts;
  return {
    name: `${kernel}: ${fact}`,
    kernel,
    inputs,
    params,
    attrs,
    outShapes: out.map((shape) => shape ?? []),
    wanted: out.map((shape) => shape !== null),
    ...rest,
  };
}

/** Normal numbers that depend on the name alone. */
export function random(name: string, shape: readonly number[], scale = 1): Tensor {
  const rng = new Rng(2026, `conformance/${name}`);
  return tensor(
    shape,
    Float32Array.from({ length: count(shape) }, () => rng.normal() * scale),
  );
}

/** Whole numbers below `below`. */
export function randomInts(name: string, shape: readonly number[], below: number): IntTensor {
  const rng = new Rng(2026, `conformance/${name}`);
  return intTensor(
    shape,
    Int32Array.from({ length: count(shape) }, () => rng.below(below)),
  );
}

export function floats(shape: readonly number[], values: readonly number[]): Tensor {
  return tensor(shape, Float32Array.from(values));
}

export function ints(shape: readonly number[], values: readonly number[]): IntTensor {
  return intTensor(shape, Int32Array.from(values));
}

export function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A copy with some entries replaced. */
export function withEntries(value: Tensor, entries: { readonly [index: number]: number }): Tensor {
  const data: Floats = value.data.slice();
  for (const [index, entry] of Object.entries(entries)) data[Number(index)] = entry;
  return tensor(value.shape, data);
}

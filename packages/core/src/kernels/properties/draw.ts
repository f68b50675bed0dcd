import { intTensor, Rng, type Tensor, tensor } from '../../tensor/index.ts';
import type { Allowed } from '../conformance/bounds.ts';
import type { KernelAttributes, KernelCall } from '../contract.ts';

/** Sizes around what kernels are cut by: lanes of 8 and 16, the fixed tree's 32, tiles and panels of 48, 64 and 96. */
export const awkward = [0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 49, 64, 65, 95, 96] as const;

/** How many multiply-adds a drawn call makes at most, so that thousands of them are seconds. */
const WORK = 3000;

/**
 * What a drawn call is held to: the bits of the f32 reference, an error per entry against the float64 one, or nothing but its
 * law, where entries are free.
 */
export interface Drawn {
  readonly inputs: KernelCall['inputs'];
  readonly params?: KernelCall['params'];
  readonly attrs?: KernelAttributes;
  readonly out: readonly (readonly number[])[];
  readonly allowed: 'exact' | 'law' | Allowed;
  /** What must hold of the result alone; what does not, in words. */
  readonly law?: (call: KernelCall, result: readonly Float64Array[]) => readonly string[];
}

export type Property = (draw: Draw) => Drawn;

/** Random calls as a function of a seed. */
export class Draw {
  readonly rng: Rng;

  constructor(name: string, index: number) {
    this.rng = new Rng(index, `properties/${name}`);
  }

  /** One of the awkward sizes, 0 now and then. */
  size(least = 0): number {
    const from = least === 0 && this.rng.below(40) > 0 ? 1 : least;
    const first = awkward.findIndex((size) => size >= from);
    return awkward[first + this.rng.below(awkward.length - first)] as number;
  }

  /**
   * Sizes that multiply, with `others`, to no more work than there may be: the largest gives way to the next smaller one.
   * Each at least `least`.
   */
  sizes(
    count: number,
    { others = 1, least = 0 }: { readonly others?: number; readonly least?: number } = {},
  ): number[] {
    const sizes = Array.from({ length: count }, () => this.size(least));
    while (sizes.reduce((a, b) => a * b, others) > WORK) {
      const at = sizes.indexOf(Math.max(...sizes));
      const smaller = awkward.filter((size) => size < (sizes[at] as number) && size >= Math.max(least, 1));
      if (smaller.length === 0) break;
      sizes[at] = smaller.at(-1) as number;
    }
    return sizes;
  }

  /** From `least` to `most`. */
  small(least: number, most: number): number {
    return least + this.rng.below(most - least + 1);
  }

  flag(): boolean {
    return this.rng.below(2) === 1;
  }

  pick<T>(all: readonly T[]): T {
    return all[this.rng.below(all.length)] as T;
  }

  /** Normal numbers; sometimes quarters, of which many are equal or 0. */
  floats(shape: readonly number[], scale = 1): Tensor {
    const coarse = this.rng.below(5) === 0;
    const data = Float32Array.from({ length: count(shape) }, () => this.rng.normal() * scale);
    return tensor(shape, coarse ? data.map((x) => Math.round(4 * x) / 4) : data);
  }

  quarters(shape: readonly number[]): Tensor {
    return tensor(
      shape,
      Float32Array.from({ length: count(shape) }, () => (this.rng.below(17) - 8) / 4),
    );
  }

  doubles(shape: readonly number[], scale = 1): Tensor {
    return tensor(
      shape,
      Float64Array.from({ length: count(shape) }, () => this.rng.normal() * scale),
    );
  }

  /** From a half up. */
  positive(shape: readonly number[]): Tensor {
    const { data } = this.floats(shape);
    return tensor(
      shape,
      Float32Array.from(data, (x) => Math.abs(x) + 0.5),
    );
  }

  /** Whole numbers below `below`. */
  ints(shape: readonly number[], below: number) {
    return intTensor(
      shape,
      Int32Array.from({ length: count(shape) }, () => this.rng.below(Math.max(below, 1))),
    );
  }

  perhaps<T>(make: () => T): T | null {
    return this.flag() ? make() : null;
  }
}

export function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

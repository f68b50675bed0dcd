import { CircuitscopeError } from '@circuitscope/schema';
import { multiplyHigh, philox, type Words4 } from './philox.ts';

/**
 * A stream of random numbers that is named by (seed, stream): the same on every runtime, and independent of how many
 * numbers other streams drew. Name the purpose ('task.positions', 'bootstrap'), so that adding a stream moves no other.
 *
 * Key = the seed's two words. Counter = [block, 0, name hash], where the name hash is FNV-1a 64 of the UTF-8 name.
 */
export class Rng {
  readonly seed: number;
  readonly stream: string;
  readonly #key: readonly [number, number];
  readonly #name: readonly [number, number];
  #block = 0;
  #words: Words4 = [0, 0, 0, 0];
  #left = 0;
  #spareNormal: number | undefined;

  /** @throws CircuitscopeError `bad_seed` unless the seed is a whole number from 0 to 2^53 − 1 */
  constructor(seed: number, stream: string) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new CircuitscopeError('bad_seed', `A seed is a whole number from 0 to 2^53 − 1; ${seed} is not.`, {
        expected: 'a whole number from 0',
        got: String(seed),
      });
    }
    this.seed = seed;
    this.stream = stream;
    this.#key = [seed >>> 0, Math.floor(seed / 2 ** 32)];
    this.#name = hashName(stream);
  }

  /** A child stream: its numbers depend on the seed and both names, not on what this stream has drawn. */
  child(name: string): Rng {
    return new Rng(this.seed, `${this.stream}/${name}`);
  }

  /** Uniform over 0 … 2^32 − 1. */
  uint32(): number {
    if (this.#left === 0) {
      this.#words = philox([this.#block >>> 0, Math.floor(this.#block / 2 ** 32), ...this.#name], this.#key);
      this.#block += 1;
      this.#left = 4;
    }
    const word = this.#words[4 - this.#left] as number;
    this.#left -= 1;
    return word;
  }

  /** Uniform over the 2^24 multiples of 2^-24 in [0, 1): exact in float32, so storing it rounds nothing. */
  float(): number {
    return (this.uint32() >>> 8) * 2 ** -24;
  }

  /**
   * Uniform over 0 … n − 1 without bias: the high word of word × n, and words whose low part falls into the short
   * remainder are drawn again (Lemire 2019, "Fast random integer generation in an interval").
   * @throws CircuitscopeError `out_of_range` unless n is a whole number from 1 to 2^32
   */
  below(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
      throw new CircuitscopeError('out_of_range', `A random whole number needs a bound from 1 to 2^32; got ${n}.`, {
        expected: '1 … 2^32',
        got: String(n),
      });
    }
    if (n === 2 ** 32) return this.uint32();
    const remainder = 2 ** 32 % n;
    for (;;) {
      const word = this.uint32();
      if (Math.imul(word, n) >>> 0 >= remainder) return multiplyHigh(word, n);
    }
  }

  /**
   * Standard normal by Box–Muller, a float32 value. Runtimes disagree in the last bit of log, cos and sin, so each is
   * rounded to float32 before it is used; the result is then the same everywhere. |x| stays below 6.7.
   */
  normal(): number {
    const spare = this.#spareNormal;
    if (spare !== undefined) {
      this.#spareNormal = undefined;
      return spare;
    }
    const radius = Math.fround(Math.sqrt(-2 * Math.fround(Math.log((this.uint32() + 0.5) * 2 ** -32))));
    const angle = 2 * Math.PI * this.float();
    this.#spareNormal = Math.fround(radius * Math.fround(Math.sin(angle)));
    return Math.fround(radius * Math.fround(Math.cos(angle)));
  }

  /** A uniformly shuffled copy (Fisher and Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let last = result.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      const held = result[last] as T;
      result[last] = result[other] as T;
      result[other] = held;
    }
    return result;
  }

  /** One item, each equally likely. @throws CircuitscopeError `out_of_range` for an empty list */
  choice<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

function hashName(name: string): readonly [number, number] {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return [Number(hash & 0xffffffffn), Number(hash >> 32n)];
}

import { CircuitscopeError } from '@circuitscope/schema';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { multiplyHigh, philox, type Words4 } from './philox.ts';
import { Rng } from './rng.ts';

describe('philox', () => {
  // Known answers of the Random123 distribution (tests/kat_vectors, philox4x32 10): counter, key, result.
  const known: readonly [Words4, readonly [number, number], Words4][] = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];

  test.each(known)('counter %j with key %j gives the published words', (counter, key, words) => {
    expect(philox(counter, key)).toEqual(words);
  });

  test('the high word of a product is that of exact integers', () => {
    const word = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(multiplyHigh(a, b)).toBe(Number((BigInt(a) * BigInt(b)) >> 32n));
      }),
    );
    expect(multiplyHigh(0xffffffff, 0xffffffff)).toBe(0xfffffffe);
  });
});

describe('streams', () => {
  const draw = (rng: Rng, n = 8): number[] => Array.from({ length: n }, () => rng.uint32());

  test('the same seed and name give the same numbers, another seed or name others', () => {
    expect(draw(new Rng(1, 'a'))).toEqual(draw(new Rng(1, 'a')));
    const streams = [
      new Rng(1, 'a'),
      new Rng(1, 'b'),
      new Rng(2, 'a'),
      new Rng(2 ** 32 + 1, 'a'),
      new Rng(1, 'a').child('b'),
    ];
    expect(new Set(streams.map((rng) => draw(rng).join())).size).toBe(5);
  });

  test('a child does not depend on what its parent drew', () => {
    const parent = new Rng(5, 'p');
    const early = draw(parent.child('c'));
    draw(parent, 100);
    expect(draw(parent.child('c'))).toEqual(early);
  });

  test('stored streams stay what they are', () => {
    const rng = new Rng(2026, 'example');
    expect(draw(rng, 5)).toEqual([2518437134, 570773066, 337910131, 1178035885, 695047777]);
    expect([rng.float(), rng.below(10), rng.normal(), rng.normal()]).toEqual([
      0.360720157623291, 6, -0.5488272309303284, 1.1526803970336914,
    ]);
    expect(new Rng(2026, 'example').shuffle([0, 1, 2, 3, 4, 5])).toEqual([1, 2, 5, 4, 0, 3]);
  });

  test('a seed that is no whole number from 0 is refused', () => {
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => new Rng(seed, 'a')).toThrow(CircuitscopeError);
    for (const n of [0, -1, 1.5, 2 ** 32 + 1]) expect(() => new Rng(1, 'a').below(n)).toThrow(CircuitscopeError);
    expect(() => new Rng(1, 'a').choice([])).toThrow(CircuitscopeError);
  });
});

describe('distributions', () => {
  test('floats are multiples of 2^-24 below 1 with mean ½', () => {
    const rng = new Rng(1, 'floats');
    const values = Array.from({ length: 20_000 }, () => rng.float());
    expect(values.every((x) => x >= 0 && x < 1 && Number.isInteger(x * 2 ** 24))).toBe(true);
    // Five standard errors: 5 · √(1/12/20000).
    expect(Math.abs(values.reduce((a, b) => a + b, 0) / values.length - 0.5)).toBeLessThan(0.0103);
  });

  test('whole numbers below n are uniform: χ² below its 99.99 % point', () => {
    const rng = new Rng(1, 'below');
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 70_000; i++) counts[rng.below(7)]! += 1;
    // 6 degrees of freedom.
    expect(counts.reduce((total, count) => total + (count - 10_000) ** 2 / 10_000, 0)).toBeLessThan(27.86);
  });

  test('a bound of 3·2^30 is met without bias: a third below 2^30', () => {
    const rng = new Rng(1, 'large');
    let low = 0;
    for (let i = 0; i < 30_000; i++) low += rng.below(3 * 2 ** 30) < 2 ** 30 ? 1 : 0;
    // Taking the remainder of a word would give one half. Five standard errors.
    expect(Math.abs(low / 30_000 - 1 / 3)).toBeLessThan(0.0137);
    expect(rng.below(1)).toBe(0);
  });

  test('normals are float32 numbers with mean 0, variance 1 and the right tails', () => {
    const rng = new Rng(1, 'normals');
    const n = 40_000;
    const values = Array.from({ length: n }, () => rng.normal());
    expect(values.every((x) => Object.is(x, Math.fround(x)))).toBe(true);
    expect(Math.abs(values.reduce((a, b) => a + b, 0) / n)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(values.reduce((a, b) => a + b * b, 0) / n - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    const outside = values.filter((x) => Math.abs(x) > 1.959964).length / n;
    expect(Math.abs(outside - 0.05)).toBeLessThan(5 * Math.sqrt((0.05 * 0.95) / n));
  });

  test('shuffling permutes, leaves its input alone, and reaches every order equally', () => {
    const rng = new Rng(1, 'orders');
    const counts = new Map<string, number>();
    const items = [1, 2, 3] as const;
    for (let i = 0; i < 12_000; i++) {
      const order = rng.shuffle(items).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(items).toEqual([1, 2, 3]);
    expect([...counts.keys()].sort()).toEqual(['123', '132', '213', '231', '312', '321']);
    // 5 degrees of freedom, 99.99 % point.
    expect([...counts.values()].reduce((total, count) => total + (count - 2000) ** 2 / 2000, 0)).toBeLessThan(25.74);
    expect(new Set(Array.from({ length: 100 }, () => rng.choice(['a', 'b']))).size).toBe(2);
  });
});

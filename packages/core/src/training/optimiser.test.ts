import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { chooseExecutor } from '../plan/index.ts';
import { Rng, tensor } from '../tensor/index.ts';
import { adamW, clipFactor, globalNorm, type OptimiserSettings } from './optimiser.ts';

const settings: OptimiserSettings = {
  kind: 'adamw',
  learningRate: 0.1,
  betas: [0.5, 0.75],
  eps: 1e-8,
  weightDecay: 0,
  decays: 'all',
  clip: null,
};
const weight = (...values: number[]) => new Map([['w', tensor([values.length], Float64Array.from(values))]]);
const gradient = (...values: number[]) => new Map([['w', Float64Array.from(values)]]);

describe('AdamW', () => {
  test('the first step has the size of the learning rate, whatever the gradient', () => {
    const weights = weight(1, 1, 1);
    adamW(settings, weights).update(gradient(1e-3, -5, 400), 0.1);
    for (const [at, expected] of [0.9, 1.1, 0.9].entries()) expect(weights.get('w')?.data[at]).toBeCloseTo(expected, 5);
  });

  test('two steps are those of the formula by hand', () => {
    const weights = weight(2);
    const optimiser = adamW({ ...settings, weightDecay: 0.5 }, weights);
    optimiser.update(gradient(1), 0.1);
    // m = .5, v = .25; both divided by (1 − β): m̂ = 1, √v̂ = 1
    const first = 2 * (1 - 0.05) - 0.1 / (1 + 1e-8);
    expect(weights.get('w')?.data[0]).toBeCloseTo(first, 14);
    optimiser.update(gradient(3), 0.2);
    // m = .5 + (3 − .5)/2 = 1.75, 1 − β₁² = .75; v = .25·.75 + 9·.25 = 2.4375, 1 − β₂² = .4375
    const second = first * (1 - 0.1) - (0.2 * (1.75 / 0.75)) / (Math.sqrt(2.4375 / 0.4375) + 1e-8);
    expect(weights.get('w')?.data[0]).toBeCloseTo(second, 14);
  });

  test('decay shrinks a weight without gradient, and only those that decay', () => {
    const make = () =>
      new Map([
        ['matrix', tensor([1, 1], Float64Array.of(1))],
        ['bias', tensor([1], Float64Array.of(1))],
      ]);
    const gradients = new Map([...make()].map(([name]) => [name, Float64Array.of(0)]));
    for (const [decays, expected] of [
      ['all', [0.5, 0.5]],
      ['matrices', [0.5, 1]],
      [['bias'], [1, 0.5]],
      [[], [1, 1]],
    ] as const) {
      const weights = make();
      adamW({ ...settings, weightDecay: 0.5, decays }, weights).update(gradients, 1);
      expect([...weights.values()].map(({ data }) => data[0])).toEqual(expected);
    }
  });

  test('float32 weights and moments hold the float64 result, rounded once', () => {
    const start = [0.1, -0.7, 3];
    const doubles = new Map([['w', tensor([3], Float64Array.from(start, Math.fround))]]);
    const floats = new Map([['w', tensor([3], Float32Array.from(start))]]);
    const [wide, narrow] = [doubles, floats].map((weights) => adamW({ ...settings, weightDecay: 0.1 }, weights));
    for (const optimiser of [wide, narrow]) optimiser?.update(gradient(0.3, -1 / 3, 7), 0.01);
    expect([...(floats.get('w')?.data ?? [])]).toEqual(Array.from(doubles.get('w')?.data ?? [], Math.fround));
    const moments = narrow?.moments.get('w');
    expect(moments?.first).toBeInstanceOf(Float32Array);
    expect([...(moments?.second ?? [])]).toEqual(Array.from(wide?.moments.get('w')?.second ?? [], Math.fround));
  });

  test('taken apart after any step and put together again, it goes on to the bit', () => {
    const gradients = Array.from({ length: 9 }, (_, t) => gradient(Math.fround(1 / (t + 1)), Math.fround(t / 3 - 1)));
    const whole = new Map([['w', tensor([2], Float32Array.of(1, -1))]]);
    const optimiser = adamW(settings, whole);
    for (const each of gradients) optimiser.update(each, 0.01);
    for (let cut = 0; cut <= gradients.length; cut++) {
      const weights = new Map([['w', tensor([2], Float32Array.of(1, -1))]]);
      const before = adamW(settings, weights);
      for (const each of gradients.slice(0, cut)) before.update(each, 0.01);
      const after = adamW(settings, weights, { done: cut, moments: before.moments });
      for (const each of gradients.slice(cut)) after.update(each, 0.01);
      expect(weights.get('w')?.data).toEqual(whole.get('w')?.data);
    }
  });

  test('a quadratic valley is walked down to its floor', () => {
    const weights = weight(5, -3);
    const optimiser = adamW({ ...settings, betas: [0.9, 0.999] }, weights);
    for (let t = 0; t < 2000; t++) {
      const [x = 0, y = 0] = weights.get('w')?.data ?? [];
      optimiser.update(gradient(2 * (x - 1), 20 * (y - 2)), 0.05 * (1 - t / 2000));
    }
    const [x = 0, y = 0] = weights.get('w')?.data ?? [];
    expect(x).toBeCloseTo(1, 4);
    expect(y).toBeCloseTo(2, 4);
  });

  test('a gradient that is not finite changes nothing', () => {
    const weights = weight(1, 2);
    const optimiser = adamW(settings, weights);
    expect(optimiser.update(gradient(Number.NaN, 0), 0.1)).toBeNaN();
    expect([...(weights.get('w')?.data ?? [])]).toEqual([1, 2]);
    expect([...(optimiser.moments.get('w')?.first ?? [])]).toEqual([0, 0]);
  });

  test('settings out of range and weights that do not exist are refused', () => {
    const wrong: Partial<OptimiserSettings>[] = [
      { learningRate: 0 },
      { learningRate: Number.NaN },
      { betas: [1, 0.9] },
      { eps: 0 },
      { weightDecay: -1 },
      { clip: 0 },
      { decays: ['nobody'] },
    ];
    for (const each of wrong) expect(() => adamW({ ...settings, ...each }, weight(1))).toThrow(CircuitscopeError);
    expect(() => adamW(settings, weight(1)).update(new Map(), 0.1)).toThrow('no gradient for the weight w');
  });
});

describe('clipping', () => {
  test('is by the norm over all weights together', () => {
    expect(globalNorm([Float32Array.of(3), Float32Array.of(0, 4)])).toBe(5);
    expect(clipFactor(5, 1)).toBeCloseTo(0.2, 6);
    expect([clipFactor(0.5, 1), clipFactor(5, null)]).toEqual([1, 1]);
  });

  test('scales the moments, not the reported norm', () => {
    const optimiser = adamW({ ...settings, clip: 1 }, weight(0, 0));
    expect(optimiser.update(gradient(3, 4), 0.1)).toBe(5);
    expect(optimiser.moments.get('w')?.first[0]).toBeCloseTo(0.3, 6);
  });
});

test('the addon updates to the bit of the plain loop: long, short, subnormal, huge, not a number', async ({ skip }) => {
  const { executor, fallbackReason } = await chooseExecutor();
  if (!executor.adamw) return skip(`the addon does not load: ${fallbackReason}`);
  const rng = new Rng(4, 'adamw');
  const odd = [0, -0, 1e-45, -3e-39, 3.4e38, -1, 1e-20, Number.NaN];
  const random = (length: number) =>
    Float32Array.from({ length }, (_, at) => (at % 7 === 0 ? (odd[at % odd.length] ?? 0) : rng.normal()));
  for (const length of [0, 1, 7, 31, 2048, 5003]) {
    const start = random(length);
    const [plain, fast] = [start.slice(), start.slice()].map((data) => new Map([['w', tensor([length], data)]]));
    if (!plain || !fast) throw new Error('two copies');
    const changed = { ...settings, betas: [0.9, 0.98] as const, weightDecay: 0.1, clip: 1 };
    const [one, two] = [adamW(changed, plain), adamW(changed, fast, { executor })];
    for (let step = 0; step < 4; step++) {
      // The global norm of what is not finite changes nothing, so those entries are in the weights alone.
      const gradients = new Map([['w', Float32Array.from({ length }, () => rng.normal() * 10 ** (step * 9 - 30))]]);
      expect(two.update(gradients, 0.01)).toBe(one.update(gradients, 0.01));
    }
    const bits = (data: ArrayLike<number> | undefined) => new Uint32Array(Float32Array.from(data ?? []).buffer);
    expect(bits(fast.get('w')?.data)).toEqual(bits(plain.get('w')?.data));
    expect(bits(two.moments.get('w')?.first)).toEqual(bits(one.moments.get('w')?.first));
    expect(bits(two.moments.get('w')?.second)).toEqual(bits(one.moments.get('w')?.second));
  }
});

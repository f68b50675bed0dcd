import { describe, expect, test } from 'vitest';
import type { Prompt } from '../plan/index.ts';
import { Rng, type Tensor, tensor } from '../tensor/index.ts';
import { collectActivations } from './collect-activations.ts';
import { directionEffect } from './direction-effect.ts';
import { featureData } from './feature-data.ts';
import { bestUnit, findDirection, type LabelledActivations, measureDirection } from './find-direction.ts';
import { inductionModel, plantedModel } from './hand-written.fixture.ts';
import { randomDirections, removedSquare } from './random-directions.ts';

const gaussian = (rows: number, width: number, seed: number, shift: readonly number[] = []): Tensor => {
  const rng = new Rng(seed, 'test');
  return tensor(
    [rows, width],
    Float64Array.from({ length: rows * width }, (_, at) => rng.normal() + (shift[at % width] ?? 0)),
  );
};
const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);

describe('a direction by difference of means', () => {
  test('is the unit vector between the class means', () => {
    const found = findDirection({
      positives: tensor([2, 2], Float64Array.of(4, 1, 2, 7)),
      negatives: tensor([1, 2], Float64Array.of(0, 0)),
    });
    expect(found).toMatchObject({ estimator: 'difference_of_means', distance: 5, positives: 2, negatives: 1 });
    expect(Array.from(found.direction.data)).toEqual([Math.fround(0.6), Math.fround(0.8)]);
    const same = gaussian(3, 4, 1);
    expect(() => findDirection({ positives: same, negatives: same })).toThrow(/means are equal/);
    expect(() => findDirection({ positives: gaussian(3, 4, 1), negatives: gaussian(3, 5, 1) })).toThrow(/equal widths/);
  });

  test('on noise its fresh AUROC has an interval over one half, though on its own examples it looks good', () => {
    const noise = (seed: number): LabelledActivations => ({
      positives: gaussian(60, 30, seed),
      negatives: gaussian(60, 30, seed + 1),
    });
    const [train, fresh] = [noise(10), noise(20)];
    const measured = measureDirection(findDirection(train).direction, train, fresh);
    expect(measured.trainAuroc).toBeGreaterThan(0.65);
    expect(measured.auroc.interval?.[0]).toBeLessThan(0.5);
    expect(measured.auroc.interval?.[1]).toBeGreaterThan(0.5);
    expect(measured.bestCoordinate.trainAuroc).toBeGreaterThan(measured.bestCoordinate.auroc.value);
    expect(measured.auroc).toMatchObject({ positives: 60, negatives: 60 });
  });

  test('spread over many coordinates it beats the best of them, in one coordinate it does not', () => {
    const shifted = (shift: readonly number[], seed: number): LabelledActivations => ({
      positives: gaussian(100, 20, seed, shift),
      negatives: gaussian(100, 20, seed + 1),
    });
    const spread = new Array<number>(20).fill(0.5);
    const [train, fresh] = [shifted(spread, 30), shifted(spread, 40)];
    const wide = measureDirection(findDirection(train).direction, train, fresh);
    expect(wide.auroc.value).toBeGreaterThan(0.88);
    expect(wide.dPrime).toBeGreaterThan(1.7);
    expect(wide.advantage.interval?.[0]).toBeGreaterThan(0);
    const single = [0, 0, 0, -3];
    const one = measureDirection(
      findDirection(shifted(single, 50)).direction,
      shifted(single, 50),
      shifted(single, 60),
    );
    expect(one.bestCoordinate).toMatchObject({ unit: 3, sign: -1 });
    expect(one.advantage.interval?.[0]).toBeLessThanOrEqual(0);
    const boot = bestUnit(shifted(single, 50), shifted(single, 60), {
      interval: { kind: 'bootstrap', seed: 1, resamples: 200, paired: true },
    });
    expect(boot.auroc).toMatchObject({
      method: 'bca',
      n: 100,
      value: expect.closeTo(one.bestCoordinate.auroc.value, 12),
    });
  });
});

describe('random directions', () => {
  // Variance 9, 1, 1, … along the coordinates.
  const activations = (() => {
    const base = gaussian(400, 12, 70);
    return tensor(
      base.shape,
      base.data.map((value, at) => (at % 12 === 0 ? 3 * value : value)),
    );
  })();

  test('are of unit length and come from their seed', () => {
    for (const kind of ['haar', 'covariance'] as const) {
      const vectors = randomDirections(kind, activations, 5, 1);
      expect(vectors).toEqual(randomDirections(kind, activations, 5, 1));
      for (const { data } of vectors) expect(dot(data, data)).toBeCloseTo(1, 6);
    }
  });

  test('Haar ones remove tr Σ / width on the average, covariance ones more', () => {
    const removed = (kind: 'haar' | 'covariance'): number =>
      randomDirections(kind, activations, 400, 2).reduce((sum, vector) => sum + removedSquare(activations, vector), 0) /
      400;
    expect(removed('haar')).toBeGreaterThan(1.4);
    expect(removed('haar')).toBeLessThan(1.95);
    expect(removed('covariance')).toBeGreaterThan(2.5);
  });

  test('where the data do not vary there is no covariance direction', () => {
    expect(() => randomDirections('covariance', tensor([2, 2], Float64Array.of(1, 2, 1, 2)), 1, 1)).toThrow(
      /do not vary/,
    );
  });
});

describe('a planted direction', async () => {
  const { engine, planted } = plantedModel(48, 8, 24, 5);
  const site = 'blocks.0.hook_resid_pre';
  const at = { site, at: { kind: 'last' as const } };
  const rng = new Rng(6, 'test');
  const prompts = (parity: number, count: number): number[][] =>
    Array.from({ length: count }, () =>
      Array.from({ length: 8 }, (_, position) => (position === 7 ? 2 * rng.below(24) + parity : rng.below(48))),
    );
  const last = (tokens: readonly (readonly number[])[]) =>
    collectActivations(engine, site, { tokens, at: tokens.map(() => 7) });
  const labelled = async (): Promise<LabelledActivations> => ({
    positives: await last(prompts(0, 40)),
    negatives: await last(prompts(1, 40)),
  });
  const [train, fresh] = [await labelled(), await labelled()];
  const found = findDirection(train);
  const prompt: Prompt = { tokens: [...prompts(0, 10), ...prompts(1, 10)] };
  const parities = prompt.tokens.map((_, example) => (example < 10 ? 0 : 1));
  const readout = {
    kind: 'logitDiff' as const,
    at: { kind: 'last' as const },
    answer: parities,
    wrong: parities.map((parity) => 1 - parity),
  };

  test('is recovered, and tells fresh examples apart', () => {
    expect(dot(found.direction.data, planted)).toBeGreaterThan(0.8);
    const measured = measureDirection(tensor([24], planted), train, fresh);
    expect(measured.auroc.value).toBe(1);
    expect(measured.bestCoordinate.auroc.value).toBeLessThan(1);
    expect(measureDirection(found.direction, train, fresh).auroc.value).toBeGreaterThan(0.95);
  });

  test('projected out it kills the behaviour, random directions do not', async () => {
    const effect = await directionEffect(engine, { at, direction: tensor([24], planted), prompt, readout, seed: 7 });
    expect(effect.before).toBeCloseTo(6, 5);
    expect(effect.after).toBeCloseTo(0, 5);
    expect(effect.removedSquare).toBeCloseTo(1, 5);
    for (const nulls of [effect.haar, effect.covariance]) {
      expect(nulls).toMatchObject({ n: 100, hits: 0, p: 1 / 101 });
      expect(nulls.mean).toBeLessThan(1.5);
      expect(nulls.excess.interval?.[0]).toBeGreaterThan(4);
      expect(nulls.excess.value).toBeCloseTo(6 - nulls.mean, 5);
    }
    // A random direction keeps the share 1/24 of p on the average: effect 6/24 = 0.25.
    expect(effect.haar.squaredCosine).toBeCloseTo(1 / 24, 1);
    expect(effect.haar.mean).toBeGreaterThan(0.05);
    expect(effect.haar.mean).toBeLessThan(0.6);
  });

  test('a direction that the output does not read is told from it', async () => {
    const [other] = randomDirections('haar', train.positives, 1, 99);
    const idle = Float64Array.from(other?.data ?? []).map(
      (value, index) => value - dot(other?.data ?? [], planted) * (planted[index] ?? 0),
    );
    const effect = await directionEffect(engine, { at, direction: tensor([24], idle), prompt, readout, seed: 7 });
    expect(effect.effect.value).toBeCloseTo(0, 5);
    expect(effect.haar.p).toBeGreaterThan(0.9);
  });

  test('a loss, and a metric of one’s own, are read per example', async () => {
    const loss = await directionEffect(engine, {
      at,
      direction: tensor([24], planted),
      prompt,
      readout: { kind: 'loss' },
      seed: 7,
    });
    expect(loss.before).toBeGreaterThan(0);
    // The last position has no next token, so a change there alone changes no loss.
    expect(loss.effect.value).toBe(0);
    const metric = (logits: ArrayLike<number>): number => Math.abs((logits[7 * 48] ?? 0) - (logits[7 * 48 + 1] ?? 0));
    const own = await directionEffect(engine, {
      at,
      direction: tensor([24], planted),
      prompt,
      readout: { kind: 'capture', at: { site: 'logits' } },
      metric,
      seed: 7,
    });
    expect(own.effect.value).toBeCloseTo(6, 5);
    await expect(
      directionEffect(engine, { at, direction: found.direction, prompt, readout: { kind: 'capture', at }, seed: 7 }),
    ).rejects.toThrow(/give a metric/);
    await expect(
      directionEffect(engine, { at, direction: tensor([3], Float64Array.of(1, 0, 0)), prompt, readout, seed: 7 }),
    ).rejects.toThrow(/length 3/);
    await expect(
      directionEffect(engine, { at, direction: found.direction, prompt, readout, seed: 7, randoms: 10 }),
    ).rejects.toThrow(/at least 100/);
  });
});

describe('a property in the induction model', async () => {
  const [vocab, context] = [12, 16];
  const { engine, model } = inductionModel(vocab, context);
  const site = 'blocks.0.hook_resid_post';
  const property = { kind: 'previousIs' as const, token: 3 };
  const options = { pairs: 40, length: 10, bos: 0 };
  const train = featureData(model.spec, property, { ...options, seed: 1 });
  const fresh = featureData(model.spec, property, { ...options, seed: 2, exclude: [train] });
  const activations = async (data: typeof train): Promise<LabelledActivations> => ({
    positives: await collectActivations(engine, site, { tokens: data.positives, at: data.at }),
    negatives: await collectActivations(engine, site, { tokens: data.nearMisses, at: data.at }),
  });

  test('is found where it was written: the coordinate in which the first layer keeps the token before', async () => {
    const [first, second] = [await activations(train), await activations(fresh)];
    const found = findDirection(first);
    const written = vocab + context + property.token;
    expect(found.direction.data[written]).toBeGreaterThan(0.9);
    const measured = measureDirection(found.direction, first, second);
    expect(measured.auroc).toMatchObject({ value: 1, interval: null, positives: 40, negatives: 40 });
    expect(measured.bestCoordinate).toMatchObject({ unit: written, sign: 1, auroc: { value: 1 }, dPrime: null });
    expect(measured.advantage).toMatchObject({ value: 0, p: null });
  });

  test('projected out everywhere it stops induction for that token alone', async () => {
    const { direction } = findDirection(await activations(train));
    // … 3 a … 3 → a, and the same for token 4.
    const prompt = (token: number): Prompt => ({
      tokens: [5, 6, 7, 8].map((next) => [0, 1, token, next, 2, 9, token]),
    });
    const effectFor = (token: number) =>
      directionEffect(engine, {
        at: { site },
        direction,
        prompt: prompt(token),
        readout: { kind: 'logitDiff', at: { kind: 'last' }, answer: [5, 6, 7, 8], wrong: [1, 1, 1, 1] },
        seed: 3,
      });
    const [own, other] = [await effectFor(3), await effectFor(4)];
    expect(own.before).toBeCloseTo(5, 6);
    expect(own.after).toBeLessThan(2);
    expect(own.haar).toMatchObject({ hits: 0 });
    expect(own.haar.excess.value).toBeGreaterThan(3);
    expect(Math.abs(other.effect.value)).toBeLessThan(0.1);
    expect(other.haar.p).toBeGreaterThan(0.05);
  });
});

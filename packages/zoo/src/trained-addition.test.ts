import { join } from 'node:path';
import {
  chooseExecutor,
  type Engine,
  engineFor,
  type Floats,
  interchangeAccuracy,
  makePlan,
  readoutTensor,
  readTrainingLog,
  readWeight,
  runPlan,
  train,
} from '@circuitscope/core';
import { describe, expect, test } from 'vitest';
import { algorithmInputs } from './algorithm-inputs.ts';
import { modularAddition13 } from './modular-addition.ts';
import {
  lossesOf,
  meanLogits,
  neuronShares,
  sumSpectrum,
  tableSpectrum,
  wavesOfSum,
} from './recipes/addition-spectrum.ts';
import {
  ADDITION_PRIME,
  additionMeasures,
  additionSplit,
  keyFrequencies,
  modularAdditionRecipe,
} from './recipes/modular-addition.ts';
import { TRAINED_ADDITION_SEEDS, trainedAddition } from './trained-addition.ts';

const { executor } = await chooseExecutor();
const P = ADDITION_PRIME;

/** Logits of all sums and activations of all neurons at `=`, for all pairs a, b. */
async function everyPair(
  engine: Engine,
  {
    p,
    prompt,
    neurons,
  }: { readonly p: number; readonly prompt: (a: number, b: number) => number[]; readonly neurons: boolean },
): Promise<{ readonly logits: Floats; readonly neurons: Floats }> {
  const last = { kind: 'last' } as const;
  const sums = Array.from({ length: p }, (_, c) => c);
  const plan = makePlan(engine.graph, {
    readouts: [
      { kind: 'capture', at: { site: 'logits', at: last, unit: sums } },
      ...(neurons ? [{ kind: 'capture' as const, at: { site: 'blocks.0.mlp.hook_post', at: last } }] : []),
    ],
  });
  const tokens = Array.from({ length: p * p }, (_, at) => prompt(Math.floor(at / p), at % p));
  const run = await runPlan(engine, plan, { tokens });
  return { logits: readoutTensor(run, 0).data, neurons: neurons ? readoutTensor(run, 1).data : new Float64Array() };
}

for (const seed of TRAINED_ADDITION_SEEDS) {
  describe(`the model that learnt addition, seed ${seed}`, async () => {
    const member = trainedAddition(seed);
    const engine = engineFor(member.model(), executor);
    const activations = await everyPair(engine, { p: P, prompt: (a, b) => [P + 1, a, b, P], neurons: true });
    const embedding = readWeight(engine.weights, 'embed.W_E').data;
    const measures = additionMeasures({ seed, ...activations, embedding });

    test('is right on pairs that it never saw, by a few waves of the sum', () => {
      expect(measures.test_accuracy).toBeGreaterThan(0.99);
      expect(measures.train_accuracy).toBe(1);
      expect(measures.restricted_loss).toBeLessThan(0.05);
      expect(measures.excluded_loss).toBeGreaterThan(Math.log(P));
      expect(measures.key_share_of_logits).toBeGreaterThan(0.95);
      expect(measures.key_share_of_embedding).toBeGreaterThan(0.7);
      expect(measures.neuron_variance_at_one_frequency).toBeGreaterThan(0.7);
    });

    test('needs its key frequencies: other five of the sum leave it at a guess', () => {
      const key = keyFrequencies(embedding);
      const others = Array.from({ length: (P - 1) / 2 }, (_, at) => at + 1)
        .filter((frequency) => !key.includes(frequency))
        .slice(0, 5);
      const { test: unseen } = additionSplit(seed);
      const mean = meanLogits(activations.logits, P);
      const rightBy = (frequencies: readonly number[]): number => {
        const waves = wavesOfSum(activations.logits, P, frequencies);
        return lossesOf(
          waves.map((value, at) => value + (mean[at % P] ?? 0)),
          P,
          unseen,
        ).accuracy;
      };
      expect(rightBy(key)).toBeGreaterThan(0.99);
      expect(rightBy(others)).toBeLessThan(0.1);
    });

    test('is the model at the end of its log', () => {
      const folder = join(import.meta.dirname, `../trained/modular-addition/seed-${seed}`);
      const { lines } = readTrainingLog(join(folder, 'log.jsonl'));
      const recorded = lines.at(-1)?.metrics ?? {};
      expect(Object.keys(recorded)).toEqual(Object.keys(measures));
      for (const [name, value] of Object.entries(recorded)) {
        expect(Math.abs((measures[name] ?? Number.NaN) - value), name).toBeLessThan(
          1e-3 * Math.max(1e-3, Math.abs(value)),
        );
      }
    });

    test('knew the training pairs by heart long before it knew the others', () => {
      const folder = join(import.meta.dirname, `../trained/modular-addition/seed-${seed}`);
      const { lines } = readTrainingLog(join(folder, 'log.jsonl'));
      const first = (name: string): number =>
        lines.find(({ metrics }) => (metrics?.[name] ?? 0) > 0.95)?.step ?? Number.NaN;
      expect(first('test_accuracy') / first('train_accuracy')).toBeGreaterThan(10);
    });

    test('says the sum of another pair where what its MLP writes comes from there', async () => {
      const { program } = member;
      if (!program) throw new Error('no program');
      const [result] = await interchangeAccuracy(engine, {
        program,
        alignment: { sum: { site: 'blocks.0.hook_mlp_out' } },
        inputs: algorithmInputs(member, { seed: 3, examples: 60 }),
        pairs: 60,
        nulls: 0,
        seed: 1,
      });
      expect(result?.untouched?.value).toBeGreaterThan(0.97);
      expect(result?.score.changing?.value).toBeGreaterThan(0.9);
    });
  });
}

describe('waves over a prime', () => {
  test('of the closed form are its frequencies and no others', async () => {
    const { logits } = await everyPair(engineFor(modularAddition13.model(), executor), {
      p: 13,
      prompt: (a, b) => [14, a, b, 13],
      neurons: false,
    });
    const power = sumSpectrum(logits, 13);
    const total = power.reduce((a, b) => a + b, 0);
    const shares = [...power].map((value) => value / total);
    for (const [at, share] of shares.entries()) {
      expect(share).toBeCloseTo([1, 3, 4].includes(at + 1) ? 1 / 3 : 0, 5);
    }
    const kept = wavesOfSum(logits, 13, [1, 3, 4]);
    for (const [at, value] of logits.entries()) expect(kept[at]).toBeCloseTo(value, 4);
  });

  test('of a table that is one wave are all in it', () => {
    const table = Float64Array.from({ length: 11 * 2 }, (_, at) =>
      at % 2 === 0 ? Math.cos((2 * Math.PI * 3 * (at >> 1)) / 11) : 0,
    );
    const power = tableSpectrum(table, 11, 2);
    expect(power[2]).toBeCloseTo(11 / 2, 5);
    expect(power.reduce((a, b) => a + b, 0)).toBeCloseTo(11 / 2, 5);
  });

  test('explain a product of waves by its frequency, a sum of two frequencies by halves, noise by none', () => {
    const wave = (frequency: number, at: number): number => Math.cos((2 * Math.PI * frequency * at) / 11);
    const tables = [
      (a: number, b: number) => wave(2, a) * wave(2, b),
      (a: number, b: number) => wave(1, a) + wave(4, b),
      (a: number, b: number) => (a === 3 && b === 5 ? 1 : 0),
    ];
    const activations = Float64Array.from({ length: 121 * 3 }, (_, at) => {
      const pair = Math.floor(at / 3);
      return tables[at % 3]?.(Math.floor(pair / 11), pair % 11) ?? 0;
    });
    const shares = neuronShares(activations, 11, 3);
    const of = (neuron: number): number[] => [0, 1, 2, 3, 4].map((at) => shares[at * 3 + neuron] ?? 0);
    const near = (found: number[], expected: number[]): void =>
      found.forEach((value, at) => {
        expect(value).toBeCloseTo(expected[at] ?? 0, 5);
      });
    near(of(0), [0, 1, 0, 0, 0]);
    near(of(1), [0.5, 0, 0, 0.5, 0]);
    // A single point has the same power in each of the 120 waves, eight of them of one frequency.
    near(of(2), new Array<number>(5).fill(8 / 120));
  });
});

test('a short training gives the same bytes with one thread and with two', async () => {
  const [one, two] = await Promise.all(
    [1, 2].map((threads) => train(modularAdditionRecipe, { executor, seed: 5, steps: 2, threads })),
  );
  expect(one?.log).toEqual(two?.log);
  for (const [name, { data }] of one?.weights ?? []) expect(two?.weights.get(name)?.data, name).toEqual(data);
});

import { join } from 'node:path';
import {
  chooseExecutor,
  engineFor,
  type Floats,
  makePlan,
  makeTrainer,
  type Recipe,
  readoutTensor,
  readTrainingLog,
  runPlan,
  scoreHeads,
  train,
} from '@circuitscope/core';
import { describe, expect, test } from 'vitest';
import { inductionAttention, inductionWithMlps } from './recipes/induction.ts';
import { repeatedWords } from './recipes/induction-language.ts';
import {
  TRAINED_SEEDS,
  TRAINED_SEEDS_WITH_MLPS,
  trainedInduction,
  trainedInductionWithMlps,
} from './trained-induction.ts';
import type { ZooMember } from './zoo-member.ts';

const { executor } = await chooseExecutor();
const HALF = 31;
const VOCAB = 256;
/** As many as the log was measured on. */
const repeats = Array.from({ length: 64 }, (_, index) => repeatedWords(index, HALF));

const families = [
  { recipe: inductionAttention, member: trainedInduction, seeds: TRAINED_SEEDS, again: 3 },
  { recipe: inductionWithMlps, member: trainedInductionWithMlps, seeds: TRAINED_SEEDS_WITH_MLPS, again: 1 },
] as const;

const logOf = (recipe: Recipe, seed: number) =>
  readTrainingLog(join(import.meta.dirname, '../trained', recipe.name, `seed-${seed}`, 'log.jsonl')).lines;

/** Mean loss in nats of words `from` to `to` of the repeats, from logits [64, pos, vocab], with a head's output set to zero. */
async function lossOf(member: ZooMember, cut: { readonly layer: number; readonly head: number } | null) {
  const engine = engineFor(member.model(), executor);
  const plan = makePlan(engine.graph, {
    readouts: [{ kind: 'capture', at: { site: 'logits' } }],
    ...(cut && {
      interventions: [
        {
          kind: 'write',
          at: { site: `blocks.${cut.layer}.attn.hook_z`, head: [cut.head] },
          op: 'set',
          value: { kind: 'const', value: 0 },
        },
      ],
    }),
  });
  const { data } = readoutTensor(await runPlan(engine, plan, { tokens: repeats }), 0);
  return (from: number, to: number): number => {
    let sum = 0;
    for (const [example, words] of repeats.entries()) {
      for (let at = from; at < to; at++) {
        const row = (example * words.length + at) * VOCAB;
        sum += surprise(data.subarray(row, row + VOCAB), words[at + 1] ?? 0);
      }
    }
    return sum / (repeats.length * (to - from));
  };
}

function surprise(logits: Floats, word: number): number {
  const row = Array.from(logits);
  const most = Math.max(...row);
  return Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0)) + most - (row[word] ?? 0);
}

for (const { recipe, member: open, seeds, again } of families) {
  describe(`every seed of ${recipe.name}`, () => {
    for (const seed of seeds) {
      test(`is the model at the end of its log, seed ${seed}`, async () => {
        const loss = await lossOf(open(seed), null);
        const recorded = logOf(recipe, seed).at(-1);
        expect(recorded?.step).toBe(recipe.steps);
        const { first_copy_loss, second_copy_loss, loss_in_context } = recorded?.metrics ?? {};
        expect(loss(1, HALF)).toBeCloseTo(first_copy_loss ?? Number.NaN, 4);
        expect(loss(HALF + 1, 2 * HALF)).toBeCloseTo(second_copy_loss ?? Number.NaN, 5);
        const late = loss(2 * HALF - 8, 2 * HALF) - loss(HALF + 1, HALF + 9);
        expect(late).toBeCloseTo(loss_in_context ?? Number.NaN, 5);
        // A word that nothing foretells costs more than a uniform guess among 255; a word of the second copy next to nothing.
        expect(loss(1, HALF)).toBeGreaterThan(Math.log(255));
        expect(loss(HALF + 1, 2 * HALF)).toBeLessThan(0.02);
      });

      test(`loses the second copy without its previous-token head and without no other of layer 0, seed ${seed}`, async () => {
        const member = open(seed);
        const model = member.model();
        const scores = await scoreHeads(engineFor(model, executor), model.spec, {
          seed: 3,
          bos: member.bos,
          examples: 12,
          resamples: 20,
        });
        const first = scores.filter(({ layer }) => layer === 0);
        expect(first.filter(({ previousToken }) => previousToken.value > 0.5)).toHaveLength(1);
        for (const { head, previousToken } of first) {
          const loss = (await lossOf(member, { layer: 0, head }))(HALF + 1, 2 * HALF);
          if (previousToken.value > 0.5) expect(loss).toBeGreaterThan(Math.log(255));
          else expect(loss).toBeLessThan(0.1);
        }
        const inducing = scores.filter(({ layer, induction }) => layer === 1 && induction.value > 0.5);
        expect(inducing.length).toBeGreaterThanOrEqual(model.spec.heads - 1);
      });

      test(`learnt the second copy all at once, while its induction heads formed, seed ${seed}`, () => {
        const lines = logOf(recipe, seed).filter(({ metrics }) => metrics);
        const first = (holds: (metrics: { readonly [name: string]: number }) => boolean): number =>
          lines.find(({ metrics }) => metrics && holds(metrics))?.step ?? Number.NaN;
        const [begins, ends] = [5, 1].map((nats) => first((metrics) => (metrics.second_copy_loss ?? nats) < nats));
        expect(begins).toBeGreaterThanOrEqual(500);
        expect((ends ?? Number.NaN) - (begins ?? Number.NaN)).toBeLessThanOrEqual(400);
        // Measured every 100 steps: within a measurement of the fall.
        const induces = first((metrics) => (metrics.induction_score ?? 0) > 0.5);
        expect(induces).toBeGreaterThanOrEqual(begins ?? Number.NaN);
        expect(induces).toBeLessThanOrEqual(ends ?? Number.NaN);
      });
    }
  });

  test(`${recipe.name}: a short training gives the same bytes with one thread and with two`, async () => {
    const [one, two] = await Promise.all(
      [1, 2].map((threads) => train(recipe, { executor, seed: 9, steps: 2, threads })),
    );
    expect(one?.log).toHaveLength(2);
    expect(one?.log).toEqual(two?.log);
    for (const [name, { data }] of one?.weights ?? []) expect(two?.weights.get(name)?.data, name).toEqual(data);
  });

  test(`${recipe.name}: its training leads to the loss that the log of seed ${again} says`, async () => {
    const native = executor.info.kind === 'native';
    // Native code gives the same bits on every machine; the reference is slow, and rounds its exponentials otherwise.
    const steps = native ? 100 : 0;
    const trainer = makeTrainer(recipe.model(again), { ...recipe, executor });
    for (let step = 0; step < steps; step++) await trainer.step(recipe.batch(again, step), { threads: 1 });
    const { loss } = await trainer.measure(recipe.batch(again, steps), [], { threads: 1 });
    const logged = logOf(recipe, again).find(({ step }) => step === steps)?.loss ?? Number.NaN;
    if (native) expect(loss).toBe(logged);
    else expect(loss).toBeCloseTo(logged, 4);
  });
}

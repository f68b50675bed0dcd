import {
  chooseExecutor,
  cutEdges,
  type Engine,
  engineFor,
  interchangeAccuracy,
  makePlan,
  meanValue,
  measure,
  Rng,
  readoutTensor,
  readWeight,
  runPlan,
  scrubAlgorithm,
  sourceRuns,
  taskData,
  train,
} from '@circuitscope/core';
import { parseEdgeLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { algorithmInputs } from './algorithm-inputs.ts';
import { sorting, sortingRecipe } from './recipes/sorting.ts';
import { scoreTables, sortedList, tableShares } from './recipes/sorting-tables.ts';
import { sortingAlignment, sortingProgram, TRAINED_SORTING_SEEDS, trainedSorting } from './trained-sorting.ts';

const { executor } = await chooseExecutor();
const LISTS = 500;
const { length, equals, bos, values } = sorting;

/** What the model says and where it looks on lists of a stream of their own: at each number of the answer. */
async function lookedAt(engine: Engine) {
  const rng = new Rng(3, 'trained-sorting.test');
  const lists = Array.from({ length: LISTS }, () => sortedList(rng, sorting));
  const readouts = ['logits', 'blocks.0.attn.hook_pattern'].map((site) => ({
    kind: 'capture' as const,
    at: { site },
  }));
  const run = await runPlan(engine, makePlan(engine.graph, { readouts }), {
    tokens: lists.map(({ prompt }) => [...prompt]),
  });
  const [logits, pattern] = [readoutTensor(run, 0).data, readoutTensor(run, 1).data];
  const { pos } = run;
  const vocab = values + 2;
  const found = { right: 0, listsRight: 0, onNext: 0, mostOnNext: 0, onGiven: 0 };
  for (const [example, { prompt, answer }] of lists.entries()) {
    let right = 0;
    for (const [place, next] of answer.entries()) {
      const query = example * pos + length + 1 + place;
      const row = [...logits.subarray(query * vocab, (query + 1) * vocab)];
      if (row.indexOf(Math.max(...row)) === next) right++;
      const attention = [...pattern.subarray(query * pos, (query + 1) * pos)];
      const key = prompt.indexOf(next);
      found.onNext += attention[key] ?? 0;
      if (attention.indexOf(Math.max(...attention)) === key) found.mostOnNext++;
      prompt.slice(1, length + 1).forEach((value, at) => {
        if (value < next) found.onGiven += attention[at + 1] ?? 0;
      });
    }
    found.right += right;
    if (right === length) found.listsRight++;
  }
  const count = LISTS * length;
  return {
    right: found.right / count,
    listsRight: found.listsRight / LISTS,
    onNext: found.onNext / count,
    mostOnNext: found.mostOnNext / count,
    onGiven: found.onGiven / count,
  };
}

for (const seed of TRAINED_SORTING_SEEDS) {
  describe(`the model that learnt to sort, seed ${seed}`, () => {
    const member = trainedSorting(seed);
    const model = member.model();
    const engine = engineFor(model, executor);

    test('sorts 99 % of new lists without a mistake; looks most at the next larger number, hardly at numbers it said', async () => {
      const found = await lookedAt(engine);
      expect(found.right).toBeGreaterThan(0.999);
      expect(found.listsRight).toBeGreaterThan(0.99);
      expect(found.onNext).toBeGreaterThan(0.55);
      expect(found.mostOnNext).toBeGreaterThan(0.85);
      expect(found.onGiven).toBeLessThan(0.06);
    });

    test('has scores in the order of the numbers and copies every number', () => {
      const names = ['embed.W_E', 'unembed.W_U', ...['Q', 'K', 'V', 'O'].map((port) => `blocks.0.attn.W_${port}`)];
      const weights = new Map(names.map((name) => [name, readWeight(engine.weights, name)]));
      const { order, copied } = tableShares(scoreTables(weights, sorting), sorting);
      expect(order).toBeGreaterThan(0.93);
      expect(copied).toBe(1);
    });
  });
}

describe('seed 0', () => {
  const member = trainedSorting(0);
  const engine = engineFor(member.model(), executor);

  test('carries what was given in the query and the next number in the head: exchanged between lists, the answer goes along', async () => {
    const question = {
      program: sortingProgram,
      alignment: sortingAlignment,
      inputs: algorithmInputs(member, { seed: 4, examples: 64 }),
      seed: 2,
    };
    for (const { variables, untouched, score, nulls } of await interchangeAccuracy(engine, {
      ...question,
      pairs: 48,
    })) {
      const name = variables.join();
      expect(untouched?.value, name).toBe(1);
      expect(score.changing?.value, name).toBeGreaterThan(0.9);
      expect(score.unchanging?.value, name).toBe(1);
      for (const { changing, predicted, label } of nulls) {
        if (predicted && predicted[1] < 0.5) expect(changing?.value, label).toBeLessThan(0.25);
      }
    }
    const { recovered, nulls } = await scrubAlgorithm(engine, { ...question, examples: 48, nulls: 1 });
    expect(recovered?.value).toBeGreaterThan(0.9);
    for (const { recovered: left, label } of nulls) expect(left?.value, label).toBeLessThan(0.2);
  });

  test('guesses without queries or keys; without what the head writes it knows no list', async () => {
    const data = taskData(member.task({ seed: 9, examples: 64 }));
    const labels = ['input→0.0.Q', 'input→0.0.K', 'input→0.0.V', '0.0→logits', 'input→logits'];
    const runs = await sourceRuns(engine, data, 'zero');
    const variants = labels.map((label) => cutEdges([parseEdgeLabel(label)], 'zero'));
    const found = await measure(engine, data, 'accuracy', [[], ...variants], { runs });
    expect(meanValue(found, 0)).toBe(1);
    const left = labels.map((_, at) => meanValue(found, at + 1));
    // Any number that was not said yet: (1 + 1/2 + … + 1/8)/8 = 0.34 of the answers.
    for (const [at, share] of left.slice(0, 4).entries()) expect(share, labels[at]).toBeLessThan(0.34);
    expect(left[4]).toBe(1);
  });
});

describe('the program of sorting', () => {
  const prompt = [bos, 9, 4, 31, 0, 7, 12, 2, 20, equals, 0, 2];

  test('says the smallest number of the list that is larger than the last one, and follows what it is told', () => {
    expect(sortingProgram.evaluate(prompt).next?.slice(length + 1)).toEqual([0, 2, 4]);
    const told = sortingProgram.evaluate(prompt, { given: [...new Array<undefined>(11).fill(undefined), 12] });
    expect(told.next?.slice(length + 1)).toEqual([0, 2, 20]);
    expect(sortingProgram.evaluate([...prompt.slice(0, -1), 31]).next?.at(-1)).toBe(null);
  });

  test('refuses a prompt that has no = in its place', () => {
    expect(() => sortingProgram.evaluate([bos, 1, 2, equals])).toThrow(expect.objectContaining({ code: 'bad_prompt' }));
  });
});

test('tables of a head that was written down: a staircase of scores is in order, a shuffled one is not', () => {
  const scores = new Float64Array(3 * 2);
  const copies = Float64Array.of(1, 0, 0, 1);
  // Of 0 and 1: `=` (last row) looks at 0 first; 0 looks at 1 and not at itself.
  scores.set([-1, 2, -1, -1, 2, 1]);
  expect(tableShares({ scores, copies }, { values: 2 })).toEqual({ order: 1, copied: 1 });
  scores.set([2, -1, -1, -1, 1, 2]);
  expect(tableShares({ scores, copies: copies.toReversed() }, { values: 2 })).toEqual({ order: 0, copied: 1 });
});

test('a short training gives the same bytes with one thread and with two', async () => {
  const [one, two] = await Promise.all(
    [1, 2].map((threads) => train(sortingRecipe, { executor, seed: 5, steps: 6, threads })),
  );
  expect(one?.log).toEqual(two?.log);
  for (const [name, { data }] of one?.weights ?? []) expect(two?.weights.get(name)?.data, name).toEqual(data);
});

import { describe, expect, test } from 'vitest';
import { inductionModel } from '../features/hand-written.fixture.ts';
import { meanValue, measure } from './measure.ts';
import { randomAttentionOnly, randomData, randomGroupedLlama } from './random-model.fixture.ts';
import { repeatedRandomTask } from './repeated-random-task.ts';
import { saliencyContrast } from './saliency.ts';
import { taskData } from './task-data.ts';
import { diagonal, tinyModel } from './tiny-model.fixture.ts';

describe('integrated gradients', () => {
  test('add up to the difference from the baseline with an error that twice the steps divide by four', async () => {
    for (const { engine } of [randomAttentionOnly('LN', 2), randomGroupedLlama(3)]) {
      for (const baseline of ['mean', 'resample'] as const) {
        const gaps: number[] = [];
        for (const steps of [32, 64, 128]) {
          const found = await saliencyContrast(engine, randomData(3), { metric: 'logit_diff', baseline, steps });
          gaps.push(found.completenessGap);
        }
        const [coarse = 1, middle = 1, fine = 1] = gaps;
        expect(fine).toBeLessThan(1e-3);
        for (const ratio of [coarse / middle, middle / fine]) expect(Math.abs(ratio - 4)).toBeLessThan(0.2);
      }
    }
  });

  test('from nothing at all fail where a norm divides by the size of the stream, and the gap tells', async () => {
    // Rotary positions add nothing to the stream, so with zero embeddings it is zero and its norm divides by √eps.
    const options = { metric: 'logit_diff', baseline: 'zero', steps: 32 } as const;
    const { completenessGap } = await saliencyContrast(randomGroupedLlama(3).engine, randomData(3), options);
    expect(completenessGap).toBeGreaterThan(1e3);
  });

  test('of the loss add up too', async () => {
    const { engine } = randomAttentionOnly('LN', 2);
    const { task } = randomData(3);
    const data = taskData({ ...task, metric: { kind: 'loss', at: { kind: 'positions', positions: [3] } } });
    const { completenessGap, whole, empty } = await saliencyContrast(engine, data, {
      metric: 'loss',
      baseline: 'resample',
      steps: 100,
    });
    expect(completenessGap).toBeLessThan(0.01);
    expect(Math.abs((whole[0] ?? 0) - (empty[0] ?? 0))).toBeGreaterThan(0.01);
  });
});

describe('the columns', () => {
  test('of a linear model are all the same', async () => {
    // Attends evenly and copies: the logits are linear in the embeddings.
    const vocab = 5;
    const { engine } = tinyModel({
      vocab,
      context: 6,
      width: 2 * vocab,
      headWidth: vocab,
      embed: diagonal(vocab, 1),
      unembed: [...diagonal(vocab, 1, vocab), ...diagonal(vocab, 0.5)],
      layers: [[{ v: diagonal(vocab, 1), o: diagonal(vocab, 2, 0, vocab) }]],
    });
    const examples = [
      { clean: [1, 2, 1], corrupt: [2, 3, 2], answer: 1, wrongAnswer: 2 },
      { clean: [3, 4, 0], corrupt: [1, 1, 1], answer: 3, wrongAnswer: 1 },
    ];
    const data = taskData({ kind: 'task', version: 1, name: 't', metric: { kind: 'logit_diff' }, examples });
    for (const baseline of ['zero', 'mean', 'resample'] as const) {
      const found = await saliencyContrast(engine, data, { metric: 'logit_diff', baseline, steps: 3 });
      found.patchEffect.forEach((effect, at) => {
        expect(found.gradientTimesInput[at]).toBeCloseTo(effect, 12);
        expect(found.integratedGradients[at]).toBeCloseTo(effect, 12);
      });
      expect(found.completenessGap).toBeLessThan(1e-12);
      expect(found.report.gradientTimesInput.rank).toBeCloseTo(1, 12);
    }
  });

  test('hold the metric of the prompt and of the baseline everywhere', async () => {
    const { engine } = randomAttentionOnly('LN');
    const data = randomData(4);
    const { whole, empty, patchEffect } = await saliencyContrast(engine, data, {
      metric: 'logit_diff',
      baseline: 'resample',
      steps: 2,
    });
    const mean = (values: Float64Array): number => values.reduce((a, b) => a + b, 0) / 4;
    expect(mean(whole)).toBeCloseTo(meanValue(await measure(engine, data, 'logit_diff', [[]]), 0), 12);
    const corrupt = await measure(engine, { ...data, clean: data.corrupt }, 'logit_diff', [[]]);
    expect(mean(empty)).toBeCloseTo(meanValue(corrupt, 0), 12);
    // One token changed by hand.
    const tokens = data.clean.tokens.map((row, at) =>
      row.map((id, place) => (place === 2 ? (data.corrupt.tokens[at]?.[2] ?? 0) : id)),
    );
    const changed = await measure(engine, { ...data, clean: { tokens } }, 'logit_diff', [[]]);
    const effects = Array.from({ length: 4 }, (_, example) => patchEffect[example * 6 + 2] ?? 0);
    expect(mean(whole) - effects.reduce((a, b) => a + b, 0) / 4).toBeCloseTo(meanValue(changed, 0), 12);
  });

  test('are 0 where a prompt is padded', async () => {
    const { engine } = randomAttentionOnly('LN');
    const { task } = randomData(3);
    const examples = task.examples.map((example, at) =>
      at === 1 ? { ...example, clean: example.clean.slice(0, 4), corrupt: example.corrupt.slice(0, 4) } : example,
    );
    const found = await saliencyContrast(engine, taskData({ ...task, examples }), {
      metric: 'logit_diff',
      baseline: 'resample',
      steps: 4,
    });
    expect(found.lengths).toEqual([6, 4, 6]);
    for (const table of [found.gradientTimesInput, found.integratedGradients, found.patchEffect]) {
      expect([...table.subarray(10, 12)]).toEqual([0, 0]);
      // Before that, 0 exactly where the two prompts have the same token.
      for (let place = 0; place < 4; place++)
        expect(table[6 + place] === 0).toBe(examples[1]?.clean[place] === examples[1]?.corrupt[place]);
    }
    expect(found.report.gradientTimesInput.byPosition.map(({ examples: count }) => count)).toEqual([3, 3, 3, 3, 2, 2]);
  });
});

describe('where attention is saturated', () => {
  const half = 4;
  const { engine } = inductionModel(16, 10);
  const data = taskData(repeatedRandomTask({ name: 'induction', vocab: 16, bos: 0, half, seed: 1, examples: 12 }));

  test('the gradient misses the token by which the answer is found, and the exact effect does not', async () => {
    const { gradientTimesInput, patchEffect, positions, report } = await saliencyContrast(engine, data, {
      metric: 'logit_diff',
      baseline: 'resample',
      steps: 20,
    });
    data.end.forEach((end, example) => {
      // The answer follows the earlier copy of the last token.
      const [key, value] = [end - half, end - half + 1];
      const at = (table: Float64Array, place: number): number => table[example * positions + place] ?? Number.NaN;
      expect(at(patchEffect, key)).toBeGreaterThan(3);
      expect(Math.abs(at(gradientTimesInput, key))).toBeLessThan(1e-9);
      // The value is carried along a straight path, where both agree that it matters.
      expect(at(patchEffect, value)).toBeGreaterThan(3);
      expect(at(gradientTimesInput, value)).toBeGreaterThan(3);
    });
    const missed = report.gradientTimesInput.byPosition.reduce((sum, place) => sum + place.missed, 0);
    expect(missed).toBeGreaterThanOrEqual(data.examples);
  });

  test('integrated gradients give that token the wrong sign, though they rank positions as the effects do', async () => {
    const { integratedGradients, patchEffect, positions, report, completenessGap } = await saliencyContrast(
      engine,
      data,
      {
        metric: 'logit_diff',
        baseline: 'resample',
        steps: 200,
      },
    );
    // On the way from the corrupt prompt the match is sharp long before the answer is there: what is then found, and
    // counted against the token that made it match, is mostly the wrong answer.
    expect(completenessGap).toBeLessThan(1e-3);
    data.end.forEach((end, example) => {
      const at = example * positions + end - half;
      expect(patchEffect[at]).toBeGreaterThan(3);
      expect(integratedGradients[at]).toBeLessThan(-0.5);
    });
    expect(report.integratedGradients.rank).toBeGreaterThan(0.9);
  });
});

describe('two tokens that stand in for each other', () => {
  // One head attends to every copy of token 1, from anywhere, and copies what it finds.
  const vocab = 4;
  const { engine } = tinyModel({
    vocab,
    context: 4,
    width: 2 * vocab,
    headWidth: vocab,
    embed: diagonal(vocab, 1),
    unembed: diagonal(vocab, 1, vocab),
    layers: [
      [
        {
          q: [0, 1, 2, 3].map((token) => [token, 0, 1] as const),
          k: [[1, 0, 40]],
          v: diagonal(vocab, 1),
          o: diagonal(vocab, 1, 0, vocab),
        },
      ],
    ],
  });
  const examples = [
    { clean: [1, 1, 3], corrupt: [2, 2, 3], answer: 1, wrongAnswer: 2 },
    { clean: [1, 1, 0], corrupt: [3, 3, 0], answer: 1, wrongAnswer: 3 },
  ];
  const data = taskData({ kind: 'task', version: 1, name: 't', metric: { kind: 'logit_diff' }, examples });

  test('have no exact effect one by one, and gradients that say each does half', async () => {
    const options = { metric: 'logit_diff', baseline: 'resample', steps: 400 } as const;
    const found = await saliencyContrast(engine, data, options);
    for (const example of [0, 1]) {
      for (const place of [0, 1]) {
        const at = example * 3 + place;
        expect(Math.abs(found.patchEffect[at] ?? 1)).toBeLessThan(1e-12);
        // Half the attention on a change of the logit difference from −1 to 1.
        expect(found.gradientTimesInput[at]).toBeCloseTo(1, 12);
        expect(found.integratedGradients[at]).toBeCloseTo(5 / 6, 2);
      }
      // Together they take it from 1 to −2/3: an even look at two wrong tokens among three.
      expect((found.whole[example] ?? 0) - (found.empty[example] ?? 0)).toBeCloseTo(5 / 3, 12);
    }
    const [first, second, last] = found.report.gradientTimesInput.byPosition;
    for (const place of [first, second])
      expect(place).toMatchObject({ imagined: 2, missed: 0, signDisagreement: null });
    expect(last).toMatchObject({ imagined: 0, missed: 0 });
  });
});

test('fewer than one step is refused', async () => {
  const { engine } = randomAttentionOnly(null);
  const options = { metric: 'logit_diff', baseline: 'zero', steps: 0 } as const;
  await expect(saliencyContrast(engine, randomData(), options)).rejects.toMatchObject({ code: 'bad_steps' });
});

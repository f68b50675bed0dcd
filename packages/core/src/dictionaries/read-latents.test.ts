import { describe, expect, test } from 'vitest';
import { engineFor } from '../architectures/index.ts';
import { randomTensor, randomTokens, smallModels } from '../plan/fixtures/small-models.ts';
import { captured, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import { memoryDictionary } from './memory-dictionary.ts';
import { ablateLatent, fractionUnexplained, readLatents } from './read-latents.ts';
import { spliceDictionary } from './splice-dictionary.ts';

const model = smallModels.gpt2();
const { width } = model.spec;
const site = 'blocks.0.hook_resid_post';
const tokens = randomTokens(4, 2, 5);

// Latent 2i reads and writes +x[i], latent 2i + 1 reads and writes −x[i]: every x is reconstructed to the bit.
const signs = memoryDictionary(
  'signs',
  { dIn: width, latents: 2 * width, encoder: { kind: 'relu' }, reads: site },
  {
    W_enc: entries(width, 2 * width, (i, j) => (j >> 1 === i ? 1 - 2 * (j % 2) : 0)),
    W_dec: entries(2 * width, width, (j, i) => (j >> 1 === i ? 1 - 2 * (j % 2) : 0)),
    b_enc: entries(1, 2 * width, () => 0, [2 * width]),
    b_dec: entries(1, width, () => 0, [width]),
  },
);
const engine = engineFor(spliceDictionary(model, { dictionary: signs, error: 'keep' }), referenceExecutor());

function entries(rows: number, columns: number, at: (row: number, column: number) => number, shape = [rows, columns]) {
  const data = Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns));
  return { shape, data };
}

describe('readLatents', () => {
  test('signs of a stream: one latent a coordinate is active, the largest first, and nothing is missed', async () => {
    const plan = makePlan(engine.graph, { readouts: [{ kind: 'capture', at: { site } }] });
    const x = captured(await runPlan(engine, plan, { tokens }), site);
    const reading = await readLatents(engine, { tokens }, { at: site, top: 3 });
    expect(reading).toMatchObject({ l0: width, unexplained: 0 });
    expect(reading.positions.map(({ example, position }) => [example, position])).toEqual(
      tokens.flatMap((row, example) => row.map((_, position) => [example, position])),
    );
    reading.positions.forEach(({ top }, row) => {
      const values = Array.from(x.data.slice(row * width, (row + 1) * width));
      const largest = [...values.keys()].sort((a, b) => Math.abs(values[b]!) - Math.abs(values[a]!)).slice(0, 3);
      expect(top).toEqual(
        largest.map((i) => ({ latent: 2 * i + (values[i]! < 0 ? 1 : 0), value: Math.abs(values[i]!) })),
      );
    });
  });
});

describe('fractionUnexplained', () => {
  const rows = (...data: number[]) => ({ shape: [1, 3, 2], data: Float64Array.from(data) });
  test('is 0 for x itself, 1 for its mean, and by hand between', () => {
    const x = rows(1, 0, 2, 0, 3, 6);
    expect(fractionUnexplained(x, x)).toBe(0);
    expect(fractionUnexplained(x, rows(2, 2, 2, 2, 2, 2))).toBe(1);
    // Around the mean (2, 2): 1 + 4, 4, 1 + 16. Missed: 1 + 0, 0 + 4, 0.
    expect(fractionUnexplained(x, rows(2, 0, 2, 2, 3, 6))).toBeCloseTo(5 / 26, 12);
    expect(fractionUnexplained(rows(1, 2, 1, 2, 1, 2), x)).toBeNull();
  });
});

describe('ablateLatent', () => {
  test('compares the logit of the most likely token, or of a given one, before and after', async () => {
    const dictionary = memoryDictionary(
      'random',
      { dIn: width, latents: 9, encoder: { kind: 'relu' } },
      {
        W_enc: randomTensor(1, [width, 9]),
        W_dec: randomTensor(2, [9, width]),
        b_enc: randomTensor(3, [9]),
        b_dec: randomTensor(4, [width]),
      },
    );
    const spliced = spliceDictionary(model, { dictionary, at: site, error: 'keep' });
    const random = engineFor(spliced, referenceExecutor());
    const readouts = [{ kind: 'capture', at: { site: 'logits' } }] as const;
    const clean = captured(
      await runPlan(random, makePlan(spliced.graph, { readouts: [...readouts] }), { tokens }),
      'logits',
    );
    const { examples } = await ablateLatent(random, { tokens }, { at: site, latent: 4 });
    for (const [example, { answer, before, after }] of examples.entries()) {
      const last = clean.data.slice((example * 5 + 4) * 37, (example * 5 + 5) * 37);
      expect(before).toBe(Math.max(...last));
      expect(last[answer]).toBe(before);
      expect(after).not.toBe(before);
    }
    const given = await ablateLatent(random, { tokens }, { at: site, latent: 4, answer: 11 });
    expect(given.examples.map(({ answer, before }) => [answer, before])).toEqual(
      [0, 1].map((example) => [11, clean.data[(example * 5 + 4) * 37 + 11]]),
    );
    await expect(ablateLatent(random, { tokens }, { at: site, latent: 9 })).rejects.toMatchObject({
      code: 'out_of_range',
    });
    await expect(ablateLatent(random, { tokens }, { at: site, latent: 1, answer: 37 })).rejects.toMatchObject({
      code: 'out_of_range',
    });
  });
});

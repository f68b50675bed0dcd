import { describe, expect, test } from 'vitest';
import { type Graph, GraphBuilder } from '../graph/index.ts';
import { Rng, type Tensor, tensor } from '../tensor/index.ts';
import { imagePrompt } from './bind.ts';
import { chooseExecutor } from './choose-executor.ts';
import type { Executor } from './executor.ts';
import { referenceExecutor } from './reference-executor.ts';
import { captured, readoutTensor } from './run.ts';
import { makePlan, runPlan } from './run-plan.ts';
import { mutableWeight } from './weights.ts';

// Plans on a net that looks at images: channels are the units of a scope, classes have no positions.

const still = { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };

function net(): Graph {
  const builder = new GraphBuilder();
  const images = builder.input('images', { shape: ['batch', 2, 6, 6], dtype: 'f32' });
  builder.name(images, 'images');
  const conv = builder.add('conv2d', [images], {
    params: [builder.param('W', [3, 2, 3, 3]), builder.param('b', [3])],
    attrs: { out: 3, window: [3, 3], ...still },
    sites: ['conv'],
  });
  const relu = builder.add('activation', [conv], { attrs: { fn: 'relu' }, sites: ['relu'] });
  const whole = { window: [6, 6], stride: [6, 6], padding: [0, 0], ceil: false, countPadding: false };
  const mean = builder.add('avg_pool2d', [relu], { attrs: whole, sites: ['mean'] });
  const logits = builder.add('linear', [mean], {
    params: [builder.param('U', [3, 4]), null],
    attrs: { out: [4], leading: 1 },
    sites: ['logits'],
  });
  return builder.build(logits);
}

const graph = net();
const rng = new Rng(3, 'images.test');
const random = (shape: readonly number[]): Tensor =>
  tensor(
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
  );
const weights = new Map(graph.params.map(({ name, shape }) => [name, mutableWeight(name, shape, random(shape).data)]));
const prompt = imagePrompt(random([5, 2, 6, 6]), [0, 3, 2, 1, 1]);

const executors: [string, Executor][] = [
  ['reference', referenceExecutor()],
  ['chosen', (await chooseExecutor()).executor],
];

describe.each(executors)('%s', (_, executor) => {
  const engine = { graph, weights, executor };

  test('a channel that is set to zero takes its share of the logits with it, each variant its own', async () => {
    const logits = { kind: 'capture', at: { site: 'logits' } } as const;
    const mean = { kind: 'capture', at: { site: 'mean' } } as const;
    const plain = await runPlan(engine, makePlan(graph, { readouts: [logits, mean] }), prompt);
    const sweep = [0, 1, 2].map((channel) => [
      {
        kind: 'write' as const,
        op: 'set' as const,
        at: { site: 'relu', unit: [channel] },
        value: { kind: 'const' as const, value: 0 },
      },
    ]);
    const cut = await runPlan(engine, makePlan(graph, { readouts: [logits], sweep }), prompt);
    const [before, after] = [captured(plain, 'logits').data, captured(cut, 'logits').data];
    const means = captured(plain, 'mean').data;
    const U = weights.get('U')?.data ?? [];
    for (let channel = 0; channel < 3; channel++) {
      for (let at = 0; at < 20; at++) {
        const share = (means[Math.floor(at / 4) * 3 + channel] ?? 0) * (U[channel * 4 + (at % 4)] ?? 0);
        expect((before[at] ?? 0) - (after[channel * 20 + at] ?? 0)).toBeCloseTo(share, 4);
      }
    }
  });

  test('captures, gradients and logit differences take channels and classes', async () => {
    const of = [{ kind: 'logitDiff', at: { kind: 'last' }, answer: [1], wrong: [2], reduce: 'sum' }] as const;
    const plan = makePlan(graph, {
      readouts: [
        { kind: 'capture', at: { site: 'relu' } },
        { kind: 'capture', at: { site: 'relu', unit: [2] } },
        { kind: 'logitDiff', at: { kind: 'last' }, answer: [1], wrong: [2] },
        { kind: 'capture', at: { site: 'logits' } },
        { kind: 'topK', at: { kind: 'last' }, k: 1 },
        { kind: 'gradient', of: [...of], wrt: { kind: 'site', at: { site: 'mean' } } },
        { kind: 'loss' },
      ],
    });
    const run = await runPlan(engine, plan, prompt);
    const [all, one, difference, logits, best, gradient, loss] = run.results.map((_, at) => readoutTensor(run, at));
    if (!all || !one || !difference || !logits || !best || !gradient || !loss) throw new Error('seven readouts');
    expect(one.shape).toEqual([5, 1, 6, 6]);
    for (let example = 0; example < 5; example++) {
      const from = (example * 3 + 2) * 36;
      expect(one.data.slice(example * 36, (example + 1) * 36)).toEqual(all.data.slice(from, from + 36));
      const row = Array.from(logits.data.slice(example * 4, example * 4 + 4));
      expect(difference.data[example]).toBeCloseTo((row[1] ?? 0) - (row[2] ?? 0), 5);
      expect(best.data[example]).toBe(Math.max(...row));
      const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
      expect(loss.data[example]).toBeCloseTo(Math.log(total) - (row[prompt.labels?.[example] ?? -1] ?? Number.NaN), 4);
      const U = weights.get('U')?.data ?? [];
      for (let channel = 0; channel < 3; channel++) {
        const slope = (U[channel * 4 + 1] ?? 0) - (U[channel * 4 + 2] ?? 0);
        expect(gradient.data[example * 3 + channel]).toBeCloseTo(slope, 5);
      }
    }
  });
});

describe('what does not fit is refused before anything runs', () => {
  const engine = { graph, weights, executor: referenceExecutor() };
  const loss = makePlan(graph, { readouts: [{ kind: 'loss' }] });

  test.each([
    ['images of another size', imagePrompt(random([2, 2, 5, 6])), 'bad_prompt'],
    ['no images', { tokens: [[0]] }, 'bad_prompt'],
    ['too few labels', imagePrompt(random([2, 2, 6, 6]), [1]), 'bad_prompt'],
    ['no labels for a loss', imagePrompt(random([2, 2, 6, 6])), 'bad_prompt'],
    ['a class that is not there', imagePrompt(random([1, 2, 6, 6]), [4]), 'out_of_range'],
  ])('%s', async (_, given, code) => {
    await expect(runPlan(engine, loss, given)).rejects.toMatchObject({ code });
  });

  test('a position or a head in an image, and a channel that is not there', async () => {
    const at = (scope: object) =>
      runPlan(engine, makePlan(graph, { readouts: [{ kind: 'capture', at: { site: 'relu', ...scope } }] }), prompt);
    await expect(at({ at: { kind: 'positions', positions: [0] } })).rejects.toMatchObject({ code: 'bad_scope' });
    await expect(at({ head: [0] })).rejects.toMatchObject({ code: 'bad_scope' });
    await expect(at({ unit: [3] })).rejects.toThrow('has 3 channels; there is no channel 3');
  });
});

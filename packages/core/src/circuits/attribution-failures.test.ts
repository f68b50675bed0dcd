import { edgeLabel, parseEdgeLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { inductionModel } from '../features/hand-written.fixture.ts';
import { decompose, edgesOf } from '../graph/index.ts';
import { attributionOfUnits } from './attribution-patching.ts';
import { eapScores } from './eap.ts';
import { type EdgeScores, exactPatchScores, unitEffects } from './edge-scores.ts';
import { cutEdges, meanValue, measure } from './measure.ts';
import { randomAttentionOnly, randomData } from './random-model.fixture.ts';
import { repeatedRandomTask } from './repeated-random-task.ts';
import { type TaskData, taskData } from './task-data.ts';
import { diagonal, tinyModel } from './tiny-model.fixture.ts';

// Where first-order scores are known to be wrong, on models of which the right answer is known.

const about = { ablation: 'resample', metric: 'logit_diff' } as const;

function scoreOf({ edges, scores }: EdgeScores, label: string): number {
  return scores[edges.findIndex((edge) => edgeLabel(edge) === label)] ?? Number.NaN;
}

describe('saturated attention', () => {
  const { engine } = inductionModel(16, 10);
  const data = taskData(repeatedRandomTask({ name: 'induction', vocab: 16, bos: 0, half: 4, seed: 1, examples: 12 }));
  const edges = edgesOf(decompose(engine.graph));
  const matching = ['input→0.0.V', 'input→1.0.Q', '0.0→1.0.K'];

  test('EAP gives nothing to the edges into the match, of which each alone takes the whole behaviour', async () => {
    const exact = await exactPatchScores(engine, data, edges, about);
    const eap = await eapScores(engine, data, edges, about);
    for (const label of matching) {
      expect(scoreOf(exact, label)).toBeGreaterThan(4);
      expect(Math.abs(scoreOf(eap, label))).toBeLessThan(1e-9);
    }
    // What is linear in the logits it gets right.
    for (const label of ['1.0→logits', 'input→1.0.V'])
      expect(scoreOf(eap, label)).toBeCloseTo(scoreOf(exact, label), 8);
  });

  test('EAP-IG finds these edges under resampling, with the wrong sign, however many steps', async () => {
    for (const steps of [5, 60]) {
      for (const sum of ['paper', 'code'] as const) {
        const scores = await eapScores(engine, data, edges, { ...about, integrate: { steps, sum } });
        for (const label of matching) expect(scoreOf(scores, label)).toBeLessThan(-1);
        expect(scoreOf(scores, 'input→1.0.V')).toBeGreaterThan(7);
      }
    }
  });

  test('EAP-IG finds them under zero ablation with the right sign and a tenth of their size', async () => {
    const zero = { ...about, ablation: 'zero' } as const;
    const exact = await exactPatchScores(engine, data, edges, zero);
    const scores = await eapScores(engine, data, edges, { ...zero, integrate: { steps: 60, sum: 'paper' } });
    for (const label of matching) {
      expect(scoreOf(scores, label)).toBeGreaterThan(0.3);
      expect(scoreOf(scores, label)).toBeLessThan(0.15 * scoreOf(exact, label));
    }
  });
});

/** Names the token that stands most often; what differs between models is who says so. */
function countingTask(): TaskData {
  const examples = [1, 2, 3].map((answer) => {
    const other = (answer % 3) + 1;
    return { clean: [answer, other, answer], corrupt: [other, answer, other], answer, wrongAnswer: other };
  });
  return taskData({ kind: 'task', version: 1, name: 'counting', metric: { kind: 'logit_diff' }, examples });
}

describe('a head that takes back what another wrote', () => {
  // 0.0 writes what the metric reads; 1.0 attends evenly, reads that and writes it again with the sign turned. On prompts
  // where every place holds the same, it takes back all of it.
  const vocab = 4;
  const { engine } = tinyModel({
    vocab,
    context: 3,
    width: 2 * vocab,
    headWidth: vocab,
    embed: diagonal(vocab, 1),
    unembed: diagonal(vocab, 1, vocab),
    layers: [
      [{ v: diagonal(vocab, 1), o: diagonal(vocab, 1, 0, vocab) }],
      [{ v: diagonal(vocab, 1, vocab), o: diagonal(vocab, -1, 0, vocab) }],
    ],
  });
  const examples = [1, 2, 3].map((answer) => {
    const other = (answer % 3) + 1;
    return { clean: [answer, answer, answer], corrupt: [other, other, other], answer, wrongAnswer: other };
  });
  const data = taskData({ kind: 'task', version: 1, name: 'cancel', metric: { kind: 'logit_diff' }, examples });
  const edges = edgesOf(decompose(engine.graph));

  test('has effects that cancel at the unit, for attribution as for exact patching; the edges show both', async () => {
    const { units } = await attributionOfUnits(engine, data, edges, about);
    const exact = await unitEffects(engine, data, edges, about);
    expect(units.get('0.0')).toBeCloseTo(0, 10);
    expect(exact.get('0.0')).toBeCloseTo(0, 10);
    const eap = await eapScores(engine, data, edges, about);
    expect(scoreOf(eap, '0.0→logits')).toBeCloseTo(2, 10);
    expect(scoreOf(eap, '0.0→1.0.V')).toBeCloseTo(-2, 10);
    expect(scoreOf(eap, '1.0→logits')).toBeCloseTo(-2, 10);
  });
});

describe('a backup', () => {
  // Two heads write the key that 1.0 looks for, and its match is sharp: either alone is enough.
  const vocab = 16;
  const known = inductionModel(vocab, 10);
  const data = taskData(repeatedRandomTask({ name: 'induction', vocab, bos: 0, half: 4, seed: 1, examples: 12 }));
  const { engine } = twice(known.engine);

  test('hides both edges from exact patching one by one and from EAP; EAP-IG from nothing sees them', async () => {
    const edges = edgesOf(decompose(engine.graph));
    const zero = { ...about, ablation: 'zero' } as const;
    const pair = ['0.0→1.0.K', '0.1→1.0.K'];
    const both = await measure(engine, data, 'logit_diff', [[], cutEdges(pair.map(parseEdgeLabel), 'zero')]);
    expect(meanValue(both, 0) - meanValue(both, 1)).toBeGreaterThan(4);
    const exact = await exactPatchScores(engine, data, edges, zero);
    const eap = await eapScores(engine, data, edges, zero);
    const integrated = await eapScores(engine, data, edges, { ...zero, integrate: { steps: 30, sum: 'paper' } });
    for (const label of pair) {
      expect(Math.abs(scoreOf(exact, label))).toBeLessThan(1e-6);
      expect(Math.abs(scoreOf(eap, label))).toBeLessThan(1e-6);
      // The way from nothing passes where the match is not yet sharp, so this one sees both heads, at a small size.
      expect(scoreOf(integrated, label)).toBeGreaterThan(0.05);
    }
  });
});

/** The induction model whose idle head 0.1 does what 0.0 does. */
function twice({ graph, weights, executor }: ReturnType<typeof inductionModel>['engine']) {
  const copied = new Map(weights);
  for (const port of ['Q', 'K', 'V', 'O']) {
    const name = `blocks.0.attn.W_${port}`;
    const weight = weights.get(name);
    if (!weight) throw new Error(`no ${name}`);
    const data = weight.read().slice();
    const [rows = 0, columns = 0] = weight.shape;
    const [half, inRows] = port === 'O' ? [rows / 2, true] : [columns / 2, false];
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const from = inRows ? (row % half) * columns + column : row * columns + (column % half);
        data[row * columns + column] = weight.read()[from] ?? 0;
      }
    copied.set(name, { name, shape: weight.shape, read: () => data });
  }
  return { engine: { graph, weights: copied, executor } };
}

test('in a model without attention to shift, EAP is exact', async () => {
  const vocab = 4;
  const copy = { v: diagonal(vocab, 1), o: diagonal(vocab, 1, 0, vocab) };
  const { engine } = tinyModel({
    vocab,
    context: 4,
    width: 2 * vocab,
    headWidth: vocab,
    embed: diagonal(vocab, 1),
    unembed: diagonal(vocab, 1, vocab),
    layers: [[copy, copy]],
  });
  const data = countingTask();
  const edges = edgesOf(decompose(engine.graph));
  const exact = await exactPatchScores(engine, data, edges, about);
  for (const integrate of [undefined, { steps: 3, sum: 'paper' as const }]) {
    const scores = await eapScores(engine, data, edges, { ...about, ...(integrate ? { integrate } : {}) });
    edges.forEach((_, at) => {
      expect(scores.scores[at]).toBeCloseTo(exact.scores[at] ?? Number.NaN, 10);
    });
  }
});

test('accuracy has no gradient, and steps are counted', async () => {
  const { engine } = randomAttentionOnly('LN');
  const edges = edgesOf(decompose(engine.graph));
  await expect(eapScores(engine, randomData(), edges, { ...about, metric: 'accuracy' })).rejects.toMatchObject({
    code: 'no_gradient',
  });
  const integrate = { steps: 0, sum: 'paper' } as const;
  await expect(eapScores(engine, randomData(), edges, { ...about, integrate })).rejects.toMatchObject({
    code: 'bad_steps',
  });
});

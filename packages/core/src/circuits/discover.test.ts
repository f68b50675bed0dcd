import { edgeLabel, parseEdgeLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { inductionModel } from '../features/hand-written.fixture.ts';
import { decompose, type Edge, edgesOf } from '../graph/index.ts';
import { Rng } from '../tensor/index.ts';
import { complement, connected, type DiscoverOptions, discoverCircuit } from './discover.ts';
import { cutEdges, meanValue, measure, sourceRuns } from './measure.ts';
import { headCounts } from './query-heads.ts';
import { randomAttentionOnly, randomData, randomGroupedLlama } from './random-model.fixture.ts';
import { repeatedRandomTask } from './repeated-random-task.ts';
import { taskData } from './task-data.ts';

const labels = (edges: readonly Edge[]): string[] => edges.map(edgeLabel).sort();
const circuitOf = (...texts: string[]): Edge[] => texts.map(parseEdgeLabel);

describe('connected edges', () => {
  test('lie on a path from the input to the logits; what leads nowhere or comes from nowhere goes', () => {
    const kept = connected(circuitOf('input→0.0.V', '0.0→1.0.K', '1.0→logits', 'input→0.1.V', '1.1→logits'));
    expect(labels(kept)).toEqual(labels(circuitOf('input→0.0.V', '0.0→1.0.K', '1.0→logits')));
    expect(connected([])).toEqual([]);
    expect(connected(circuitOf('0.0→1.0.K', '1.0→logits'))).toEqual([]);
  });

  test('are a subset, connecting again changes nothing, and more edges never lose one', () => {
    const { model } = randomGroupedLlama();
    const all = edgesOf(decompose(model.graph));
    const counts = headCounts(all);
    expect(connected(all, counts)).toEqual(all);
    const rng = new Rng(1, 'test');
    for (let trial = 0; trial < 60; trial++) {
      const some = all.filter(() => rng.float() < 0.15);
      const more = all.filter((edge) => some.includes(edge) || rng.float() < 0.1);
      const kept = connected(some, counts);
      expect(kept.every((edge) => some.includes(edge))).toBe(true);
      expect(connected(kept, counts)).toEqual(kept);
      const wider = connected(more, counts);
      expect(kept.every((edge) => wider.includes(edge))).toBe(true);
    }
  });

  test('a shared key leads on to every query head that reads through it', () => {
    const counts = new Map([
      [0, { heads: 4, kvHeads: 2 }],
      [1, { heads: 4, kvHeads: 2 }],
    ]);
    const circuit = circuitOf('input→1.1.K', '1.3→logits');
    expect(connected(circuit, counts)).toEqual(circuit);
    expect(connected(circuitOf('input→1.1.K', '1.1→logits'), counts)).toEqual([]);
  });

  test('what leads nowhere has no effect but rounding', async () => {
    const { engine } = randomAttentionOnly('LN');
    const data = randomData();
    const all = edgesOf(decompose(engine.graph));
    const circuit = circuitOf('input→0.0.V', '0.0→1.0.V', '1.0→logits', 'input→0.1.V', 'input→1.1.Q');
    const forward = circuit.filter((edge) => !['input→0.1.V', 'input→1.1.Q'].includes(edgeLabel(edge)));
    const measured = await measure(
      engine,
      data,
      'logit_diff',
      [circuit, forward].map((kept) => cutEdges(complement(all, kept), 'zero')),
    );
    expect(meanValue(measured, 0)).toBeCloseTo(meanValue(measured, 1), 12);
  });
});

describe('discovery on a circuit that is known', () => {
  const { engine } = inductionModel(16, 10);
  const data = taskData(repeatedRandomTask({ name: 'induction', vocab: 16, bos: 0, half: 4, seed: 1, examples: 12 }));
  const edges = edgesOf(decompose(engine.graph));
  const written = circuitOf(
    'input→0.0.Q',
    'input→0.0.K',
    'input→0.0.V',
    '0.0→1.0.K',
    'input→1.0.Q',
    'input→1.0.V',
    '1.0→logits',
  );
  const zero: DiscoverOptions = { ablation: 'zero', metric: 'accuracy', prune: { rule: 'backward', recover: 0.9 } };

  test('by the backward rule finds the written edges among 29', async () => {
    expect(edges).toHaveLength(29);
    expect(labels((await discoverCircuit(engine, data, edges, zero)).edges)).toEqual(labels(written));
  });

  test('under resampling leaves out the edges that carry positions alone', async () => {
    const { edges: found } = await discoverCircuit(engine, data, edges, {
      ...zero,
      ablation: 'resample',
      metric: 'logit_diff',
    });
    expect(labels(found)).toEqual(
      labels(written.filter((edge) => !['input→0.0.Q', 'input→0.0.K'].includes(edgeLabel(edge)))),
    );
  });

  test('needs no particular order of the edges', async () => {
    const shuffled = new Rng(5, 'test').shuffle(edges);
    for (const prune of [zero.prune, { rule: 'threshold', threshold: 0.01 } as const]) {
      const options = { ...zero, prune };
      const [one, other] = [
        await discoverCircuit(engine, data, edges, options),
        await discoverCircuit(engine, data, shuffled, options),
      ];
      expect(labels(other.edges)).toEqual(labels(one.edges));
      expect(other.alone).toBe(one.alone);
    }
  });

  test('is the same twice', async () => {
    expect(await discoverCircuit(engine, data, edges, zero)).toEqual(await discoverCircuit(engine, data, edges, zero));
  });
});

describe('the backward rule', () => {
  for (const ablation of ['zero', 'mean', 'resample'] as const) {
    test(`leaves a connected circuit that recovers the share it was asked for, on random weights with biases, ${ablation} ablation`, async () => {
      for (const [name, { engine }] of [
        ['attention only', randomAttentionOnly('LN', 3)],
        ['grouped heads and MLPs', randomGroupedLlama()],
      ] as const) {
        const data = randomData(4, 4);
        const edges = edgesOf(decompose(engine.graph));
        const recover = 0.85;
        const {
          edges: kept,
          whole,
          empty,
          alone,
        } = await discoverCircuit(engine, data, edges, {
          ablation,
          metric: 'logit_diff',
          prune: { rule: 'backward', recover },
        });
        expect((alone - empty) / (whole - empty), `${name}, ${recover}`).toBeGreaterThanOrEqual(recover);
        expect(connected(kept, headCounts(edges))).toEqual(kept);
        expect(kept.length).toBeLessThan(edges.length);
        const runs = await sourceRuns(engine, data, ablation);
        const again = await measure(engine, data, 'logit_diff', [cutEdges(complement(edges, kept), ablation)], {
          runs,
        });
        expect(meanValue(again, 0)).toBeCloseTo(alone, 10);
      }
    });
  }
});

test('the threshold rule keeps each edge whose effect alone is larger, of either sign', async () => {
  const { engine } = randomAttentionOnly(null);
  const edges = edgesOf(decompose(engine.graph));
  const { edges: kept, effects } = await discoverCircuit(engine, randomData(), edges, {
    ablation: 'zero',
    metric: 'logit_diff',
    prune: { rule: 'threshold', threshold: 0.3 },
  });
  const expected = effects.effects.filter(({ effect }) => Math.abs(effect) > 0.3).map(({ edge }) => edge);
  expect(labels(kept)).toEqual(labels(connected(expected)));
  expect(effects.effects.some(({ effect, edge }) => effect < -0.3 && kept.includes(edge))).toBe(true);
});

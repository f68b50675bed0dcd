import { parseEdgeLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { inductionModel } from '../features/hand-written.fixture.ts';
import { captured, makePlan, runPlan } from '../plan/index.ts';
import { Rng } from '../tensor/index.ts';
import { breakingEdit, randomEdit } from './breaking-edit.ts';
import type { EdgeEffect } from './edge-effects.ts';
import { cutEdges, measure, rowValues } from './measure.ts';
import { randomAttentionOnly, randomData, randomGroupedLlama } from './random-model.fixture.ts';
import { repeatedRandomTask } from './repeated-random-task.ts';
import { strongestPath } from './strongest-path.ts';
import { taskData } from './task-data.ts';
import { testWeightEdit } from './test-weight-edit.ts';

const known = inductionModel(16, 10);
const data = taskData(repeatedRandomTask({ name: 'induction', vocab: 16, bos: 0, half: 4, seed: 2, examples: 12 }));

describe('a breaking edit', () => {
  test('does exactly what cutting the edge to zero does, where writers are orthogonal and no norm stands between', async () => {
    for (const label of ['0.0→1.0.K', '0.0→1.0.Q', '0.0→1.0.V', '0.0→1.1.K']) {
      const edge = parseEdgeLabel(label);
      const { interventions, artefact, rank } = breakingEdit(known.model, edge);
      const cut = await measure(known.engine, data, 'logit_diff', [cutEdges([edge], 'zero')]);
      const edited = await measure(known.engine, data, 'logit_diff', [interventions], {
        artefacts: new Map([[artefact.hash, artefact.tensor]]),
      });
      expect(rank).toBe(16);
      rowValues(edited, 0).forEach((value, example) => {
        expect(Math.abs(value - (rowValues(cut, 0)[example] ?? Number.NaN)), label).toBeLessThan(1e-5);
      });
    }
  });

  test('leaves nothing of what the writer writes for the reader to read, with and without norms', () => {
    for (const norm of [null, 'LN', 'RMS'] as const) {
      const { model } = randomAttentionOnly(norm);
      const { artefact, rank } = breakingEdit(model, parseEdgeLabel('0.1→1.0.Q'));
      const { width, headWidth } = model.spec;
      const [out, gain] = ['blocks.0.attn.W_O', 'blocks.1.ln1.w'].map((name) => model.weights.get(name)?.read());
      expect(rank).toBe(headWidth);
      for (let row = 0; row < headWidth; row++) {
        const vector = Array.from({ length: width }, (_, i) => out?.[(headWidth + row) * width + i] ?? 0);
        const mean = norm === 'LN' ? vector.reduce((a, b) => a + b, 0) / width : 0;
        for (let column = 0; column < headWidth; column++) {
          const read = vector.reduce(
            (sum, value, i) =>
              sum + (value - mean) * (gain?.[i] ?? 1) * (artefact.tensor.data[i * headWidth + column] ?? 0),
            0,
          );
          expect(Math.abs(read)).toBeLessThan(1e-5);
        }
      }
    }
  });

  test('of a key that heads share reaches those heads and no others', async () => {
    const { engine, model } = randomGroupedLlama();
    const { interventions, artefact } = breakingEdit(model, parseEdgeLabel('0.1→1.1.K'));
    const readouts = [{ kind: 'capture' as const, at: { site: 'blocks.1.attn.hook_pattern' } }];
    const prompt = randomData(3).clean;
    const plain = captured(
      await runPlan(engine, makePlan(engine.graph, { readouts }), prompt),
      'blocks.1.attn.hook_pattern',
    );
    const artefacts = new Map([[artefact.hash, artefact.tensor]]);
    const edited = captured(
      await runPlan(engine, makePlan(engine.graph, { readouts, interventions }), prompt, { artefacts }),
      'blocks.1.attn.hook_pattern',
    );
    const changed = new Set<number>();
    plain.data.forEach((value, at) => {
      if (value !== edited.data[at]) changed.add(Math.floor(at / 36) % 4);
    });
    expect([...changed].sort()).toEqual([2, 3]);
  });

  test('is refused for an edge that does not run from head to head', () => {
    for (const label of ['input→1.0.K', '0.0→logits']) {
      expect(() => breakingEdit(known.model, parseEdgeLabel(label))).toThrow(
        expect.objectContaining({ code: 'unsupported_edge' }),
      );
    }
  });
});

describe('a random edit', () => {
  test('takes as many dimensions, from the same weights, and is a function of the stream', () => {
    const { model } = randomAttentionOnly('LN');
    const edge = parseEdgeLabel('0.1→1.0.Q');
    const one = randomEdit(model, edge, 3, new Rng(1, 'a'));
    expect(one.rank).toBe(breakingEdit(model, edge).rank);
    expect(one.interventions[0]).toMatchObject({ param: 'blocks.1.attn.W_Q', head: 0 });
    expect(randomEdit(model, edge, 3, new Rng(1, 'a')).artefact.hash).toBe(one.artefact.hash);
    expect(randomEdit(model, edge, 3, new Rng(1, 'b')).artefact.hash).not.toBe(one.artefact.hash);
  });
});

describe('the test of a weight edit', () => {
  test('finds what the cut edge predicts, and that random edits of the same rank take less', async () => {
    const test = await testWeightEdit(known.engine, known.model, data, [parseEdgeLabel('0.0→1.0.K')], {
      metric: 'logit_diff',
      seed: 1,
      controls: 8,
    });
    expect(test.after).toBeCloseTo(test.predicted, 5);
    expect(test.before - test.after).toBeGreaterThan(4);
    expect(test.interval?.[0]).toBeLessThanOrEqual(test.before - test.after);
    expect(test.interval?.[1]).toBeGreaterThanOrEqual(test.before - test.after);
    expect(test.controls.count).toBe(8);
    expect(test.controls.lowest).toBeGreaterThan(test.after);
    expect(test.params).toEqual(['blocks.1.attn.W_K']);
  });

  test('is the same twice', async () => {
    const run = () =>
      testWeightEdit(known.engine, known.model, data, [parseEdgeLabel('0.0→1.0.K')], {
        metric: 'logit_diff',
        seed: 1,
        controls: 3,
      });
    expect(await run()).toEqual(await run());
  });

  test('takes no two edges into one reader: the second would overwrite the first', async () => {
    const edges = ['0.0→1.0.K', '0.1→1.0.K'].map(parseEdgeLabel);
    await expect(
      testWeightEdit(known.engine, known.model, data, edges, { metric: 'logit_diff', seed: 1 }),
    ).rejects.toMatchObject({ code: 'unsupported_edge', at: '1.0.K' });
  });
});

test('the strongest path is that of one writer and one port whose effects add up to most, of either sign', () => {
  const effects = [
    ['0.0→1.0.K', 2],
    ['0.0→1.1.K', 1.5],
    ['0.1→1.0.Q', -3],
    ['0.0→1.0.Q', 0.4],
    ['input→1.0.V', 9],
    ['1.0→logits', 9],
  ] as const;
  const list = effects.map(
    ([label, effect]): EdgeEffect => ({ edge: parseEdgeLabel(label), effect, interval: null, n: 2 }),
  );
  expect(strongestPath(list)).toEqual(['0.0→1.0.K', '0.0→1.1.K'].map(parseEdgeLabel));
  expect(strongestPath(list.slice(2, 4))).toEqual([parseEdgeLabel('0.1→1.0.Q')]);
  expect(strongestPath(list.slice(4))).toEqual([]);
});

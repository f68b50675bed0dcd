import { edgeLabel, parseEdgeLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { decompose, edgesOf } from '../graph/index.ts';
import { composition } from './composition.ts';
import { edgeEffects } from './edge-effects.ts';
import {
  asEffects,
  compositionScores,
  type EdgeScores,
  edgeScores,
  exactPatchScores,
  importance,
  liftToEdges,
  randomScores,
  unitEffects,
} from './edge-scores.ts';
import { liveEffect } from './live-effect.ts';
import { randomAttentionOnly, randomData, randomGroupedLlama } from './random-model.fixture.ts';

const edges = ['input→0.0.V', '0.0→1.0.K', '1.0→logits'].map(parseEdgeLabel);
const by = (scores: readonly number[], sign: EdgeScores['sign']): EdgeScores => ({
  method: 'written by hand',
  edges,
  scores: Float64Array.from(scores),
  sign,
  ablation: null,
  metric: null,
  forwards: 0,
  backwards: 0,
});

describe('scores of edges', () => {
  test('are one an edge and never infinite', () => {
    expect(() => edgeScores(by([1, 2], 'rank'))).toThrow('scored 2 edges of 3');
    expect(() => edgeScores(by([1, Number.NEGATIVE_INFINITY, 2], 'rank'))).toThrow('0.0→1.0.K an infinite score');
    expect(edgeScores(by([1, Number.NaN, 2], 'rank')).scores[1]).toBeNaN();
  });

  test('with a direction count by their size, ranks as they are', () => {
    expect([...importance(by([-3, 1, -2], 'clean_minus_cut'))]).toEqual([3, 1, 2]);
    expect([...importance(by([-3, 1, -2], 'rank'))]).toEqual([-3, 1, -2]);
  });

  test('turn into effects where they have a direction, and only there', () => {
    expect([...(asEffects(by([-3, 0, 2], 'cut_minus_clean')) ?? [])]).toEqual([3, 0, -2]);
    expect([...(asEffects(by([-3, 0, 2], 'clean_minus_cut')) ?? [])]).toEqual([-3, 0, 2]);
    for (const sign of ['rank', 'unsigned_norm', 'signed_weight'] as const)
      expect(asEffects(by([1, 2, 3], sign))).toBeNull();
  });
});

test('exact scores are the edge effects, and cost one pass an edge beside the whole model and the source', async () => {
  const { engine } = randomAttentionOnly('LN');
  const data = randomData();
  const all = edgesOf(decompose(engine.graph));
  for (const ablation of ['zero', 'resample'] as const) {
    const options = { ablation, metric: 'logit_diff' } as const;
    const { scores, forwards, backwards } = await exactPatchScores(engine, data, all, options);
    const { effects } = await edgeEffects(engine, data, all, options);
    expect([...scores]).toEqual(effects.map(({ effect }) => effect));
    expect(forwards).toBe(all.length + (ablation === 'zero' ? 1 : 2));
    expect(backwards).toBe(0);
  }
});

test('the effect of a unit is that of all its edges cut together', async () => {
  const { engine } = randomAttentionOnly('LN');
  const data = randomData();
  const all = edgesOf(decompose(engine.graph));
  const units = await unitEffects(engine, data, all, { ablation: 'resample', metric: 'logit_diff' });
  expect([...units.keys()].sort()).toEqual(['0.0', '0.1', '1.0', '1.1', 'input']);
  const { before, after } = await liveEffect(engine, data.task, {
    edges: [],
    units: [{ kind: 'head', layer: 0, head: 1 }],
    ablation: 'resample',
  });
  expect(units.get('0.1')).toBeCloseTo(before - after, 12);
});

test('scores of units lie on edges by their writer, or by the weaker of both ends', () => {
  const { edges: _, scores: __, ...about } = by([], 'clean_minus_cut');
  const units = new Map([
    ['input', 5],
    ['0.0', -2],
    ['1.0', 3],
  ]);
  expect([...liftToEdges(edges, { ...about, units }, 'writer').scores]).toEqual([5, -2, 3]);
  expect([...liftToEdges(edges, { ...about, units }, 'weaker').scores]).toEqual([-2, -2, 3]);
  units.delete('1.0');
  expect([...liftToEdges(edges, { ...about, units }, 'weaker').scores]).toEqual([-2, -2, Number.NaN]);
});

test('composition scores edges between heads alone; of heads that share a key the strongest', () => {
  const { model } = randomGroupedLlama();
  const all = edgesOf(decompose(model.graph));
  const { scores, sign } = compositionScores(model, all);
  expect(sign).toBe('unsigned_norm');
  all.forEach((edge, at) => {
    const between = edge.from.kind === 'head' && edge.to.kind === 'head';
    expect(Number.isNaN(scores[at]), edgeLabel(edge)).toBe(!between);
  });
  const at = all.findIndex((edge) => edgeLabel(edge) === '0.3→1.1.K');
  const of = (head: number): number => composition(model, { layer: 0, head: 3 }, { layer: 1, head }, 'k').raw;
  expect(scores[at]).toBe(Math.max(of(2), of(3)));
});

test('random scores depend on the seed alone', () => {
  expect(randomScores(edges, 1)).toEqual(randomScores(edges, 1));
  expect(randomScores(edges, 1).scores).not.toEqual(randomScores(edges, 2).scores);
});

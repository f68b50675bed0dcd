import { edgeLabel, parseEdgeLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import type { Edge } from '../graph/index.ts';
import { Rng } from '../tensor/index.ts';
import type { EdgeScores } from './edge-scores.ts';
import { compareEdgeSets, judgeAgainst, judgeRanking, pairwiseJaccard } from './judge-edges.ts';

const circuitOf = (...texts: string[]): Edge[] => texts.map(parseEdgeLabel);
const all = circuitOf('input→0.0.V', '0.0→1.0.K', '1.0→logits', 'input→1.0.Q', 'input→logits');
const by = (scores: readonly number[], sign: EdgeScores['sign'] = 'clean_minus_cut', edges = all): EdgeScores => ({
  method: 'written by hand',
  edges,
  scores: Float64Array.from(scores),
  sign,
  ablation: 'zero',
  metric: 'logit_diff',
  forwards: 0,
  backwards: 0,
});

describe('two sets of edges', () => {
  test('compare by labels, in any order', () => {
    const { jaccard, precision, recall, exact, missed, extra, both } = compareEdgeSets(
      circuitOf('input→0.0.V', '1.0→logits', 'input→logits', '0.1→logits'),
      circuitOf('1.0→logits', '0.0→1.0.K', 'input→0.0.V'),
    );
    expect([jaccard, precision, recall, exact, both]).toEqual([2 / 5, 2 / 4, 2 / 3, false, 2]);
    expect(missed.map(edgeLabel)).toEqual(['0.0→1.0.K']);
    expect(extra.map(edgeLabel)).toEqual(['input→logits', '0.1→logits']);
  });

  test('of the same edges agree exactly; empty ones have no share', () => {
    expect(compareEdgeSets([...all].reverse(), all)).toMatchObject({ jaccard: 1, exact: true });
    expect(compareEdgeSets([], [])).toMatchObject({ jaccard: 1, precision: null, recall: null, exact: true });
    expect(compareEdgeSets([], all)).toMatchObject({ jaccard: 0, precision: null, recall: 0, exact: false });
  });

  test('pair up: the mean and the smallest Jaccard over pairs', () => {
    expect(pairwiseJaccard([all, all.slice(0, 4), all.slice(0, 2)])).toEqual({
      mean: (4 / 5 + 2 / 5 + 2 / 4) / 3,
      smallest: 2 / 5,
      pairs: 3,
    });
    expect(pairwiseJaccard([all])).toBeNull();
  });
});

describe('a ranking', () => {
  const truth = circuitOf('0.0→1.0.K', '1.0→logits');

  test('is judged over all pairs, ties half', () => {
    // True: 4, 2; others: 2, 1, 3 by size. Pairs won: 4 of all three, 2 over 1 and half over 2: 4.5 of 6.
    expect(judgeRanking(by([2, -4, 2, 1, -3]), truth).auroc.value).toBeCloseTo(4.5 / 6, 14);
    expect(judgeRanking(by([1, 1, 1, 1, 1]), truth).auroc.value).toBe(0.5);
    expect(judgeRanking(by([0, 5, 4, -1, 0]), truth).auroc.value).toBe(1);
  });

  test('by effect puts what works against the behaviour last', () => {
    expect(judgeRanking(by([0, 5, 4, -9, 0]), truth).auroc.value).toBeCloseTo(4 / 6, 14);
    expect(judgeRanking(by([0, 5, 4, -9, 0]), truth, 'signed').auroc.value).toBe(1);
    expect(judgeRanking(by([0, -5, -4, 9, 0], 'cut_minus_clean'), truth, 'signed').auroc.value).toBe(1);
    expect(() => judgeRanking(by([0, 5, 4, 9, 0], 'rank'), truth, 'signed')).toThrow(
      expect.objectContaining({ code: 'unsigned_scores' }),
    );
  });

  test('puts edges that the method says nothing of below all others, together', () => {
    const { auroc, unscored } = judgeRanking(by([Number.NaN, 3, Number.NaN, -7, Number.NaN], 'rank'), truth);
    expect(unscored).toBe(3);
    // The scored true edge wins all three pairs; the unscored ties with two and loses to the last.
    expect(auroc.value).toBeCloseTo((3 + 1) / 6, 14);
  });

  test('has the average precision of its places, ties standing together', () => {
    // Order: true, other, true, …: (1 + 2/3) / 2.
    expect(judgeRanking(by([4, 5, 3, 0, 0]), truth).averagePrecision).toBeCloseTo((1 + 2 / 3) / 2, 14);
    expect(judgeRanking(by([1, 1, 1, 1, 1]), truth).averagePrecision).toBeCloseTo(2 / 5, 14);
  });

  test('agrees with counting all pairs on random scores with ties', () => {
    const edges = Array.from({ length: 30 }, (_, at) => parseEdgeLabel(`0.${at}→logits`));
    for (let seed = 0; seed < 20; seed++) {
      const rng = new Rng(seed, 'test');
      const scores = edges.map(() => rng.below(6) - 3);
      const right = edges.filter(() => rng.float() < 0.4);
      if (right.length === 0 || right.length === edges.length) continue;
      const isTrue = new Set(right);
      let won = 0;
      edges.forEach((a, i) => {
        edges.forEach((b, j) => {
          if (!isTrue.has(a) || isTrue.has(b)) return;
          const [x, y] = [Math.abs(scores[i] ?? 0), Math.abs(scores[j] ?? 0)];
          won += x > y ? 1 : x === y ? 0.5 : 0;
        });
      });
      const { value } = judgeRanking(by(scores, 'clean_minus_cut', edges), right).auroc;
      expect(value).toBeCloseTo(won / (right.length * (edges.length - right.length)), 12);
    }
  });

  test('needs true edges and others, all of them scored', () => {
    const bad = expect.objectContaining({ code: 'bad_truth' });
    expect(() => judgeRanking(by([1, 2, 3, 4, 5]), [])).toThrow(bad);
    expect(() => judgeRanking(by([1, 2, 3, 4, 5]), all)).toThrow(bad);
    expect(() => judgeRanking(by([1, 2, 3, 4, 5]), circuitOf('0.1→logits'))).toThrow(bad);
  });
});

describe('scores beside exact effects', () => {
  test('agree in sign where both have one, whichever way each is written and in any order', () => {
    const exact = by([1, -2, 3, 1e-12, 0]);
    const turned = by([0, 5, -3, 2, -1], 'cut_minus_clean', [...all].reverse());
    // In the order of all: 1, −2, 3, −5, 0 as effects.
    expect(judgeAgainst(turned, exact)).toMatchObject({ sameSign: 1, signed: 3, disagreeing: [] });
    const wrong = by([-1, -2, -3, 4, 0]);
    const { sameSign, disagreeing } = judgeAgainst(wrong, exact);
    expect(sameSign).toBeCloseTo(1 / 3, 14);
    expect(disagreeing.map(edgeLabel)).toEqual(['1.0→logits', 'input→0.0.V']);
  });

  test('agree in rank by size', () => {
    expect(judgeAgainst(by([-10, 20, 30, 0, 5]), by([1, -2, 3, 0, 0.5])).rank).toBeCloseTo(1, 12);
    expect(judgeAgainst(by([3, 2, 1, 0.5, 0], 'rank'), by([0, 0.5, 1, 2, 3])).rank).toBeCloseTo(-1, 12);
    expect(judgeAgainst(by([1, 1, 1, 1, 1]), by([1, -2, 3, 0, 0.5])).rank).toBeNull();
  });

  test('without a direction have no signs to compare', () => {
    expect(judgeAgainst(by([3, 2, 1, 1, 0], 'rank'), by([1, 2, 3, 4, 5]))).toMatchObject({ sameSign: null, signed: 0 });
    expect(() => judgeAgainst(by([1, 2, 3, 4, 5]), by([1, 2, 3, 4, 5], 'rank'))).toThrow('no sign to compare');
  });

  test('of other edges are refused', () => {
    expect(() => judgeAgainst(by([1, 2, 3, 4, 5]), by([1], 'clean_minus_cut', all.slice(0, 1)))).toThrow(
      'did not score',
    );
  });
});

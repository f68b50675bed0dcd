import { describe, expect, test } from 'vitest';
import type { Proof } from '../circuits/index.ts';
import { verdictOf } from './verdict.ts';

function proof(change: {
  measurable?: boolean;
  value?: number;
  low?: number;
  high?: number;
  p?: number;
  top?: number;
}): Proof {
  const { measurable = true, value = 0.93, low = 0.88, high = 0.98, p = 0.005, top = 0.02 } = change;
  const random = { count: 200, values: [], mean: 0, interval: [-0.01, top] as const, max: top, p };
  return {
    metric: 'logit_diff',
    ablation: 'resample',
    examples: 64,
    whole: 12,
    empty: -0.4,
    measurable,
    faithfulness: { value, interval: [low, high], random, relabelled: null },
    complement: { value: 0.02, interval: null },
    completeness: { mean: 0.02, max: 0.05, subsets: 40 },
    minimality: { edges: [], smallest: 0.1, share: 1 },
  };
}

describe('the verdict', () => {
  test('holds for a circuit that is faithful where random ones are not', () => {
    expect(verdictOf(proof({}))).toMatchObject({ holds: true, reasons: [] });
  });

  test('goes against a model that does not do the task, whatever the shares are', () => {
    const verdict = verdictOf(proof({ measurable: false }));
    expect(verdict.holds).toBe(false);
    expect(verdict.reasons[0]).toContain('does not do this task');
  });

  test('goes against a circuit that random ones equal', () => {
    expect(verdictOf(proof({ p: 0.3 })).reasons).toEqual(['random circuits of its size do as well: p 0.300']);
  });

  test('goes against a circuit whose interval reaches down to the random ones', () => {
    expect(verdictOf(proof({ low: 0.01 })).holds).toBe(false);
    expect(verdictOf(proof({ value: -2.2, low: -3, high: -1, top: 0 })).holds).toBe(false);
  });
});

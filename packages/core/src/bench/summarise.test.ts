import type { BenchResult, BenchSection } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { compareRuns } from './compare-runs.ts';
import { ratioOfMedians, summarise } from './summarise.ts';

const played = (...rounds: readonly (readonly number[])[]) => ({ rounds, discarded: { steal: 1, clock: 2 } });
const accuracy = { maxError: 1e-7, ofBound: 0.5, checked: 10 };
const input = {
  played: played([10, 30], [20, 40, 50]),
  accuracy,
  flops: 200,
  bytes: 60,
  peak: 2e10,
  bandwidth: 4e9,
  loop: { played: played([10], [10]), work: 160 },
  others: [{ name: 'other', played: played([60, 60], [60]) }],
  seed: 1,
};

describe('a summary', () => {
  test('is median, quartile distance, least, and shares of what was measured', () => {
    // Sorted 10 20 30 40 50: median 30, quartiles 20 and 40.
    expect(summarise(input)).toMatchObject({
      kind: 'timed',
      medianNs: 30,
      iqrNs: 20,
      minNs: 10,
      flopsPerSecond: (200 / 30) * 1e9,
      shareOfPeak: 200 / 30 / 20,
      shareOfBandwidth: 60 / 30 / 4,
      // 200 operations in 30 ns beside 160 in 10 ns.
      shareOfLoop: { value: expect.closeTo(200 / 30 / (160 / 10), 12), n: 2 },
      ratios: [{ against: 'other', estimate: { value: 2, n: 2 } }],
    });
  });

  test('of a wrong result has no time, and NaN is wrong', () => {
    for (const ofBound of [1.001, Number.NaN, Number.MAX_VALUE]) {
      expect(summarise({ ...input, accuracy: { ...accuracy, ofBound } })).toEqual({
        kind: 'wrong',
        ...accuracy,
        ofBound,
      });
    }
  });

  test('of nothing but disturbed blocks is a failure that says so', () => {
    expect(summarise({ ...input, played: played([], []) })).toMatchObject({
      kind: 'failed',
      reason: expect.stringMatching(/1 by time that others took, 2 by the clock/),
    });
  });

  test('takes ratios over the rounds that both played, the same for the same seed', () => {
    const a = played([1, 2, 3], [], [2, 4], [3, 3, 9], [5]);
    const b = played([2, 2], [7], [], [1], [5, 5, 5]);
    const ratio = ratioOfMedians(a, b, 5);
    // Rounds 0, 3 and 4: 1 2 3 3 3 5 9 over 1 2 2 5 5 5.
    expect(ratio).toMatchObject({ value: 3 / 3.5, n: 3 });
    expect(ratioOfMedians(a, b, 5)).toEqual(ratio);
    expect(ratioOfMedians(a, played([]), 5)).toBeNull();
  });
});

function section(fingerprint: string, medianNs: number, loop: number): BenchSection {
  const outcome: BenchResult['outcome'] = {
    kind: 'timed',
    ...accuracy,
    samplesNs: [medianNs],
    medianNs,
    iqrNs: 0,
    minNs: medianNs,
    shareOfLoop: { value: loop },
    ratios: [{ against: 'numpy', estimate: { value: 2 * loop } }],
  };
  const result: BenchResult = {
    kind: 'bench_result',
    version: 1,
    operation: 'sgemm-512',
    shape: '512',
    dtype: 'f32',
    implementation: { name: 'circuitscope', settings: {} },
    threads: 1,
    regime: 'hot',
    packing: 'before',
    output: 'reused',
    flops: 1,
    bytes: 1,
    outcome,
    discarded: { steal: 0, clock: 0 },
  };
  return {
    run: {
      kind: 'bench_run',
      version: 1,
      startedAt: '2026-01-31T12:00:00.000Z',
      tool: { version: '0' },
      machine: {
        fingerprint,
        cpu: { model: 'x', flags: [] },
        isa: 'avx2',
        isas: [],
        caches: [],
        onlineCpus: 1,
        kernel: 'k',
        platform: 'p',
        runtime: 'r',
        peaks: [],
        bandwidths: [],
        environment: {},
      },
      before: {},
      seed: 0,
      rounds: 1,
      command: [],
    },
    results: [result, { ...result, threads: medianNs }],
  };
}

describe('two runs', () => {
  test('of one machine are compared by share, by ratio and by time', () => {
    const { sameMachine, rows, onlyA, onlyB } = compareRuns([section('f', 30, 0.5)], [section('f', 20, 0.75)]);
    expect(sameMachine).toBe(true);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      shares: { of: 'loop', a: 0.5, b: 0.75 },
      ratios: { to: 'numpy', a: 1, b: 1.5 },
      times: { aNs: 30, bNs: 20, speedup: 1.5 },
    });
    expect([onlyA.length, onlyB.length]).toEqual([1, 1]);
  });

  test('of two machines never by time; a reference that is not there gives no ratio', () => {
    const { sameMachine, rows } = compareRuns([section('f', 30, 0.5)], [section('g', 20, 0.75)], 'torch');
    expect(sameMachine).toBe(false);
    expect(rows[0]).toMatchObject({ times: null, ratios: null, shares: { a: 0.5, b: 0.75 } });
  });
});

import { describe, expect, test } from 'vitest';
import { benchRecord, benchResult } from '../fixtures/bench-record.ts';
import { benchGroups } from './bench-groups.ts';

describe('groups of results', () => {
  const groups = benchGroups(benchRecord.results, 1);

  test('hold what was measured together, in the order in which it was', () => {
    expect(groups.map(({ operation, regime }) => `${operation} ${regime}`)).toEqual([
      'sgemm-512 hot',
      'gemv-f32 hot',
      'gemv-f32 cold',
      'softmax-8x8 hot',
    ]);
    expect(benchGroups(benchRecord.results, undefined)).toHaveLength(5);
    expect(benchGroups(benchRecord.results, 7)).toEqual([]);
  });

  test('have the fastest first, and what is wrong or failed last, without a time', () => {
    const rows = groups[0]?.rows ?? [];
    expect(rows.map(({ by, outcome }) => [by, outcome.kind])).toEqual([
      ['gemm 1.2', 'timed'],
      ['circuitscope', 'timed'],
      ['circuitscope, packing', 'timed'],
      ['torch 1.2', 'timed'],
      ['numpy 1.2', 'wrong'],
      ['matrixmultiply 1.2', 'failed'],
    ]);
    expect(rows[0]?.outcome).toMatchObject({ median: '800 µs', bar: 0.4, rate: '62.5 GFLOP/s' });
    expect(rows[4]).toMatchObject({ outcome: { reason: expect.stringContaining('90 times') }, error: { max: '3' } });
    expect(rows[5]).toMatchObject({ outcome: { reason: 'it is <b>not</b> here' }, error: null });
  });

  test('compare with the peer against which least is gained, never with ourselves', () => {
    const base = benchResult({ operation: 'x', flops: 1, bytes: 1, by: 'circuitscope' });
    if (base.outcome.kind !== 'timed') throw new Error('not timed');
    const ratio = (against: string, value: number) => ({
      against,
      estimate: { value, interval: [value - 0.1, value + 0.1] as [number, number] },
    });
    const ratios = [ratio('torch', 2), ratio('circuitscope, packing', 0.5), ratio('gemm', 1.25)];
    const [group] = benchGroups([{ ...base, outcome: { ...base.outcome, ratios } }], 1);
    expect(group?.rows[0]?.outcome).toMatchObject({ ratio: { to: 'gemm', text: '1.25', interval: '1.15 to 1.35' } });
    const [alone] = benchGroups([base], 1);
    expect(alone?.rows[0]?.outcome).toMatchObject({ ratio: null });
  });
});

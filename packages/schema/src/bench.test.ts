import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BenchResult, type BenchRun, parseBenchFile, parseBenchResult, type parseBenchRun } from './bench.ts';
import { canonicalJson } from './canonical-json.ts';

const RUN: BenchRun = {
  kind: 'bench_run',
  version: 1,
  startedAt: '2026-01-31T12:00:00.000Z',
  tool: { version: '0.1.0', commit: 'abc', dirty: false },
  machine: {
    fingerprint: 'f1',
    cpu: { model: 'x', flags: ['avx2'] },
    isa: 'avx2',
    isas: ['portable', 'avx2'],
    caches: [{ level: 1, kind: 'data', bytes: 32768 }],
    onlineCpus: 2,
    kernel: '6.1',
    platform: 'linux-x64',
    runtime: 'bun 1.4.5',
    peaks: [{ isa: 'avx2', threads: 1, flops: 1e11, medianFlops: 9e10 }],
    bandwidths: [{ kind: 'read', bytes: 16384, threads: 1, bytesPerSecond: 1e10, medianBytesPerSecond: 9e9 }],
    environment: { OMP_NUM_THREADS: '1' },
  },
  before: { loadAverage: 0.5 },
  seed: 0,
  rounds: 12,
  command: ['circuitscope', 'bench', 'kernels'],
};

const ACCURACY = { maxError: 1e-6, ofBound: 0.01, checked: 100 };
const TIMED: BenchResult['outcome'] = {
  kind: 'timed',
  ...ACCURACY,
  samplesNs: [3, 1, 2],
  medianNs: 2,
  iqrNs: 1,
  minNs: 1,
  ratios: [],
};
const RESULT: BenchResult = {
  kind: 'bench_result',
  version: 1,
  operation: 'sgemm-512',
  shape: '512×512×512',
  dtype: 'f32',
  implementation: { name: 'circuitscope', settings: {} },
  threads: 1,
  regime: 'hot',
  packing: 'before',
  output: 'reused',
  flops: 1,
  bytes: 1,
  outcome: TIMED,
  discarded: { steal: 0, clock: 0 },
};
const END = { kind: 'bench_end', version: 1, endedAt: '2026-01-31T12:01:00.000Z', after: {} };

const pathsOf = (parsed: ReturnType<typeof parseBenchResult> | ReturnType<typeof parseBenchRun>) =>
  parsed.ok ? [] : parsed.issues.map(({ path }) => path);
const file = (...records: readonly unknown[]) => `${records.map((record) => JSON.stringify(record)).join('\n')}\n`;

describe('a result', () => {
  test('that is right has its samples, and one that is wrong can have no time', () => {
    expect(pathsOf(parseBenchResult(RESULT))).toEqual([]);
    expect(pathsOf(parseBenchResult({ ...RESULT, outcome: { kind: 'wrong', ...ACCURACY } }))).toEqual([]);
    const timedAndWrong = { ...TIMED, kind: 'wrong' };
    expect(pathsOf(parseBenchResult({ ...RESULT, outcome: timedAndWrong }))).toContain('outcome.medianNs');
    expect(pathsOf(parseBenchResult({ ...RESULT, outcome: { kind: 'timed', ...ACCURACY } }))).toContain(
      'outcome.medianNs',
    );
  });

  test('has times above zero and errors that are numbers', () => {
    for (const [key, value] of [
      ['medianNs', 0],
      ['samplesNs', [0]],
      ['maxError', Number.NaN],
      ['ofBound', Number.POSITIVE_INFINITY],
    ] as const) {
      expect(pathsOf(parseBenchResult({ ...RESULT, outcome: { ...TIMED, [key]: value } })), key).toHaveLength(1);
    }
  });
});

const positive = fc.double({ min: 1e-3, max: 1e15, noNaN: true });
const share = fc.double({ min: 0, max: 10, noNaN: true });
const name = fc.string({ minLength: 1, maxLength: 20 });
const estimate = fc.tuple(positive, positive, positive).map(([a, b, c]) => {
  const [low = 0, value = 0, high = 0] = [a, b, c].sort((x, y) => x - y);
  return { value, interval: [low, high] as [number, number], n: 12 };
});
const accuracy = { maxError: share, ofBound: share, checked: fc.nat() };
const results: fc.Arbitrary<BenchResult> = fc
  .record({
    operation: name,
    shape: name,
    dtype: name,
    threads: fc.nat(64),
    regime: fc.constantFrom('hot' as const, 'cold' as const),
    packing: fc.constantFrom('inside' as const, 'before' as const, 'none' as const),
    output: fc.constantFrom('fresh' as const, 'reused' as const),
    flops: share,
    bytes: share,
    implementation: fc.record({ name, settings: fc.constant({ threads: '1' }) }),
    discarded: fc.record({ steal: fc.nat(9), clock: fc.nat(9) }),
    outcome: fc.oneof(
      fc.record({
        kind: fc.constant('timed' as const),
        ...accuracy,
        samplesNs: fc.array(positive, { minLength: 1, maxLength: 9 }),
        medianNs: positive,
        iqrNs: share,
        minNs: positive,
        shareOfLoop: estimate,
        ratios: fc.array(fc.record({ against: name, estimate }), { maxLength: 3 }),
      }),
      fc.record({ kind: fc.constant('wrong' as const), ...accuracy }),
      fc.record({ kind: fc.constant('failed' as const), reason: fc.string() }),
    ),
  })
  .map((rest) => ({ kind: 'bench_result' as const, version: 1 as const, ...rest }));

describe('a file of results', () => {
  test('is a run, results, an end, as often as it was resumed; every record comes back as it was written', () => {
    fc.assert(
      fc.property(fc.array(results, { maxLength: 4 }), (written) => {
        const [first, second] = parseBenchFile(file(RUN, ...written, END, RUN), 'run.jsonl');
        expect(canonicalJson(first?.results ?? [])).toBe(canonicalJson(written));
        expect(first?.run).toEqual(RUN);
        expect([first?.end, second?.end, second?.results]).toEqual([END, undefined, []]);
      }),
    );
  });

  test('that was cut off in its last line is read up to there', () => {
    const [section] = parseBenchFile(file(RUN, RESULT) + JSON.stringify(RESULT).slice(0, 40), 'run.jsonl');
    expect(section?.results).toHaveLength(1);
  });

  test.each([
    ['nothing', '', 'line 1, no run in it'],
    ['a result without its run', file(RESULT), 'line 1, a run must come first'],
    ['something behind the end', file(RUN, END, RESULT), 'line 3, something behind the end of a run'],
    ['a line that is no JSON', `${file(RUN)}{\n${file(RESULT)}`, 'line 2, not JSON'],
    ['a record of another kind', file(RUN, { kind: 'run' }), 'line 2, expected a bench_run'],
    ['a key that is not known', file(RUN, { ...RESULT, speed: 3 }), 'line 2, at speed unknown key'],
    ['a newer version', file({ ...RUN, version: 2 }), 'line 1, at version'],
  ])('of %s is refused with the line', (_, content, message) => {
    expect(() => parseBenchFile(content, 'run.jsonl')).toThrow(
      expect.objectContaining({ code: 'invalid_record', message: expect.stringContaining(message) }),
    );
  });
});

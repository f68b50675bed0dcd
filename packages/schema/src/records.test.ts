import { expect, test } from 'vitest';
import flat from '../fixtures/induction.json' with { type: 'json' };
import { Evidence } from './evidence.ts';
import { Feature } from './feature.ts';
import { openRecord } from './open-record.ts';
import { parseRecord } from './parse.ts';
import { parseRunRecord } from './run-record.ts';

const HASH = `sha256:${'0'.repeat(64)}`;
const RUN = {
  kind: 'run',
  version: 1,
  actionKey: HASH,
  contentDigest: HASH,
  startedAt: '2026-01-31T12:00:00.000Z',
  wallTimeMs: 12.5,
  host: { cpu: 'x', isa: 'avx2', threads: 2, runtime: 'bun 1.4.5', executor: 'native' },
  command: ['demo', '--json'],
};
const pathsOf = (parsed: ReturnType<typeof parseRunRecord> | ReturnType<typeof parseRecord>) =>
  parsed.ok ? [] : parsed.issues.map((issue) => issue.path);

test('a run record has a time in UTC', () => {
  expect(pathsOf(parseRunRecord(RUN))).toEqual([]);
  expect(pathsOf(parseRunRecord({ ...RUN, startedAt: '2026-01-31T12:00:00+01:00' }))).toEqual(['startedAt']);
  expect(pathsOf(parseRunRecord({ ...RUN, wallTimeMs: -1 }))).toEqual(['wallTimeMs']);
});

test('a direction is given by numbers or by an artefact, and a wrong number has its place', () => {
  const feature = { kind: 'direction', site: 'blocks.0.hook_resid_post' };
  expect(pathsOf(parseRecord(Feature, { ...feature, vector: HASH }, 'feature'))).toEqual([]);
  expect(pathsOf(parseRecord(Feature, { ...feature, vector: [0, 1] }, 'feature'))).toEqual([]);
  expect(pathsOf(parseRecord(Feature, { ...feature, vector: [0, Number.NaN] }, 'feature'))).toEqual(['vector[1]']);
  expect(pathsOf(parseRecord(Feature, { ...feature, vector: 'x' }, 'feature'))).toEqual(['vector']);
});

test('a p value lies between 0 and 1', () => {
  const evidence = { kind: 'test', name: 'sufficiency', h0: 'no better than random', statistic: 2, n: 200 };
  expect(pathsOf(parseRecord(Evidence, { ...evidence, p: 0.005 }, 'evidence'))).toEqual([]);
  expect(pathsOf(parseRecord(Evidence, { ...evidence, p: 1.5 }, 'evidence'))).toEqual(['p']);
});

test('a stored record is opened by its kind', () => {
  expect(openRecord(RUN)).toEqual({ ok: true, value: RUN });
  expect(openRecord(flat)).toEqual({ ok: true, value: flat });
});

test.each([null, undefined, 3, [], {}, { kind: 'toString' }, { kind: 'model' }])('%j is no stored record', (value) => {
  expect(openRecord(value)).toEqual({
    ok: false,
    issues: [
      {
        path: 'kind',
        message:
          'expected one of bench_run, bench_result, bench_end, captures, circuit, comparison, zoo_check, hypothesis, hypothesis_outcome, latent_statistics, ledger_entry, patching, plan, report, run, task',
      },
    ],
  });
});

import { expect, test } from 'vitest';
import { parseComparison } from './comparison.ts';
import { parseHypothesis } from './hypothesis.ts';
import { type Condition, type CriterionState, criteriaOf, holds } from './hypothesis-decision.ts';
import { parseLedgerEntry } from './hypothesis-ledger.ts';

const is = (criterion: string, state: CriterionState): Condition => ({ kind: 'is', criterion, state });
const HASH = `sha256:${'0'.repeat(64)}`;
const pathsOf = (parsed: ReturnType<typeof parseHypothesis | typeof parseComparison | typeof parseLedgerEntry>) =>
  parsed.ok ? [] : parsed.issues.map(({ path }) => path);

test('a condition holds by the states of its criteria; of nothing, all hold and none', () => {
  const states = new Map<string, CriterionState>([
    ['a', 'supported'],
    ['b', 'open'],
  ]);
  const cases: readonly (readonly [Condition, boolean])[] = [
    [is('a', 'supported'), true],
    [is('a', 'refuted'), false],
    [is('unknown', 'open'), false],
    [{ kind: 'not', of: is('b', 'refuted') }, true],
    [{ kind: 'all', of: [is('a', 'supported'), is('b', 'supported')] }, false],
    [{ kind: 'any', of: [is('a', 'supported'), is('b', 'supported')] }, true],
    [{ kind: 'all', of: [] }, true],
    [{ kind: 'any', of: [] }, false],
  ];
  for (const [condition, expected] of cases) expect(holds(condition, states)).toBe(expected);
  expect(criteriaOf({ kind: 'all', of: [is('a', 'open'), { kind: 'not', of: is('b', 'open') }] })).toEqual(['a', 'b']);
});

test('a hypothesis without rivals, controls or data is no hypothesis', () => {
  const nothing = { kind: 'hypothesis', version: 1, predictions: [], alternatives: [], controls: [], stimuli: [] };
  const paths = pathsOf(parseHypothesis(nothing));
  for (const path of ['predictions', 'alternatives', 'controls', 'stimuli', 'decision']) expect(paths).toContain(path);
});

test('a ledger entry has a time in UTC and says what happened', () => {
  const entry = {
    kind: 'ledger_entry',
    version: 1,
    index: 0,
    at: '2026-01-01T00:00:00.000Z',
    tool: 'circuitscope',
    toolVersion: '0',
    body: { kind: 'lock', hypothesis: HASH, name: 'x' },
  };
  expect(pathsOf(parseLedgerEntry(entry))).toEqual([]);
  expect(pathsOf(parseLedgerEntry({ ...entry, at: 'yesterday' }))).toEqual(['at']);
  expect(pathsOf(parseLedgerEntry({ ...entry, body: { kind: 'forget', lock: HASH } }))).toEqual(['body.kind']);
});

test('a comparison names each model once and pairs only models that it names', () => {
  const model = {
    kind: 'model',
    name: 'm',
    architecture: 'a',
    contentHash: HASH,
    view: 'raw',
    parameters: 1,
    dtype: 'f32',
  };
  const scores = { functional: 1, roles: 1, causal: 1, edges: 1 };
  const comparison = {
    kind: 'comparison',
    version: 1,
    name: 'x',
    models: ['one', 'two'].map((id) => ({ id, group: 'g', as: 'subject', model })),
    pairs: [{ a: 'one', b: 'two', matched: [], scores }],
    pairing: 'within',
    scores: [],
    similarities: [],
    verdict: { outcome: 'none', rule: { id: 'r', alpha: 0.05, scores: [] }, criteria: [] },
    provenance: { tool: 't', toolVersion: '0', numericsVersion: '0', method: 'm', parameters: {}, seeds: [], data: [] },
  };
  expect(pathsOf(parseComparison(comparison))).toEqual([]);
  expect(pathsOf(parseComparison({ ...comparison, pairs: [{ a: 'one', b: 'three', matched: [], scores }] }))).toEqual([
    'pairs[0].b',
  ]);
  expect(pathsOf(parseComparison({ ...comparison, models: [comparison.models[0], comparison.models[0]] }))).toContain(
    'models',
  );
});

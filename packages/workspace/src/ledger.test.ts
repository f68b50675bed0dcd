import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockHypothesis, reviseHypothesis, verifyLock } from '@circuitscope/core';
import { CircuitscopeError, type Hash, type Hypothesis, type HypothesisOutcome } from '@circuitscope/schema';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { gc } from './gc.ts';
import { readLedger, readLocked, storeLocked, storeOutcome } from './ledger.ts';
import { getJson } from './records.ts';
import { closeWorkspace, openWorkspace, type Workspace } from './workspace.ts';

let folder: string;
let workspace: Workspace;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-ledger-'));
  workspace = openWorkspace(join(folder, 'w'));
});
afterEach(() => {
  closeWorkspace(workspace);
  rmSync(folder, { recursive: true, force: true });
});

const HASH: Hash = `sha256:${'0'.repeat(64)}`;
const ranges = new Map([['x', [0, 1] as const]]);
const prediction = (id: string) => ({
  id,
  what: 'it is large',
  estimate: 'x',
  contrast: 'x against nothing',
  direction: 'at_least' as const,
  bound: 0.5,
  reason: 'half',
  alpha: 0.05,
  family: 'claim',
});
const hypothesis = (name: string): Hypothesis => ({
  kind: 'hypothesis',
  version: 1,
  name,
  revision: 1,
  claim: 'x is large',
  claimKind: 'feature',
  scope: { models: [], data: 'none' },
  definition: {
    what: 'x',
    units: [],
    sites: [],
    condition: 'x',
    chosenOn: [],
    unitOfAnalysis: 'prompt',
    exclusions: 'none',
  },
  predictions: [prediction('p')],
  alternatives: [{ id: 'small', claim: 'x is small', separatedBy: ['p'] }],
  interventions: [],
  controls: [{ kind: 'negative', what: 'nothing', criterion: 'c' }],
  controlPredictions: [{ ...prediction('c'), family: 'controls' }],
  stimuli: [{ id: 's', generator: 'g', parameters: {}, examples: 4, seed: { kind: 'from_lock', stream: 's' } }],
  analysis: {
    estimates: 'x',
    interval: 'bca',
    resamples: 10,
    correction: 'none',
    cluster: 'none',
    rng: 'philox',
    missing: 'refuse',
  },
  decision: {
    invalidIf: { kind: 'is', criterion: 'c', state: 'refuted' },
    falsifiedIf: { kind: 'is', criterion: 'p', state: 'refuted' },
    corroboratedIf: { kind: 'is', criterion: 'p', state: 'supported' },
  },
});
const AT = '2026-01-01T00:00:00.000Z';
const lock = (name: string, ledger = readLedger(workspace)) =>
  lockHypothesis(hypothesis(name), { at: AT, ledger, ranges });
const outcomeOf = (of: Hash, name: string): HypothesisOutcome => ({
  kind: 'hypothesis_outcome',
  version: 1,
  name,
  lock: of,
  hypothesis: HASH,
  model: { kind: 'model', name: 'm', architecture: 'a', contentHash: HASH, view: 'raw', parameters: 1, dtype: 'f32' },
  data: [],
  criteria: [],
  verdict: 'falsified',
  reasons: [],
  provenance: { tool: 't', toolVersion: '0', numericsVersion: '0', method: 'm', parameters: {}, seeds: [], data: [] },
});
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof CircuitscopeError) return error.code;
    throw error;
  }
  return 'nothing was thrown';
};
const entry = (index: number) => join(workspace.dir, 'ledger', `${String(index).padStart(8, '0')}.json`);

test('what was locked is read back as it was, and what came of it stands behind it', () => {
  const locked = lock('one');
  storeLocked(workspace, locked);
  const outcome = storeOutcome(workspace, outcomeOf(locked.lock, 'one'), AT);
  expect(readLocked(workspace, locked.lock).hypothesis).toEqual(locked.hypothesis);
  expect(readLedger(workspace).map(({ body }) => body)).toEqual([
    { kind: 'lock', hypothesis: expect.stringMatching(/^sha256:/), name: 'one' },
    { kind: 'outcome', lock: locked.lock, outcome },
  ]);
  expect(readdirSync(join(workspace.dir, 'ledger'))).toEqual(['00000000.json', '00000001.json']);
});

test('an outcome without its lock is refused', () => {
  expect(codeOf(() => storeOutcome(workspace, outcomeOf(HASH, 'none'), AT))).toBe('unknown_lock');
});

test('two that lock at the same time: the second is refused and locks anew', () => {
  const before = readLedger(workspace);
  storeLocked(workspace, lock('first', before));
  const second = lock('second', before);
  expect(codeOf(() => storeLocked(workspace, second))).toBe('ledger_moved');
  storeLocked(workspace, lock('second'));
  expect(readLedger(workspace)).toHaveLength(2);
});

test('a revision names the lock that it revises and has another one', () => {
  const first = lock('one');
  storeLocked(workspace, first);
  const revised = reviseHypothesis(first, { claim: 'x is larger' });
  const second = lockHypothesis(revised, { at: AT, ledger: readLedger(workspace), ranges });
  storeLocked(workspace, second);
  expect(readLocked(workspace, second.lock).hypothesis).toMatchObject({ revision: 2, parent: first.lock });
  expect(second.lock).not.toBe(first.lock);
});

describe('what is changed behind the ledger’s back is found:', () => {
  const three = () => {
    for (const name of ['one', 'two', 'three']) storeLocked(workspace, lock(name));
    return readLedger(workspace);
  };
  const rewrite = (path: string, change: (text: string) => string) =>
    writeFileSync(path, change(readFileSync(path, 'utf8')));

  test.each([
    ['the time of an entry', () => rewrite(entry(1), (text) => text.replace(AT, '2026-01-01T00:00:00.001Z'))],
    ['the name of an entry', () => rewrite(entry(0), (text) => text.replace('"one"', '"uno"'))],
    ['the number of an entry', () => rewrite(entry(2), (text) => text.replace('"index":2', '"index":1'))],
    ['an entry taken out', () => rmSync(entry(1))],
    [
      'two entries exchanged',
      () => {
        const [a, b] = [readFileSync(entry(1)), readFileSync(entry(2))];
        writeFileSync(entry(1), b);
        writeFileSync(entry(2), a);
      },
    ],
  ])('%s', (_, change) => {
    three();
    change();
    expect(codeOf(() => readLedger(workspace))).toBe('broken_ledger');
    expect(codeOf(() => storeLocked(workspace, lock('four')))).toBe('broken_ledger');
  });

  test('the locked record itself', () => {
    const locked = lock('one');
    const hash = storeLocked(workspace, locked);
    const digits = hash.slice('sha256:'.length);
    const path = join(workspace.dir, 'artefacts', digits.slice(0, 2), `${digits}.json`);
    rewrite(path, (text) => text.replace('"bound":0.5', '"bound":0.1'));
    expect(codeOf(() => readLocked(workspace, locked.lock))).toBe('corrupt_artefact');
    const softer = { ...locked.hypothesis, predictions: [{ ...prediction('p'), bound: 0.1 }] };
    expect(codeOf(() => verifyLock({ ...locked, hypothesis: softer }))).toBe('tampered_hypothesis');
  });
});

test('no sweep takes what the ledger names, not even one that is told what to keep', () => {
  const locked = lock('one');
  const hash = storeLocked(workspace, locked);
  const outcome = storeOutcome(workspace, outcomeOf(locked.lock, 'one'), AT);
  gc(workspace, { graceMs: 0, keep: [] });
  expect(getJson(workspace, hash)).toMatchObject({ name: 'one' });
  expect(getJson(workspace, outcome)).toMatchObject({ verdict: 'falsified' });
  expect(readLedger(workspace)).toHaveLength(2);
});

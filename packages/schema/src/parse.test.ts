import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import * as arbitrary from './arbitrary.fixture.ts';
import { canonicalJson } from './canonical-json.ts';
import { isHash, parseHash } from './hash.ts';
import { Intervention } from './intervention.ts';
import { Json } from './json.ts';
import { mustParse, parseRecord } from './parse.ts';
import { Plan, parsePlan } from './plan.ts';
import { Provenance } from './provenance.ts';
import { Scope } from './scope.ts';
import { MAX_LIST, MAX_TEXT } from './shape.ts';
import { MAX_DEPTH, MAX_VALUES } from './structure.ts';
import { UnitRef } from './unit.ts';

const HASH = `sha256:${'0'.repeat(64)}`;
const PLAN = { kind: 'plan', version: 1, graph: HASH, interventions: [], readouts: [] };
const issuesOf = (schema: Parameters<typeof parseRecord>[0], value: unknown) => {
  const parsed = parseRecord(schema, value, 'record');
  return parsed.ok ? [] : parsed.issues;
};

test('a plan is read back from its text', () => {
  fc.assert(
    fc.property(arbitrary.plan, (plan) => {
      expect(mustParse(Plan, JSON.parse(canonicalJson(plan)), 'plan')).toEqual(plan);
    }),
  );
});

test('what was parsed is a frozen copy', () => {
  const given = { site: 'hook_embed', head: [1] };
  const scope = mustParse(Scope, given, 'scope');
  expect(scope).not.toBe(given);
  expect(Object.isFrozen(scope) && Object.isFrozen(scope.head)).toBe(true);
});

test('an unknown key is an issue at that key, however deep', () => {
  const plan = { ...PLAN, extra: 1, readouts: [{ kind: 'capture', at: { site: 'hook_embed', heads: [1] } }] };
  expect(issuesOf(Plan, plan)).toEqual([
    { path: 'readouts[0].at.heads', message: 'unknown key' },
    { path: 'extra', message: 'unknown key' },
  ]);
});

test('an unknown kind is an issue that lists the known ones', () => {
  const [issue] = issuesOf(Plan, { ...PLAN, readouts: [{ kind: 'perplexity' }] });
  expect(issue).toEqual({
    path: 'readouts[0].kind',
    message: 'expected one of capture, logitDiff, topK, entropy, logProb, rank, kl, loss, project, latents, gradient',
  });
});

test('every issue has its path', () => {
  const write = { kind: 'write', at: { site: 'no site' }, op: 'set', value: { kind: 'const', value: '0' } };
  expect(issuesOf(Plan, { ...PLAN, interventions: [write] }).map((issue) => issue.path)).toEqual([
    'interventions[0].at.site',
    'interventions[0].value.value',
  ]);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, null, '1', undefined])('%s is no number of a record', (value) => {
  const write = { kind: 'write', at: { site: 'hook_embed' }, op: 'set', value: { kind: 'const', value } };
  expect(issuesOf(Intervention, write).map((issue) => issue.path)).toEqual(['value.value']);
});

test('a key that is present and undefined is an issue, as JSON cannot say it', () => {
  expect(issuesOf(Scope, { site: 'hook_embed', at: undefined }).map((issue) => issue.path)).toEqual(['at']);
});

test.each([-1, 0.5, 2 ** 53])('%d is no index', (layer) => {
  expect(issuesOf(UnitRef, { kind: 'mlp', layer }).map((issue) => issue.path)).toEqual(['layer']);
});

test('steer and clamp need a value and project_out takes none', () => {
  const direction = { kind: 'direction', at: { site: 'hook_embed' }, direction: HASH };
  expect(issuesOf(Intervention, { ...direction, op: 'steer' }).map((issue) => issue.path)).toEqual(['value']);
  expect(issuesOf(Intervention, { ...direction, op: 'project_out', value: 1 }).map((issue) => issue.path)).toEqual([
    'value',
  ]);
});

test('answer and wrong answer are lists of equal length', () => {
  const readout = { kind: 'logitDiff', at: { kind: 'last' }, answer: [1, 2], wrong: [1] };
  expect(issuesOf(Plan, { ...PLAN, readouts: [readout] }).map((issue) => issue.path)).toEqual(['readouts[0].wrong']);
});

test('the error of mustParse names the record, the place and how much else is wrong', () => {
  expect(() => mustParse(UnitRef, { kind: 'head', layer: -1, head: -1 }, 'unit')).toThrow(
    expect.objectContaining({
      code: 'invalid_record',
      at: 'layer',
      message: expect.stringMatching(/^Not a valid unit: at layer, .*\(and 1 more\)\.$/),
    }),
  );
  expect(() => mustParse(Plan, null, 'plan')).toThrow(/^Not a valid plan: plan: expected object, received null\.$/);
});

test('a hash is 64 lower-case digits', () => {
  expect(parseHash(HASH)).toBe(HASH);
  expect(isHash(HASH.toUpperCase())).toBe(false);
  for (const bad of [
    '',
    'sha256:',
    HASH.slice(0, -1),
    `${HASH}0`,
    `${HASH}\n`,
    HASH.replace('0', 'A'),
    HASH.replace('0', 'g'),
  ]) {
    expect(issuesOf(Plan, { ...PLAN, graph: bad })).toHaveLength(1);
    expect(() => parseHash(bad)).toThrow(expect.objectContaining({ code: 'bad_hash' }));
  }
});

test('a __proto__ key is refused and reaches no prototype', () => {
  const hostile: unknown = JSON.parse('{"kind":"mlp","layer":0,"__proto__":{"polluted":true}}');
  expect(issuesOf(UnitRef, hostile)).toEqual([{ path: '__proto__', message: 'this key is never allowed' }]);
  const table: unknown = JSON.parse('{"a":[{"__proto__":{"polluted":true}}]}');
  expect(issuesOf(Json, table).map((issue) => issue.path)).toEqual(['a[0].__proto__']);
  expect(Reflect.get({}, 'polluted')).toBeUndefined();
});

test('instances of classes are refused, plain objects without a prototype are not', () => {
  expect(issuesOf(UnitRef, new Date(0))).toEqual([
    { path: '', message: 'expected plain JSON data, got an object of a class' },
  ]);
  expect(issuesOf(UnitRef, Object.assign(Object.create(null), { kind: 'input' }))).toEqual([]);
});

test('nesting beyond the limit is an issue, not a stack overflow', () => {
  let deep: unknown = 0;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  const [issue, ...others] = issuesOf(Plan, { ...PLAN, interventions: deep });
  expect(others).toEqual([]);
  expect(issue?.message).toBe(`nested deeper than ${MAX_DEPTH} levels`);
  const loop: { self?: unknown } = {};
  loop.self = loop;
  expect(issuesOf(Plan, loop)[0]?.message).toBe(issue?.message);
});

test('a vast sparse list costs nothing', () => {
  const started = performance.now();
  expect(issuesOf(Plan, { ...PLAN, readouts: new Array(2 ** 32 - 1) })).toEqual([
    { path: 'readouts', message: `more than ${MAX_VALUES} values in one record` },
  ]);
  expect(performance.now() - started).toBeLessThan(5000);
});

test('a list above its bound and a text above its bound are issues', () => {
  expect(issuesOf(Scope, { site: 'hook_embed', head: new Array(MAX_LIST + 1).fill(0) })[0]?.path).toBe('head');
  const provenance = {
    tool: 'x',
    toolVersion: '1',
    numericsVersion: '1',
    method: 'm',
    parameters: {},
    seeds: [],
    data: [],
  };
  const long = { ...provenance, data: [{ hash: HASH, n: 1, how: 'x'.repeat(MAX_TEXT + 1) }] };
  expect(issuesOf(Provenance, provenance)).toEqual([]);
  expect(issuesOf(Provenance, long).map((issue) => issue.path)).toEqual(['data[0].how']);
});

test('a million wrong entries give at most a hundred issues', () => {
  expect(issuesOf(Plan, { ...PLAN, readouts: new Array(1_000_000).fill(null) })).toHaveLength(1);
  expect(issuesOf(Plan, { ...PLAN, readouts: new Array(1000).fill(null) })).toHaveLength(100);
  const keys = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`key${i}`, 0]));
  expect(issuesOf(UnitRef, { kind: 'input', ...keys })).toHaveLength(100);
});

test('whatever is given, parsing answers and does not throw', () => {
  fc.assert(fc.property(fc.anything(), (value) => typeof parsePlan(value).ok === 'boolean'));
});

test('parameters of foreign shape are kept as they are', () => {
  const parameters = { nested: [{ a: null, b: [true, 'x', 1.5] }] };
  const provenance = {
    tool: 'x',
    toolVersion: '1',
    numericsVersion: '1',
    method: 'm',
    parameters,
    seeds: [0],
    data: [],
  };
  expect(mustParse(Provenance, provenance, 'provenance').parameters).toEqual(parameters);
  const infinite = { ...provenance, parameters: { nested: [{ a: Number.NaN }] } };
  expect(issuesOf(Provenance, infinite).map((issue) => issue.path)).toEqual(['parameters.nested[0].a']);
});

test('parsing generates no code, so that a strict content security policy holds', () => {
  expect(z.config().jitless).toBe(true);
});

import { expect, test } from 'vitest';
import { EdgeWeight, SIGNS_OF_WEIGHT, Sign, WEIGHT_KINDS } from './edge-weight.ts';
import { parseRecord } from './parse.ts';

const pathsOf = (weight: object) => {
  const parsed = parseRecord(EdgeWeight, { method: 'm', value: 0, ablation: 'zero', ...weight }, 'weight');
  return parsed.ok ? [] : parsed.issues.map((issue) => issue.path);
};

test('each kind of weight is listed once and admits exactly its own signs', () => {
  expect([...WEIGHT_KINDS].sort()).toEqual(Object.keys(SIGNS_OF_WEIGHT).sort());
  for (const kind of WEIGHT_KINDS) {
    const accepted = Sign.options.filter((sign) => pathsOf({ kind, sign }).length === 0);
    expect(accepted.sort()).toEqual([...SIGNS_OF_WEIGHT[kind]].sort());
  }
});

test('an unsigned norm is never an effective weight, nor negative', () => {
  expect(pathsOf({ kind: 'effective_ov', sign: 'unsigned_norm' })).toEqual(['sign']);
  expect(pathsOf({ kind: 'composition', sign: 'unsigned_norm', value: -0.1 })).toEqual(['value']);
  expect(pathsOf({ kind: 'effective_ov', sign: 'signed_weight', value: -0.1 })).toEqual([]);
});

test('a share lies between 0 and 1, an indicator is one of them', () => {
  expect(pathsOf({ kind: 'attention', sign: 'unsigned_share', value: 1.01 })).toEqual(['value']);
  expect(pathsOf({ kind: 'membership', sign: 'indicator', value: 0.5 })).toEqual(['value']);
  expect(pathsOf({ kind: 'membership', sign: 'indicator', value: 1 })).toEqual([]);
});

test('an exact effect says what was put in place of the edge', () => {
  const effect = { kind: 'patch_effect', sign: 'clean_minus_cut', value: 1, method: 'edge_cut' };
  const parsed = parseRecord(EdgeWeight, effect, 'weight');
  expect(parsed).toEqual({
    ok: false,
    issues: [{ path: 'ablation', message: 'an exact effect says what was put in place' }],
  });
});

test('an interval has its low end first', () => {
  const weight = { kind: 'virtual', sign: 'signed_weight' };
  expect(pathsOf({ ...weight, interval: [-1, 1] })).toEqual([]);
  expect(pathsOf({ ...weight, interval: [1, -1] })).toEqual(['interval']);
  expect(pathsOf({ ...weight, interval: [1] })).toEqual(['interval']);
});

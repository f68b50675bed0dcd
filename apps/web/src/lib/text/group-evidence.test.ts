import type { Evidence } from '@circuitscope/schema';
import { expect, it } from 'vitest';
import { groupEvidence } from './group-evidence.ts';

const test = (p: number, family?: string): Evidence => ({
  kind: 'test',
  name: `p ${p}`,
  h0: 'nothing',
  statistic: 0,
  p,
  n: 8,
  ...(family ? { family: { name: family, size: 2 } } : {}),
});

it('tests that were corrected together stand together, with the largest p', () => {
  const score: Evidence = { kind: 'score', name: 'share', value: 1 };
  const entries = groupEvidence([test(0.01, 'edges'), score, test(0.04, 'edges'), test(0.5, 'alone'), test(0.2)]);
  expect(
    entries.map((entry) =>
      entry.kind === 'family' ? [entry.name, entry.tests.length, entry.largestP] : entry.evidence.kind,
    ),
  ).toEqual([['edges', 2, 0.04], 'score', 'test', 'test']);
});

import { chooseExecutor } from '@circuitscope/core';
import { canonicalJson } from '@circuitscope/schema';
import { expect, test } from 'vitest';
import { checkZoo } from './check-zoo.ts';
import { expectations } from './expectations.ts';

const { executor } = await chooseExecutor();

test('on the small members every method finds what is true, or fails where it is written that it must', {
  timeout: 120_000,
}, async () => {
  const rows = await checkZoo({ executor, quick: true, seed: 11 });
  const bad = rows.filter(({ outcome }) => outcome === 'wrong' || outcome === 'unexpectedly_right');
  expect(bad).toEqual([]);
  for (const outcome of ['right', 'fails_as_expected', 'baseline', 'not_applicable'])
    expect(rows.some((row) => row.outcome === outcome)).toBe(true);
  // Whatever is known to fail says why.
  for (const row of rows) if (row.outcome === 'fails_as_expected') expect(row.expected?.length).toBeGreaterThan(40);
});

test('one member alone gives the rows that it has among all, twice the same', async () => {
  const options = { executor, quick: true, seed: 11, members: ['rasp-hist'] };
  const rows = await checkZoo(options);
  expect(new Set(rows.map(({ member }) => member))).toEqual(new Set(['rasp-hist']));
  expect(canonicalJson([...(await checkZoo(options))])).toBe(canonicalJson([...rows]));
});

test('no expectation stands twice', () => {
  const keys = expectations.flatMap(({ member, ablation, metric, methods }) =>
    methods.map((method) => `${member} ${ablation} ${metric} ${method}`),
  );
  expect(new Set(keys).size).toBe(keys.length);
});

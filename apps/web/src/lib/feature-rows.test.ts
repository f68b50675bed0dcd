import { type Circuit, Circuit as CircuitSchema, mustParse } from '@circuitscope/schema';
import { expect, it } from 'vitest';
import fixture from '../../e2e/fixtures/circuit.json' with { type: 'json' };
import { featureGroups } from './feature-rows.ts';

const circuit: Circuit = mustParse(CircuitSchema, fixture, 'circuit');

it('features with the same scores share a table', () => {
  expect(featureGroups(circuit).map(({ rows }) => rows.map(({ label }) => label))).toEqual([
    ['previous token', 'induction'],
    ['the token before was c'],
  ]);
});

it('a head that no feature names brings the scores of its node', () => {
  const { features: _, ...plain } = circuit;
  const rows = featureGroups(plain).flatMap((group) => group.rows);
  expect(rows.map(({ where }) => where)).toEqual(['head 0.0', 'head 1.0']);
  expect(rows[0]?.scores).toEqual({ previous_token: { value: 1, interval: [1, 1], n: 64 } });
});

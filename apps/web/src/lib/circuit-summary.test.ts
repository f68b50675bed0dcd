import { type Circuit, Circuit as CircuitSchema, mustParse } from '@circuitscope/schema';
import { expect, it } from 'vitest';
import fixture from '../../e2e/fixtures/circuit.json' with { type: 'json' };
import { filterSummaries, summarise } from './circuit-summary.ts';

const circuit: Circuit = mustParse(CircuitSchema, fixture, 'circuit');
const row = summarise(`sha256:${'b'.repeat(64)}`, circuit, null);

it('a row counts the edges and takes the faithfulness from held-back data', () => {
  expect([row.inside, row.edges, row.foundAt]).toEqual([7, 12, null]);
  expect(row.faithfulness?.value).toBe(circuit.metrics?.find(({ heldBack }) => heldBack)?.value);
});

it('a filter wants every word, in any field and any case', () => {
  expect(filterSummaries([row], 'HAND induction')).toEqual([row]);
  expect(filterSummaries([row], '  ')).toEqual([row]);
  expect(filterSummaries([row], 'bbbb')).toEqual([row]);
  expect(filterSummaries([row], 'induction gpt2')).toEqual([]);
});

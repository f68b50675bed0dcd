import { type Circuit, type CircuitMetric, Circuit as CircuitSchema, mustParse } from '@circuitscope/schema';
import { expect, it } from 'vitest';
import fixture from '../../../e2e/fixtures/circuit.json' with { type: 'json' };
import { claimSentence, metricNamed } from './claim-sentence.ts';

const circuit: Circuit = mustParse(CircuitSchema, fixture, 'circuit');
const { metrics: _, ...unmeasured } = circuit;
const metric: CircuitMetric = {
  name: 'faithfulness',
  value: 0.981,
  interval: [0.95, 1],
  n: 64,
  metric: 'logit_diff',
  ablation: 'resample',
  heldBack: true,
};

it('the claim says what was measured and what random circuits keep', () => {
  expect(
    claimSentence({
      ...unmeasured,
      metrics: [{ ...metric, random: { count: 200, mean: 0.031, p: 0.00498 } }],
    }).replaceAll('\u00a0', ' '),
  ).toBe(
    '7 of 12 edges keep 98.1 % [95, 100] of the model’s logit diff on induction-handwritten when everything outside is taken from a corrupt prompt; 200 random circuits of its size keep 3.1 % on average (p = 0.005).',
  );
});

it('the claim of a circuit that nobody measured says so', () => {
  expect(claimSentence(unmeasured)).toContain('was not measured');
});

it('a number from the data that found the circuit is not passed off as a test', () => {
  expect(claimSentence({ ...unmeasured, metrics: [{ ...metric, heldBack: false }] })).toContain(
    'measured on the examples that it was found on',
  );
});

it('held-back data come before the others', () => {
  const metrics = [{ ...metric, heldBack: false, value: 1 }, metric];
  expect(metricNamed({ ...unmeasured, metrics }, 'faithfulness')?.value).toBe(0.981);
});

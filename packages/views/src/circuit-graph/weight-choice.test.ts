import { expect, test } from 'vitest';
import { inductionCircuit } from '../fixtures/induction-circuit.ts';
import { choiceLabel, chosenWeight, findChoice, listWeightChoices } from './weight-choice.ts';

const choices = listWeightChoices(inductionCircuit);
const edge = (id: string) => inductionCircuit.edges.find((candidate) => candidate.id === id)!;

test('each kind, ablation and unit is a choice of its own, with the edges that hold it', () => {
  expect(choices.map((choice) => [choiceLabel(choice), choice.edges])).toEqual([
    ['patch effect, zero ablation (logit_diff)', 12],
    ['patch effect, resample ablation (logit_diff)', 12],
    ['patch effect, zero ablation (accuracy)', 12],
    ['patch effect, resample ablation (accuracy)', 12],
    ['effective weight through QK', 6],
    ['effective weight through OV', 3],
    ['composition', 3],
    ['composition, minus baseline', 3],
  ]);
});

test('K-composition of the written heads is 0.35355 raw and less its baseline beside it', () => {
  const raw = choices.find((choice) => choice.kind === 'composition' && !choice.minusBaseline)!;
  const less = choices.find((choice) => choice.minusBaseline)!;
  expect(chosenWeight(edge('e7'), raw)?.value).toBe(0.35355);
  expect(chosenWeight(edge('e7'), less)?.value).toBeCloseTo(0.35355 - 0.158);
});

test('an edge without the chosen weight has none, which is not 0', () => {
  const composition = choices.find((choice) => choice.kind === 'composition')!;
  expect(chosenWeight(edge('e0'), composition)).toBeUndefined();
  expect(chosenWeight(edge('e6'), composition)?.value).toBe(0);
});

test('a choice is found by key, by kind, and else is the first', () => {
  expect(findChoice(choices, choices[3]!.key)).toBe(choices[3]);
  expect(findChoice(choices, 'effective_ov')?.kind).toBe('effective_ov');
  expect(findChoice(choices, 'no such kind')).toBe(choices[0]);
  expect(findChoice([], 'patch_effect')).toBeUndefined();
});

const withMethods = (methods: (edge: number) => readonly string[]) =>
  listWeightChoices({
    ...inductionCircuit,
    edges: inductionCircuit.edges.map((candidate, i) => ({
      ...candidate,
      weights: methods(i).map((method, k) => ({ kind: 'virtual', value: k - 5, method, sign: 'signed_weight' })),
    })),
  });

test('two methods on the same edges are two columns', () => {
  const both = withMethods(() => ['EAP', 'EAP-IG']);
  expect(both.map((choice) => choiceLabel(choice))).toEqual(['virtual weight, EAP', 'virtual weight, EAP-IG']);
  expect(both.map((choice) => choice.edges)).toEqual([12, 12]);
});

test('methods that only describe their edge share a column', () => {
  const one = withMethods((i) => [`through ${i}`]);
  expect(one.map((choice) => [choiceLabel(choice), choice.method, choice.edges])).toEqual([
    ['virtual weight', undefined, 12],
  ]);
});

test('of several descriptions on one edge the largest weight stands for it', () => {
  const [one, ...more] = withMethods((i) => [`to ${i}`, `past ${i}`]);
  expect(more).toEqual([]);
  const weights = [-5, 3].map(
    (value) => ({ kind: 'virtual', value, method: `by ${value}`, sign: 'signed_weight' }) as const,
  );
  expect(chosenWeight({ ...edge('e0'), weights }, one!)?.value).toBe(-5);
});

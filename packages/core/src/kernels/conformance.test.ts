import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { conformanceCases, findDeviations } from './conformance.ts';
import { type KernelCall, type KernelResult, kernels } from './contract.ts';
import { runReference } from './reference/index.ts';

// Another implementation joins with one line; `bits` also holds it to the bits of the f32 reference.
const implementations: { name: string; bits: boolean; run: (call: KernelCall) => Promise<KernelResult> }[] = [
  { name: 'reference', bits: true, run: async (call) => runReference(call, 'f32') },
];

describe.each(implementations)('$name', ({ bits, run }) => {
  test.each(conformanceCases)('$name', async (entry) => {
    if (entry.fails) {
      const error = await run(entry).catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(CircuitscopeError);
      expect(error).toHaveProperty('code', entry.fails);
    } else expect(findDeviations(entry, await run(entry), { bits })).toEqual([]);
  });
});

test('every kernel has cases, and their names are unique', () => {
  expect(new Set(conformanceCases.map((entry) => entry.kernel))).toEqual(new Set(Object.keys(kernels)));
  const names = conformanceCases.map((entry) => entry.name);
  expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
});

test('the float64 oracle gives the known answers to 1e-12', () => {
  let compared = 0;
  for (const entry of conformanceCases) {
    if (!entry.expect || entry.fails || entry.rounded) continue;
    for (const [index, value] of runReference(entry, 'f64').entries()) {
      const known = entry.expect[index];
      if (!value || !known) continue;
      for (const [i, got] of value.data.entries()) {
        const wish = known[i] ?? Number.NaN;
        const close = Object.is(got, wish) || Math.abs(got - wish) <= 1e-12 * Math.max(1, Math.abs(wish));
        expect(close, `${entry.name} [${i}]: ${got}, known ${wish}`).toBe(true);
        compared += 1;
      }
    }
  }
  expect(compared).toBeGreaterThan(200);
});

test('a wrong bit, a missing output, a wrong shape and an unwanted output are found', () => {
  const entry = conformanceCases.find(({ name }) => name === 'norm: layer of (1, 3): mean 2, variance 1');
  if (!entry) throw new Error('the case is gone');
  const [out = null, scale = null, normalized = null] = runReference(entry);
  const off = { shape: [1, 2], data: Float32Array.from([8, 24.000002]) };
  expect(findDeviations(entry, [off, scale, normalized], { bits: false })).toHaveLength(2);
  expect(findDeviations(entry, [out, null, normalized], { bits: false })).toEqual(['output 1 is missing']);
  const flat = { shape: [2], data: Float32Array.from([8, 24]) };
  expect(findDeviations(entry, [flat, scale, normalized], { bits: false })).toHaveLength(1);
  const only = { ...entry, wanted: [true, false, false] };
  expect(findDeviations(only, [out, scale, null], { bits: false })).toHaveLength(1);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import current from '../../fixtures/induction.json' with { type: 'json' };
import before from '../../fixtures/induction-version-0.json' with { type: 'json' };
import { parseCircuit } from '../circuit.ts';
import { CURRENT_VERSION, type RecordKind, upgrade } from './upgrade.ts';

const kinds: readonly RecordKind[] = ['circuit', 'plan', 'run', 'task'];

test('a circuit of version 0 becomes the same circuit of version 1', () => {
  expect(upgrade(before, 'circuit')).toEqual({ ok: true, value: current });
  expect(parseCircuit(before)).toEqual(parseCircuit(current));
  expect(parseCircuit(before).ok).toBe(true);
});

test('circuits inside are upgraded too, and the record that was given stays as it is', () => {
  const given = { ...before, id: 'outer', circuits: [before] };
  const copy = structuredClone(given);
  expect(upgrade(given, 'circuit')).toEqual({ ok: true, value: { ...current, id: 'outer', circuits: [current] } });
  expect(given).toEqual(copy);
});

test('a record of the current version is not changed', () => {
  expect(upgrade(current, 'circuit')).toEqual({ ok: true, value: current });
});

test('what a step does not recognise is left for the parser to report', () => {
  const parsed = parseCircuit({ ...before, edges: [{ ...before.edges[0], weight: 'heavy' }, 3] });
  expect(parsed.ok ? [] : parsed.issues.map((issue) => issue.path)).toEqual(['edges[0].weights[0].value', 'edges[1]']);
});

test.each([2, -1, 0.5, '1', undefined])('version %s is refused with the path `version`', (version) => {
  const upgraded = upgrade({ ...current, version }, 'circuit');
  expect(upgraded.ok ? [] : upgraded.issues.map((issue) => issue.path)).toEqual(['version']);
});

test('a version with no step towards the present is refused', () => {
  expect(upgrade({ kind: 'plan', version: 0 }, 'plan')).toEqual({
    ok: false,
    issues: [{ path: 'version', message: 'no step leads from version 0 of a plan' }],
  });
});

test('a record of another kind is refused', () => {
  for (const kind of kinds) {
    const upgraded = upgrade({ kind: 'model', version: CURRENT_VERSION[kind] }, kind);
    expect(upgraded.ok ? [] : upgraded.issues.map((issue) => issue.path)).toEqual(['kind']);
  }
});

test('no step throws, whatever stands in the record', () => {
  const circuit = fc.record(
    { edges: fc.anything(), circuits: fc.anything(), nodes: fc.anything() },
    { requiredKeys: [] },
  );
  fc.assert(fc.property(circuit, (rest) => upgrade({ kind: 'circuit', version: 0, ...rest }, 'circuit').ok));
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as arbitrary from './arbitrary.fixture.ts';
import { edgeLabel, parseEdgeLabel, parseReaderLabel, parseUnitLabel, readerLabel, unitLabel } from './unit-label.ts';

test('labels are those of the field', () => {
  expect(unitLabel({ kind: 'input' })).toBe('input');
  expect(unitLabel({ kind: 'head', layer: 0, head: 3 })).toBe('0.3');
  expect(unitLabel({ kind: 'mlp', layer: 0 })).toBe('mlp0');
  expect(readerLabel({ kind: 'head', layer: 1, head: 0, port: 'k' })).toBe('1.0.K');
  expect(unitLabel({ kind: 'input', stack: 'encoder' })).toBe('enc.input');
  expect(unitLabel({ kind: 'mlp', stack: 'decoder', layer: 0 })).toBe('dec.mlp0');
  expect(
    edgeLabel({
      from: { kind: 'head', stack: 'encoder', layer: 1, head: 2 },
      to: { kind: 'head', stack: 'cross', layer: 0, head: 3, port: 'v' },
    }),
  ).toBe('enc.1.2→cross.0.3.V');
  expect(
    edgeLabel({ from: { kind: 'head', layer: 0, head: 0 }, to: { kind: 'head', layer: 1, head: 0, port: 'k' } }),
  ).toBe('0.0→1.0.K');
});

test('every unit, reader and edge is read back from its label', () => {
  fc.assert(
    fc.property(arbitrary.unit, arbitrary.reader, (from, to) => {
      expect(parseUnitLabel(unitLabel(from))).toEqual(from);
      expect(parseReaderLabel(readerLabel(to))).toEqual(to);
      expect(parseEdgeLabel(edgeLabel({ from, to }))).toEqual({ from, to });
    }),
  );
});

test('a keyboard without an arrow, and a port in small letters, will do', () => {
  const edge = { from: { kind: 'head', layer: 0, head: 0 }, to: { kind: 'head', layer: 1, head: 0, port: 'k' } };
  expect(parseEdgeLabel('0.0 -> 1.0.k')).toEqual(edge);
});

test.each([
  '',
  '1',
  '1.',
  '1.2.3',
  'mlp',
  'mlp-1',
  'mlp1.5',
  '0.0.K',
  'error:',
  'enc.',
  'enc.logits',
  'cross.input',
  'cross.mlp0',
  'error:a b',
  'sha256:ab#1',
  `${'1'.repeat(16)}.1`,
])('%j names no unit', (label) => {
  expect(() => parseUnitLabel(label)).toThrow(expect.objectContaining({ code: 'bad_label' }));
});

test.each(['', '1.0', '1.0.X', 'input', 'mlp', 'cross.mlp1', 'enc.logits', 'dec.1.0'])(
  '%j names no reader',
  (label) => {
    expect(() => parseReaderLabel(label)).toThrow(expect.objectContaining({ code: 'bad_label' }));
  },
);

test.each(['0.0', '0.0→', '0.0→1.0.K→2.0.K'])('%j names no edge', (label) => {
  expect(() => parseEdgeLabel(label)).toThrow(expect.objectContaining({ code: 'bad_label' }));
});

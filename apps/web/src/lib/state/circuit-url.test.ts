import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CircuitView, readView, START, writeView } from './circuit-url.ts';

const read = (query: string) => readView(new URLSearchParams(query));

const target = fc.record({
  kind: fc.constantFrom('node' as const, 'edge' as const),
  id: fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }),
});
const view: fc.Arbitrary<CircuitView> = fc.record({
  selected: fc.option(target),
  cuts: fc.uniqueArray(target, { maxLength: 6, selector: ({ kind, id }) => kind + id }),
  ablation: fc.constantFrom('zero' as const, 'resample' as const, null),
  head: fc.option(fc.record({ layer: fc.nat(99), head: fc.nat(99) })),
  example: fc.nat(999),
});

describe('the address of a circuit page', () => {
  it('gives back every view that was written', () => {
    fc.assert(
      fc.property(view, (value) => {
        expect(read(writeView(value))).toEqual(value);
      }),
    );
  });

  it('is empty for the view that a page starts with', () => {
    expect(writeView(START)).toBe('');
    expect(read('')).toEqual(START);
  });

  it('keeps what ids hold, markup and ampersands included', () => {
    const selected = { kind: 'edge', id: '<img src=x onerror=alert(1)>&cut=node:n1' } as const;
    expect(read(writeView({ ...START, selected }))).toEqual({ ...START, selected });
  });

  it('leaves out what it does not understand', () => {
    expect(read('select=nothing:n1&cut=e1&cut=edge:&ablation=mean&head=1.x&example=-3')).toEqual(START);
  });

  it('cuts a thing once and not thousands of them', () => {
    expect(read('cut=edge:e1&cut=edge:e1').cuts).toEqual([{ kind: 'edge', id: 'e1' }]);
    expect(read(Array.from({ length: 5000 }, (_, i) => `cut=edge:e${i}`).join('&')).cuts.length).toBeLessThanOrEqual(
      64,
    );
  });
});

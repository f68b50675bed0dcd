import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type KernelBenchView, readView, START, writeView } from './kernel-bench-url.ts';

const read = (query: string) => readView(new URLSearchParams(query));
const name = fc.option(fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }));
const view: fc.Arbitrary<KernelBenchView> = fc.record({
  run: name,
  beside: name,
  reference: name,
  operation: name,
  threads: fc.option(fc.integer({ min: 1, max: 9999 })),
});

describe('the address of the page of benchmarks', () => {
  it('gives back every view that was written', () => {
    fc.assert(
      fc.property(view, (value) => {
        expect(read(writeView(value))).toEqual(value);
      }),
    );
  });

  it('is empty for the view that the page starts with', () => {
    expect(writeView(START)).toBe('');
    expect(read('')).toEqual(START);
  });

  it('leaves out what it does not understand', () => {
    expect(read(`run=&threads=0&threads=2&beside=${'x'.repeat(600)}`)).toEqual(START);
    expect(read('threads=two')).toEqual(START);
  });
});

import { describe, expect, test } from 'vitest';
import { auroc } from '../statistics/index.ts';
import { type FeatureProperty, featureData, hasProperty } from './feature-data.ts';

const size = { vocab: 20, context: 32 };
const properties: readonly FeatureProperty[] = [{ kind: 'repeated' }, { kind: 'previousIs', token: 3 }];

for (const property of properties) {
  describe(`data of ${property.kind}`, () => {
    const data = featureData(size, property, { seed: 4, pairs: 600, length: 9, bos: 0 });

    test('every positive has the property at its position and no near-miss has it', () => {
      data.at.forEach((at, pair) => {
        expect(hasProperty(property, data.positives[pair] ?? [], at)).toBe(true);
        expect(hasProperty(property, data.nearMisses[pair] ?? [], at)).toBe(false);
      });
    });

    test('a pair is equally long, is read at one position with one token there, and differs only where it says', () => {
      data.at.forEach((at, pair) => {
        const [positive = [], nearMiss = []] = [data.positives[pair], data.nearMisses[pair]];
        expect([positive.length, nearMiss.length, positive[0], nearMiss[0]]).toEqual([10, 10, 0, 0]);
        expect(positive[at]).toBe(nearMiss[at]);
        expect(positive.flatMap((id, where) => (id === nearMiss[where] ? [] : [where]))).toEqual(data.changed[pair]);
        expect(data.changed[pair]?.length).toBe(property.kind === 'repeated' ? 1 : 2);
        expect(data.changed[pair]?.every((where) => where < at)).toBe(true);
      });
    });

    test('nothing but the property tells the classes apart: repeats, token counts, distances', () => {
      const repeats = (prompt: readonly number[]): number => prompt.length - new Set(prompt).size;
      expect(new Set([...data.positives, ...data.nearMisses].map(repeats)).size).toBe(1);
      if (property.kind === 'previousIs') {
        const sorted = (prompts: readonly (readonly number[])[]): number[][] =>
          prompts.map((prompt) => [...prompt].sort());
        expect(sorted(data.positives)).toEqual(sorted(data.nearMisses));
      }
      // No single position's token id, nor how often an id occurs, separates the classes beyond chance.
      const skip = (at: number, pair: number): boolean =>
        property.kind === 'previousIs' && (data.changed[pair]?.includes(at) ?? false);
      for (let at = 1; at < 10; at++) {
        const tokens = (prompts: readonly (readonly number[])[]): number[] =>
          prompts.flatMap((prompt, pair) => (skip(at, pair) ? [] : [prompt[at] ?? 0]));
        const { value } = auroc(tokens(data.positives), tokens(data.nearMisses));
        // Standard error 0.017 at most.
        expect(Math.abs(value - 0.5), `position ${at}`).toBeLessThan(0.06);
      }
      for (let id = 1; id < 20; id++) {
        const share = (prompts: readonly (readonly number[])[]): number =>
          prompts.filter((prompt) => prompt.includes(id)).length / prompts.length;
        expect(Math.abs(share(data.positives) - share(data.nearMisses)), `token ${id}`).toBeLessThan(0.1);
      }
    });

    test('positions vary', () => {
      expect(new Set(data.at).size).toBe(7);
      expect(Math.min(...data.at)).toBe(3);
    });

    test('a seed names its data, and excluded prompts never come again', () => {
      expect(featureData(size, property, { seed: 4, pairs: 600, length: 9, bos: 0 })).toEqual(data);
      const small = { vocab: 5, context: 8 };
      const train = featureData(small, { ...property }, { seed: 1, pairs: 20, length: 4 });
      const fresh = featureData(small, { ...property }, { seed: 2, pairs: 20, length: 4, exclude: [train] });
      const known = new Set([...train.positives, ...train.nearMisses].map(String));
      expect([...fresh.positives, ...fresh.nearMisses].some((prompt) => known.has(String(prompt)))).toBe(false);
      const all = featureData({ vocab: 5, context: 3 }, property, { seed: 1, pairs: 3000, length: 3 });
      expect(() =>
        featureData({ vocab: 5, context: 3 }, property, { seed: 2, pairs: 10, length: 3, exclude: [all] }),
      ).toThrow(/0 of 10 pairs/);
    });
  });
}

test('prompts that cannot be made are refused with a reason', () => {
  expect(() => featureData(size, { kind: 'repeated' }, { seed: 1, pairs: 1, length: 21 })).toThrow(/3 to 20 tokens/);
  expect(() =>
    featureData(size, { kind: 'previousIs', token: 3 }, { seed: 1, pairs: 1, tokens: [1, 2, 4, 5] }),
  ).toThrow(/not among/);
  expect(() => featureData({ vocab: 2, context: 8 }, { kind: 'repeated' }, { seed: 1, pairs: 1 })).toThrow(
    /3 different tokens/,
  );
});

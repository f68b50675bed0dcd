import { describe, expect, test } from 'vitest';
import { attentionTarget, headKinds, scoreAttention } from './attention-target.ts';
import { detectHead } from './detect-head.ts';
import { inductionModel } from './hand-written.fixture.ts';
import { scoreHeads } from './head-scores.ts';
import { repeatedTokens } from './repeated-tokens.ts';

const matrix = (target: Uint8Array): number[][] => {
  const length = Math.sqrt(target.length);
  return Array.from({ length }, (_, query) => Array.from(target.slice(query * length, (query + 1) * length)));
};

describe('scores of heads on generated data', async () => {
  const { model, engine } = inductionModel(12, 24);
  const scores = await scoreHeads(engine, model.spec, { seed: 1, examples: 6, half: 10, bos: 0 });
  const [previous, duplicate, induction, even] = scores;

  test('a head that was written to attend to the token before scores 1, and nothing else', () => {
    expect(previous).toMatchObject({ layer: 0, head: 0 });
    expect(previous?.previousToken.value).toBeCloseTo(1, 12);
    expect(previous?.duplicateToken.value).toBeLessThan(1e-12);
    expect(previous?.induction.value).toBeLessThan(1e-12);
  });

  test('an induction head scores 1 beside a chance below one tenth', () => {
    expect(induction).toMatchObject({ layer: 1, head: 0 });
    expect(induction?.induction.value).toBeCloseTo(1, 12);
    expect(induction?.induction.n).toBe(6);
    expect(induction?.induction.chance).toBeLessThan(0.1);
    expect(induction?.induction.degenerate).toContain('do not vary');
  });

  test('a head that attends to every copy gives half to the earlier one', () => {
    expect(duplicate?.duplicateToken.value).toBeCloseTo(0.5, 12);
  });

  test('even attention scores what is called chance: the mean of 1 / (keys up to the query)', () => {
    const expected = Array.from({ length: 10 }, (_, at) => 1 / (11 + at + 1)).reduce((a, b) => a + b, 0) / 10;
    for (const kind of headKinds) {
      expect(even?.[kind].value).toBeCloseTo(expected, 12);
      expect(even?.[kind].chance).toBeCloseTo(expected, 12);
    }
  });

  test('the same seed gives the same scores; heads that vary have an interval around their score', async () => {
    const again = await scoreHeads(engine, model.spec, { seed: 1, examples: 6, half: 10, bos: 0 });
    expect(again).toEqual(scores);
    // Without BOS the first token of a half has no token before it, so induction fails at one query in ten.
    const bare = await scoreHeads(engine, model.spec, { seed: 2, examples: 12, half: 10 });
    expect(bare[2]?.induction.value).toBeGreaterThan(0.85);
  });

  test('a model with fewer tokens than a half is refused with a reason', async () => {
    await expect(scoreHeads(engine, model.spec, { seed: 1, half: 12, tokens: [1, 2, 3] })).rejects.toThrow(
      /12 different tokens/,
    );
    await expect(scoreHeads(engine, model.spec, { seed: 1, half: 20 })).rejects.toThrow(/2 to 12 tokens/);
    await expect(scoreHeads(engine, model.spec, { seed: 1, tokens: [1, 99] })).rejects.toThrow(
      /99 is not in the vocabulary/,
    );
  });
});

describe('prompts of repeated tokens', () => {
  test('a half holds different allowed tokens and comes twice', () => {
    const data = repeatedTokens(
      { vocab: 5000, context: 64 },
      { seed: 3, examples: 20, half: 9, bos: 7, tokens: Array.from({ length: 400 }, (_, at) => at) },
    );
    expect(data.second).toBe(10);
    for (const prompt of data.tokens) {
      expect(prompt[0]).toBe(7);
      expect(new Set(prompt.slice(1, 10)).size).toBe(9);
      expect(prompt.slice(1, 10)).toEqual(prompt.slice(10));
      expect(prompt.slice(1).every((id) => id < 400 && id !== 7)).toBe(true);
    }
    expect(new Set(data.tokens.map(String)).size).toBe(20);
  });
});

describe('targets of arbitrary prompts', () => {
  const tokens = [5, 6, 5, 6, 6];

  test('each kind marks the keys of its definition', () => {
    expect(matrix(attentionTarget('previousToken', tokens))).toEqual([
      [0, 0, 0, 0, 0],
      [1, 0, 0, 0, 0],
      [0, 1, 0, 0, 0],
      [0, 0, 1, 0, 0],
      [0, 0, 0, 1, 0],
    ]);
    expect(matrix(attentionTarget('duplicateToken', tokens))).toEqual([
      [0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0],
      [1, 0, 0, 0, 0],
      [0, 1, 0, 0, 0],
      [0, 1, 0, 1, 0],
    ]);
    expect(matrix(attentionTarget('induction', tokens))).toEqual([
      [0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0],
      [0, 1, 0, 0, 0],
      [0, 0, 1, 0, 0],
      [0, 0, 1, 0, 1],
    ]);
  });

  test('a score is the mean over queries that have a target, with the share of even attention beside it', () => {
    const target = attentionTarget('duplicateToken', tokens);
    const even = Float64Array.from({ length: 25 }, (_, at) =>
      at % 5 <= Math.floor(at / 5) ? 1 / (Math.floor(at / 5) + 1) : 0,
    );
    const { score, chance, queries } = scoreAttention(even, target);
    expect(queries).toBe(3);
    expect(score).toBeCloseTo((1 / 3 + 1 / 4 + 2 / 5) / 3, 14);
    expect(chance).toBeCloseTo(score, 14);
    expect(() => scoreAttention(even, attentionTarget('induction', [1, 2, 3, 4, 5]))).toThrow(/No query/);
    expect(() => scoreAttention(even.subarray(1), target)).toThrow(/does not fit/);
  });
});

describe('the two scores of TransformerLens', () => {
  // Attention of three queries; the second half of a pair of equal tokens looks at the first.
  const pattern = Float64Array.from([1, 0, 0, 0.25, 0.75, 0, 0.5, 0.3, 0.2]);
  const target = attentionTarget('previousToken', [1, 2, 3]);

  test('mul is the share of attention on the target, abs one minus the mean distance of rows', () => {
    expect(detectHead(pattern, target, { measure: 'mul' })).toBeCloseTo((0.25 + 0.3) / 3, 14);
    expect(detectHead(pattern, target, { measure: 'abs' })).toBeCloseTo(1 - (1 + 1.5 + 1.4) / 3, 14);
    expect(detectHead(Float64Array.from(target), target, { measure: 'abs' })).toBe(1);
  });

  test('keys that are left out count in neither, and the pattern stays as it was', () => {
    const kept = Float64Array.from(pattern);
    expect(detectHead(pattern, target, { measure: 'mul', excludeBos: true })).toBeCloseTo(0.3 / (0.75 + 0.5), 14);
    expect(detectHead(pattern, target, { measure: 'mul', excludeCurrentToken: true })).toBeCloseTo(
      (0.25 + 0.3) / (0.25 + 0.8),
      14,
    );
    expect(detectHead(pattern, target, { measure: 'abs', excludeBos: true, excludeCurrentToken: true })).toBeCloseTo(
      1 - 0.7 / 3,
      14,
    );
    expect(pattern).toEqual(kept);
    expect(() =>
      detectHead(Float64Array.of(1, 0, 1, 0), attentionTarget('previousToken', [1, 2]), {
        measure: 'mul',
        excludeBos: true,
      }),
    ).toThrow(/left out/);
  });
});

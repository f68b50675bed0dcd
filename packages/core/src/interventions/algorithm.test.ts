import { describe, expect, test } from 'vitest';
import { type Entry, tinyModel } from '../circuits/tiny-model.fixture.ts';
import { algorithmEvidence } from './algorithm-evidence.ts';
import type { CausalProgram } from './causal-program.ts';
import { interchangeAccuracy } from './interchange.ts';
import { scrubAlgorithm } from './scrub.ts';

// The stream is [tok 4 | first 4 | second 4]. Layer 0 copies tok into `first`, layer 1 `first` into `second`, and the logits
// read `second`. Prompts have one token, so attention has nothing to choose.

const WORDS = 4;
const copy = (from: number, to: number, value = 1): Entry[] =>
  Array.from({ length: WORDS }, (_, i) => [from + i, to + i, value]);
const chain = (direct = 0) =>
  tinyModel({
    vocab: WORDS,
    context: 1,
    width: 3 * WORDS,
    headWidth: WORDS,
    embed: copy(0, 0),
    unembed: [...copy(2 * WORDS, 0), ...copy(0, 0, direct)],
    layers: [[{ v: copy(0, 0), o: copy(0, WORDS) }], [{ v: copy(WORDS, 0), o: copy(0, 2 * WORDS) }]],
  }).engine;

/** Both variables are the token; `parents` says what the second is computed from. */
const program = (parents: readonly string[] = ['first']): CausalProgram => ({
  variables: [
    { name: 'tokens', parents: [] },
    { name: 'first', parents: ['tokens'] },
    { name: 'second', parents },
  ],
  output: 'second',
  evaluate: (given, overrides = {}) => {
    const over = (name: string, column: readonly unknown[]) =>
      column.map((value, at) => overrides[name]?.[at] ?? Number(value));
    const tokens = over('tokens', given);
    const first = over('first', tokens);
    return { tokens, first, second: over('second', first) };
  },
  tokenOf: (value) => (typeof value === 'number' ? value : null),
});

const alignment = {
  tokens: { site: 'hook_embed', units: [0, 4] },
  first: { site: 'blocks.0.hook_attn_out', units: [4, 8] },
  second: { site: 'blocks.1.hook_attn_out', units: [8, 12] },
} as const;
const inputs = [0, 1, 2, 3].map((token) => ({ tokens: [token] }));
const question = { program: program(), alignment, inputs, seed: 0, pairs: 32 };

describe('interchange', () => {
  test('the true alignment is right in every pair; a wrong layer and random units only where nothing changes', async () => {
    for (const { score, untouched, pairs, nulls } of await interchangeAccuracy(chain(), question)) {
      expect([pairs, score.changing?.n, score.unchanging?.n]).toEqual([32, 24, 8]);
      expect([untouched?.value, score.changing?.value, score.unchanging?.value]).toEqual([1, 1, 1]);
      for (const { kind, changing, unchanging } of nulls.filter((one) => one.kind !== 'permuted'))
        expect([changing?.value, unchanging?.value], kind).toEqual([0, 1]);
    }
  });

  test('the place of another variable that does the same is called so', async () => {
    const results = await interchangeAccuracy(chain(), question);
    const permuted = results.flatMap(({ nulls }) => nulls).filter(({ kind }) => kind === 'permuted');
    expect(permuted).toHaveLength(6);
    for (const { predicted, changing } of permuted) expect([predicted, changing?.value]).toEqual([[1, 1], 1]);
  });

  test('along directions as along the units that they span', async () => {
    const [c, s] = [0.6, 0.8];
    const unit = (at: number, value: number) => Array.from({ length: 12 }, (_, i) => (i === at ? value : 0));
    const sum = (a: number[], b: number[]) => a.map((value, i) => value + (b[i] ?? 0));
    const turned = [sum(unit(4, c), unit(5, s)), sum(unit(4, -s), unit(5, c)), unit(6, 1), unit(7, -1)];
    const first = { site: 'blocks.0.hook_attn_out', directions: turned };
    const [result] = await interchangeAccuracy(chain(), {
      ...question,
      alignment: { ...alignment, first },
      variables: [['first']],
    });
    expect([result?.score.changing?.value, result?.score.unchanging?.value]).toEqual([1, 1]);
    const random = result?.nulls.filter(({ kind }) => kind === 'random') ?? [];
    expect(random).toHaveLength(4);
    const half = { ...first, directions: turned.slice(2) };
    const [part] = await interchangeAccuracy(chain(), {
      ...question,
      alignment: { ...alignment, first: half },
      variables: [['first']],
      nulls: 0,
    });
    expect(part?.score.changing?.value).toBeLessThan(1);
  });

  test('a part that only goes along with the output is found out: what is exchanged there changes nothing', async () => {
    const [result] = await interchangeAccuracy(chain(2), { ...question, variables: [['second']], nulls: 0 });
    expect([result?.untouched?.value, result?.score.changing?.value, result?.score.unchanging?.value]).toEqual([
      1, 0, 1,
    ]);
  });

  test('two variables at once, each from its own source: the later one decides', async () => {
    const [result] = await interchangeAccuracy(chain(), { ...question, variables: [['first', 'second']], nulls: 0 });
    expect(result?.score.changing).toMatchObject({ value: 1, n: 24 });
  });

  test('mistakes in an alignment are named', async () => {
    const refused = (wrong: object) =>
      expect(interchangeAccuracy(chain(), { ...question, alignment: { ...alignment, ...wrong } })).rejects;
    await refused({ third: { site: 'hook_embed' } }).toMatchObject({ code: 'bad_alignment', at: 'third' });
    await refused({ first: { site: 'hook_embedd' } }).toMatchObject({ code: 'unknown_site' });
    await refused({ first: { site: 'hook_embed', units: [0, 13] } }).toMatchObject({
      code: 'bad_alignment',
      got: '12',
    });
    const ones = new Array(12).fill(1);
    await refused({ first: { site: 'hook_embed', directions: [ones] } }).toMatchObject({
      code: 'bad_alignment',
      expected: '1',
    });
    await refused({ first: { site: 'hook_embed', directions: [[1]] } }).toMatchObject({
      code: 'bad_alignment',
      expected: '12',
    });
    await expect(interchangeAccuracy(chain(), { ...question, variables: [['nothing']] })).rejects.toMatchObject({
      code: 'bad_alignment',
      at: 'nothing',
    });
  });
});

describe('scrubbing', () => {
  test('the true hypothesis recovers everything; wrong places recover nothing', async () => {
    const result = await scrubAlgorithm(chain(), question);
    expect([result.model.value, result.scrubbed.value, result.recovered?.value]).toEqual([0, 0, 1]);
    expect(result.random.value).toBeGreaterThan(0.5);
    for (const { recovered, kind } of result.nulls)
      if (kind !== 'permuted') expect(recovered?.value, kind).toBeLessThan(0.3);
    expect(result.nodes.map(({ variable, parents, alternatives }) => [variable, parents, alternatives])).toEqual([
      ['tokens', [], 0],
      ['first', ['tokens'], 0],
      ['second', ['first'], 0],
    ]);
  });

  test('a variable that is left out of the alignment stands for its parents', async () => {
    const { first: _, ...rest } = alignment;
    const result = await scrubAlgorithm(chain(), { ...question, alignment: rest });
    expect(result.nodes.map(({ parents }) => parents)).toEqual([[], ['tokens']]);
    expect(result.recovered?.value).toBe(1);
  });

  test('a parent that the hypothesis denies is taken from another prompt, and what hangs on it is lost', async () => {
    const result = await scrubAlgorithm(chain(), { ...question, program: program(['tokens']), nulls: 0 });
    expect(result.model.value).toBe(0);
    expect(result.recovered?.value).toBeLessThan(0.3);
  });

  test('a path past the output’s place is lost too', async () => {
    const result = await scrubAlgorithm(chain(2), { ...question, nulls: 0 });
    expect(result.model.value).toBe(0);
    expect(result.recovered?.value).toBeLessThan(0.3);
  });

  test('cross entropy is that of the logits: log(1 + 3/e) for one logit of 1 among four', async () => {
    const result = await scrubAlgorithm(chain(), { ...question, loss: 'cross_entropy', nulls: 0 });
    expect(result.model.value).toBeCloseTo(Math.log(1 + 3 / Math.E), 6);
    expect(result.recovered?.value).toBeCloseTo(1, 9);
  });

  test('without a place for the output, or with one prompt, it is refused', async () => {
    const { second: _, ...rest } = alignment;
    await expect(scrubAlgorithm(chain(), { ...question, alignment: rest })).rejects.toMatchObject({
      code: 'bad_alignment',
    });
    await expect(scrubAlgorithm(chain(), { ...question, inputs: inputs.slice(1, 2) })).rejects.toMatchObject({
      code: 'too_few_examples',
    });
  });
});

test('as evidence, each score stands beside the best wrong alignment that the program can tell apart', async () => {
  const exchanged = await interchangeAccuracy(chain(), { ...question, variables: [['second']] });
  const evidence = algorithmEvidence(exchanged, await scrubAlgorithm(chain(), question));
  expect(evidence.map((one) => (one.kind === 'score' ? [one.name, one.value] : null)).slice(0, 4)).toEqual([
    ['interchange accuracy where it changes the output, second', 1],
    ['interchange accuracy where it does not, second', 1],
    ['interchange accuracy of the best wrong alignment, second', 0],
    ['causal scrubbing, recovered', 1],
  ]);
});

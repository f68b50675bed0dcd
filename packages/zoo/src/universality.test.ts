import {
  chooseExecutor,
  inductionInitialiser,
  runUniversalityAct,
  type UniversalityActOptions,
  untrainedModel,
} from '@circuitscope/core';
import { type ComparedScore, type Comparison, canonicalJson, parseComparison } from '@circuitscope/schema';
import { beforeAll, describe, expect, test } from 'vitest';
import { handwrittenInduction, rotatedInduction } from './handwritten-induction.ts';
import { TRAINED_SEEDS, trainedInduction } from './trained-induction.ts';
import type { ZooMember } from './zoo-member.ts';

const { executor } = await chooseExecutor();
const shared = {
  executor,
  seed: 1,
} satisfies Partial<UniversalityActOptions>;
const groupOf = (name: string, members: readonly ZooMember[]) => ({
  name,
  models: members.map((member, seed) => ({ id: member.name, model: member.model(), seed })),
  tokens: { bos: 0 },
  initialiser: inductionInitialiser,
});
const scoreOf = (comparison: Comparison, score: ComparedScore) => comparison.scores.find((one) => one.score === score);

test('the hand-written circuit and its rotated copy are strongly alike', async () => {
  const groups = [groupOf('hand-written', [handwrittenInduction, rotatedInduction])];
  const comparison = await runUniversalityAct({ ...shared, name: 'hand-written', groups });
  for (const score of ['functional', 'roles', 'causal', 'edges'] as const)
    expect(scoreOf(comparison, score)?.estimate.value).toBeCloseTo(1, 6);
  expect(comparison.pairs[0]?.matched.map(({ a, b }) => [a, b])).toEqual(
    [0, 1].map((layer) => [
      { kind: 'head', layer, head: 0 },
      { kind: 'head', layer, head: 0 },
    ]),
  );
  expect(comparison.verdict.outcome).toBe('strong');
});

describe('eight trained seeds', () => {
  const groups = [groupOf('induction-attn-2l', TRAINED_SEEDS.map(trainedInduction))];
  let comparison: Comparison;
  beforeAll(async () => {
    comparison = await runUniversalityAct({ ...shared, name: 'seeds', groups, draws: 199 });
  }, 120_000);

  test('are all in the record, as are all their pairs and eight untrained models', () => {
    expect(comparison.models.filter(({ as }) => as === 'subject').map(({ seed }) => seed)).toEqual([...TRAINED_SEEDS]);
    expect(comparison.models.filter(({ control }) => control === 'untrained')).toHaveLength(8);
    expect(comparison.pairs).toHaveLength(28);
    for (const { perModel } of comparison.scores) expect(perModel).toHaveLength(8);
    expect(parseComparison(comparison)).toMatchObject({ ok: true });
  });

  test('do the same by heads of the same roles with the same effects, beyond every null', () => {
    expect(scoreOf(comparison, 'functional')?.estimate.value).toBeGreaterThan(0.98);
    expect(scoreOf(comparison, 'roles')?.estimate.value).toBeGreaterThan(0.85);
    expect(scoreOf(comparison, 'causal')?.estimate.value).toBeGreaterThan(0.95);
    for (const { nulls } of comparison.scores) {
      expect(nulls.length).toBeGreaterThan(0);
      for (const { p } of nulls) expect(p).toBeLessThan(0.05);
    }
  });

  test('match their previous-token heads in every pair, wherever they stand', () => {
    const previous = [2, 1, 3, 1, 2, 2, 2, 2];
    for (const { a, b, matched } of comparison.pairs) {
      const headOf = (id: string) => previous[Number(id.slice(-1))];
      const found = matched.find(({ a: head }) => head.kind === 'head' && head.layer === 0 && head.head === headOf(a));
      expect(found?.b).toEqual({ kind: 'head', layer: 0, head: headOf(b) });
    }
  });

  test('share too few of their other edges: universal weakly, not strongly', () => {
    expect(comparison.verdict.outcome).toBe('weak');
    expect(comparison.verdict.criteria.map(({ passed }) => passed)).toEqual([true, true, true, false]);
    const lowest = scoreOf(comparison, 'edges')?.perModel.reduce((least, one) =>
      one.value < least.value ? one : least,
    );
    // The seed one of whose heads of layer 1 does not induce.
    expect(lowest?.model).toBe('induction-attn-2l/seed-3');
  });

  test('give the same bytes again', { timeout: 120_000 }, async () => {
    const few = {
      ...shared,
      name: 'few',
      groups: [{ ...groups[0]!, models: groups[0]!.models.slice(0, 2) }],
      draws: 49,
      questions: 9,
    };
    expect(canonicalJson(await runUniversalityAct(few))).toBe(canonicalJson(await runUniversalityAct(few)));
  });
});

test('untrained models are no more alike than other untrained models', async () => {
  const base = trainedInduction(0).model();
  const models = [11, 12, 13, 14].map((seed) => ({
    id: `blank ${seed}`,
    model: untrainedModel(base, inductionInitialiser, seed),
  }));
  const groups = [{ name: 'blank', models, tokens: { bos: 0 }, initialiser: inductionInitialiser }];
  const comparison = await runUniversalityAct({ ...shared, name: 'blank', groups, draws: 99, questions: 19 });
  expect(comparison.verdict.outcome).toBe('none');
  expect(scoreOf(comparison, 'edges')?.estimate.value).toBeLessThan(0.4);
  expect(scoreOf(comparison, 'roles')?.nulls.find(({ kind }) => kind === 'untrained')?.p).toBeGreaterThan(0.05);
}, 60_000);

test('trained and untrained models together are not alike', async () => {
  const base = trainedInduction(0).model();
  const trained = groupOf('mixed', [0, 1, 2].map(trainedInduction));
  const blank = [21, 22, 23].map((seed) => ({
    id: `blank ${seed}`,
    model: untrainedModel(base, inductionInitialiser, seed),
  }));
  const groups = [{ ...trained, models: [...trained.models, ...blank] }];
  const comparison = await runUniversalityAct({ ...shared, name: 'mixed', groups, draws: 99, questions: 19 });
  expect(comparison.verdict.outcome).toBe('none');
  expect(comparison.pairs.filter(({ scores }) => scores.causal > 0.9 && scores.functional > 0.9)).toHaveLength(3);
}, 60_000);

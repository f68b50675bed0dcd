import {
  chooseExecutor,
  engineFor,
  inductionInitialiser,
  inductionRanges,
  lockHypothesis,
  runHypothesisAct,
  testHypothesis,
  untrainedModel,
} from '@circuitscope/core';
import { canonicalJson, type Hypothesis, parseHypothesis, parseHypothesisOutcome } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { handwrittenInduction } from './handwritten-induction.ts';
import { TRAINED_SEEDS, trainedInduction } from './trained-induction.ts';

const { executor } = await chooseExecutor();
const AT = '2026-01-01T00:00:00.000Z';
const actOf = (seed: number, at = AT) => {
  const member = trainedInduction(seed);
  const model = member.model();
  return runHypothesisAct(engineFor(model, executor), model, { bos: member.bos, seed: 1, at });
};

describe.each(TRAINED_SEEDS)('seed %i', (seed) => {
  test('the claim that its heads go by token is corroborated, that they go by place falsified, by one rule', async () => {
    const { claim, rival, ledger } = await actOf(seed);
    expect(claim.outcome.verdict).toBe('corroborated');
    expect(rival.outcome.verdict).toBe('falsified');
    expect(ledger.map(({ body }) => body.kind)).toEqual(['lock', 'lock', 'outcome', 'outcome']);
    for (const { locked, outcome } of [claim, rival]) {
      expect(parseHypothesis(locked.hypothesis)).toMatchObject({ ok: true });
      expect(parseHypothesisOutcome(outcome)).toMatchObject({ ok: true });
      expect(outcome.criteria.filter(({ control }) => control).map(({ state }) => state)).toEqual(
        Array(3).fill('supported'),
      );
    }
    // What the two share comes out alike; what tells them apart speaks against the rival every time.
    const states = rival.outcome.criteria.filter(({ control }) => !control).map(({ state }) => state);
    expect(states).toEqual([...Array(3).fill('supported'), ...Array(3).fill('refuted')]);
  });
});

describe('a locked test', () => {
  test('has the same bytes again, and other data if it is locked at another time', { timeout: 120_000 }, async () => {
    const [one, two, later] = [await actOf(0), await actOf(0), await actOf(0, '2026-01-02T00:00:00.000Z')];
    expect(canonicalJson(one.claim.outcome)).toBe(canonicalJson(two.claim.outcome));
    expect(later.claim.outcome.data.map(({ hash }) => hash)).not.toEqual(
      one.claim.outcome.data.map(({ hash }) => hash),
    );
    expect(later.claim.outcome.verdict).toBe('corroborated');
    expect(one.rival.outcome.data[0]?.seed).not.toBe(one.claim.outcome.data[0]?.seed);
  });

  test('is refused if the record was changed, if the model is another, or if nothing locked it', async () => {
    const member = trainedInduction(1);
    const model = member.model();
    const engine = engineFor(model, executor);
    const { claim } = await runHypothesisAct(engine, model, { bos: 0, seed: 1, at: AT });
    const { locked } = claim;
    const softer: Hypothesis = {
      ...locked.hypothesis,
      predictions: locked.hypothesis.predictions.map((one) => ({ ...one, bound: one.bound / 2 })),
    };
    await expect(testHypothesis({ ...locked, hypothesis: softer }, engine, model)).rejects.toMatchObject({
      code: 'tampered_hypothesis',
    });
    const other = trainedInduction(2).model();
    await expect(testHypothesis(locked, engineFor(other, executor), other)).rejects.toMatchObject({
      code: 'wrong_model',
    });
    const unlocked = { ...locked, ledger: [] };
    await expect(testHypothesis(unlocked, engine, model)).rejects.toMatchObject({ code: 'unknown_lock' });
  });

  test('about the wrong heads is not corroborated', async () => {
    const model = trainedInduction(0).model();
    const engine = engineFor(model, executor);
    const { claim } = await runHypothesisAct(engine, model, { bos: 0, seed: 1, at: AT });
    const { hypothesis } = claim.locked;
    // Heads of layer 0 that do nothing of the sort.
    const units = [0, 1, 3].map((head) => ({ kind: 'head' as const, layer: 0, head }));
    const wrong = { ...hypothesis, name: 'wrong-heads', definition: { ...hypothesis.definition, units } };
    const outcome = await testHypothesis(lockHypothesis(wrong, { at: AT, ranges: inductionRanges }), engine, model);
    expect(outcome.verdict).not.toBe('corroborated');
    expect(outcome.criteria.find(({ id }) => id === 'attends_by_token')?.state).toBe('refuted');
    expect(outcome.criteria.find(({ id }) => id === 'needed')?.state).toBe('refuted');
  });
});

test('a model without such heads, or too small for the prompts, makes no claim', async () => {
  const blank = untrainedModel(trainedInduction(0).model(), inductionInitialiser, 1);
  const act = (model: typeof blank) => runHypothesisAct(engineFor(model, executor), model, { bos: 0, seed: 1, at: AT });
  await expect(act(blank)).rejects.toMatchObject({ code: 'no_induction_heads' });
  await expect(act(handwrittenInduction.model())).rejects.toMatchObject({ code: 'too_few' });
});

import { chooseExecutor, engineFor, interchangeAccuracy, type NullScore, scrubAlgorithm } from '@circuitscope/core';
import { describe, expect, test } from 'vitest';
import { algorithmInputs } from './algorithm-inputs.ts';
import { handwrittenInduction, inductionWithDistractors } from './handwritten-induction.ts';
import { zooMembers } from './open-model.ts';
import type { ZooMember } from './zoo-member.ts';

const { executor } = await chooseExecutor();

function questionOf(member: ZooMember) {
  const { program, alignment } = member;
  if (!program || !alignment) throw new Error(`${member.name} has no program with an alignment`);
  return { program, alignment, inputs: algorithmInputs(member, { seed: 5, examples: 48 }), seed: 1 };
}

/** A wrong alignment that the program itself can tell from the right one. */
const tells = ({ changing, predicted }: NullScore) => changing !== null && (predicted === null || predicted[1] < 1);

const aligned = zooMembers.filter(({ program, alignment }) => program && alignment);

test('every compiled program, every hand-written induction model and addition are judged', () => {
  expect(aligned.map(({ name }) => name)).toEqual(
    zooMembers
      .map(({ name }) => name)
      .filter((name) => /^(rasp|modular-addition-closed|induction-handwritten)/.test(name)),
  );
});

for (const member of aligned) {
  describe(member.name, () => {
    const engine = engineFor(member.model(), executor);
    const question = questionOf(member);

    for (const positions of ['all', 'one'] as const) {
      test(`exchanging a variable at ${positions} of its positions does what the program says; a wrong place does not`, async () => {
        const results = await interchangeAccuracy(engine, { ...question, pairs: 32, positions });
        expect(results.map(({ variables }) => variables.join())).toEqual(Object.keys(question.alignment));
        for (const { variables, untouched, score, nulls } of results) {
          const at = variables.join();
          expect(untouched?.value, at).toBe(1);
          expect([score.changing?.value ?? 1, score.unchanging?.value ?? 1], at).toEqual([1, 1]);
          for (const one of nulls.filter(tells)) expect(one.changing?.value, `${at}: ${one.label}`).toBeLessThan(1);
          for (const { kind, changing, label } of nulls)
            if (kind === 'layer') expect(changing?.value ?? 0, `${at}: ${label}`).toBe(0);
          for (const { changing, predicted, label } of nulls) {
            if (!changing || !predicted) continue;
            expect(changing.value, label).toBeGreaterThanOrEqual(predicted[0]);
            expect(changing.value, label).toBeLessThanOrEqual(predicted[1]);
          }
        }
        const tested = results.filter(({ score }) => score.changing);
        expect(tested.length).toBeGreaterThan(0);
        for (const { variables, nulls } of tested) expect(nulls.some(tells), variables.join()).toBe(true);
      });
    }

    test('exchanging two variables at once, each from a prompt of its own, does what the program says', async () => {
      const names = Object.keys(question.alignment);
      const variables = names.slice(1).map((name, at) => [names[at] ?? name, name]);
      const results = await interchangeAccuracy(engine, { ...question, variables, pairs: 24, nulls: 0 });
      for (const { variables: both, score } of results)
        expect([score.changing?.value ?? 1, score.unchanging?.value ?? 1], both.join()).toEqual([1, 1]);
    });

    test('scrubbed by the true alignment it keeps all that it does, by wrong ones not', async () => {
      const { model, random, recovered, nulls } = await scrubAlgorithm(engine, { ...question, examples: 48 });
      expect(model.value).toBeLessThan(1e-9);
      if (member.name === 'rasp-length') {
        // Prompts of one length have one output, so there is nothing to lose.
        expect([random.value, recovered]).toEqual([0, null]);
        return;
      }
      expect(random.value).toBeGreaterThan(0.1);
      expect(recovered?.value).toBeCloseTo(1, 9);
      expect(nulls.length).toBeGreaterThan(1);
      for (const { label, recovered: left } of nulls) expect(left?.value, label).toBeLessThan(0.9);
    });
  });
}

describe('the induction program', () => {
  const { program } = questionOf(handwrittenInduction);

  test('copies the token before, finds it, says what follows it; says nothing where there is no match or several', () => {
    expect(program.evaluate([0, 1, 2, 3, 2, 1, 2])).toEqual({
      tokens: [0, 1, 2, 3, 2, 1, 2],
      previous: [null, 0, 1, 2, 3, 2, 1],
      match: [null, null, null, null, '3', '2', '3,5'],
      copied: [null, null, null, null, 3, 2, null],
    });
  });

  test('follows an override downstream and leaves the rest alone', () => {
    const over = program.evaluate([0, 1, 2, 3, 2], { match: [undefined, undefined, undefined, undefined, '1'] });
    expect([over.previous, over.copied]).toEqual([
      [null, 0, 1, 2, 3],
      [null, null, null, null, 1],
    ]);
  });

  test('refuses tokens outside its words and prompts without BOS', () => {
    for (const tokens of [
      [1, 2],
      [0, 8],
      [0, 1.5],
    ])
      expect(() => program.evaluate(tokens)).toThrow(expect.objectContaining({ code: 'bad_prompt' }));
  });

  test('places the distractors nowhere: the head that cancels and the backup carry none of its variables', async () => {
    const question = questionOf(inductionWithDistractors);
    const engine = engineFor(inductionWithDistractors.model(), executor);
    const wrong = {
      ...question.alignment,
      previous: { site: 'blocks.0.attn.hook_z', head: [2] },
      copied: { site: 'blocks.2.attn.hook_z', head: [0] },
    };
    const variables = [['previous'], ['copied']];
    const results = await interchangeAccuracy(engine, {
      ...question,
      alignment: wrong,
      variables,
      pairs: 24,
      nulls: 0,
    });
    expect(results.map(({ score }) => score.changing?.value)).toEqual([0, 0]);
  });
});

test('equal seeds give equal results, another seed other pairs', async () => {
  const engine = engineFor(handwrittenInduction.model(), executor);
  const question = { ...questionOf(handwrittenInduction), pairs: 12 };
  const first = await interchangeAccuracy(engine, question);
  expect(await interchangeAccuracy(engine, question)).toEqual(first);
  expect(await interchangeAccuracy(engine, { ...question, seed: 2 })).not.toEqual(first);
  const scrubbed = await scrubAlgorithm(engine, { ...question, examples: 12 });
  expect(await scrubAlgorithm(engine, { ...question, examples: 12, run: { threads: 1 } })).toEqual(scrubbed);
});

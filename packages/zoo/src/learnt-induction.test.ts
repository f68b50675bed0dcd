import { chooseExecutor, engineFor, interchangeAccuracy, scoreHeads, scrubAlgorithm } from '@circuitscope/core';
import { expect, test } from 'vitest';
import { algorithmInputs } from './algorithm-inputs.ts';
import { inductionAlignment } from './induction-alignment.ts';
import { trainedInduction } from './trained-induction.ts';

const { executor } = await chooseExecutor();

// `circuitscope circuit algorithm --model zoo:induction-attn-2l/seed-0 --alignment heads` prints the figures. Nobody wrote
// this circuit down, so the bounds only say that it is far from chance.
test('a trained model does mostly what the induction program says where its heads attend so, and nowhere else', async () => {
  const member = trainedInduction(0);
  const { program, bos } = member;
  const model = member.model();
  if (!program) throw new Error('no program');
  const engine = engineFor(model, executor);
  const scores = await scoreHeads(engine, model.spec, { seed: 0, bos, examples: 8, resamples: 50 });
  const question = {
    program,
    alignment: inductionAlignment(scores),
    inputs: algorithmInputs(member, { seed: 3, examples: 40 }),
    seed: 1,
  };
  const variables = [['tokens'], ['previous'], ['match'], ['copied']];
  for (const { variables: of, untouched, score, nulls } of await interchangeAccuracy(engine, {
    ...question,
    variables,
    pairs: 40,
    nulls: 2,
  })) {
    expect(untouched?.value, of.join()).toBeGreaterThan(0.8);
    expect(score.changing?.value, of.join()).toBeGreaterThan(0.6);
    const telling = nulls.filter(({ predicted }) => predicted === null || predicted[1] < 0.9);
    expect(telling.length).toBeGreaterThan(0);
    for (const { changing, label } of telling) expect(changing?.value, label).toBeLessThan(0.5);
  }
  const { recovered, nulls } = await scrubAlgorithm(engine, { ...question, examples: 40, nulls: 1 });
  expect(recovered?.value).toBeGreaterThan(0.7);
  for (const { recovered: left, label } of nulls) expect(left?.value, label).toBeLessThan(0.4);
});

test('no alignment is made up where no head attends so', async () => {
  const low = {
    value: 0.1,
    chance: 0.1,
    standardError: null,
    method: 'bca',
    level: 0.95,
    n: 1,
    interval: null,
    degenerate: 'one',
  } as const;
  const scores = [{ layer: 0, head: 0, previousToken: low, duplicateToken: low, induction: low }];
  expect(() => inductionAlignment(scores)).toThrow(expect.objectContaining({ code: 'no_head' }));
});

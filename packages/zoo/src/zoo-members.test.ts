import { chooseExecutor, engineFor, scoreHeads, taskData } from '@circuitscope/core';
import { mustParse, Task } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { openDecoder, zooMember, zooMembers } from './open-model.ts';
import { TRAINED_SEEDS, trainedInduction } from './trained-induction.ts';

describe('every member of the zoo', () => {
  for (const member of zooMembers) {
    test(`${member.name} opens by its name and brings a valid task that fits it`, async () => {
      const { model, member: found } = await openDecoder(`zoo:${member.name}`);
      expect(found).toBe(member);
      expect(model.name).toBe(`zoo:${member.name}`);
      expect(member.tokens).toHaveLength(model.spec.vocab);
      expect(new Set(member.tokens).size).toBe(model.spec.vocab);
      const task = member.task({ seed: 5, examples: 8 });
      expect(mustParse(Task, task, 'task')).toEqual(task);
      expect(task).toEqual(member.task({ seed: 5, examples: 8 }));
      for (const { clean, corrupt, answer, wrongAnswer } of task.examples) {
        expect(clean[0]).toBe(member.bos);
        expect(clean.length).toBeLessThanOrEqual(model.spec.context);
        for (const id of [...clean, ...corrupt, answer, wrongAnswer]) expect(id).toBeLessThan(model.spec.vocab);
        expect(answer).not.toBe(wrongAnswer);
      }
      expect(taskData(task).examples).toBe(8);
    });
  }

  test('has a name of its own, and a name that none has is an error that lists them', () => {
    expect(new Set(zooMembers.map(({ name }) => name)).size).toBe(zooMembers.length);
    expect(() => zooMember('nobody')).toThrow(expect.objectContaining({ code: 'unknown_zoo_member', got: 'nobody' }));
  });
});

describe('every model that was trained', async () => {
  const { executor } = await chooseExecutor();
  for (const seed of TRAINED_SEEDS) {
    test(`has learnt a previous-token head in layer 0 and an induction head in layer 1, seed ${seed}`, async () => {
      const member = trainedInduction(seed);
      const model = member.model();
      const { vocab, context, layers, heads } = model.spec;
      const scores = await scoreHeads(
        engineFor(model, executor),
        { vocab, context, layers, heads },
        { seed: 3, bos: member.bos, examples: 12, resamples: 200 },
      );
      const best = (layer: number, kind: 'previousToken' | 'induction'): number =>
        Math.max(...scores.filter((one) => one.layer === layer).map((one) => one[kind].value));
      expect(best(0, 'previousToken')).toBeGreaterThan(0.6);
      expect(best(1, 'induction')).toBeGreaterThan(0.6);
      expect(best(0, 'induction')).toBeLessThan(0.2);
    });
  }
});

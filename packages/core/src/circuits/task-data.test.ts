import { mustParse, Task } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { repeatedRandomTask } from './repeated-random-task.ts';
import { taskData, withoutExamplesOf } from './task-data.ts';

describe('the task of repeated random tokens', () => {
  const options = { name: 'induction', vocab: 40, bos: 0, half: 6, seed: 3, examples: 60 };
  const task = repeatedRandomTask(options);

  test('is a valid task, the same for a seed, another for another', () => {
    expect(mustParse(Task, task, 'task')).toEqual(task);
    expect(repeatedRandomTask(options)).toEqual(task);
    expect(repeatedRandomTask({ ...options, seed: 4 }).examples).not.toEqual(task.examples);
  });

  test('asks for the token that followed the last one in the first copy, which stands there once', () => {
    for (const { clean, answer, positions } of task.examples) {
      const end = clean.length - 1;
      expect(positions).toEqual({ END: end });
      const before = clean.slice(0, end).indexOf(clean[end] ?? -1);
      expect(before).toBe(end - 6);
      expect(clean[before + 1]).toBe(answer);
      expect(clean.slice(1, 7)).toHaveLength(new Set(clean.slice(1, 7)).size);
    }
  });

  test('has corrupt prompts of other tokens that repeat nothing, with the wrong answer where the clean one has its answer', () => {
    for (const { clean, corrupt, answer, wrongAnswer } of task.examples) {
      expect(corrupt).toHaveLength(clean.length);
      expect(new Set(corrupt).size).toBe(corrupt.length);
      expect(corrupt.slice(1, 7).filter((token) => clean.slice(1, 7).includes(token))).toEqual([]);
      expect(corrupt[clean.indexOf(answer)]).toBe(wrongAnswer);
      expect(answer).not.toBe(wrongAnswer);
      expect([clean[0], corrupt[0]]).toEqual([0, 0]);
    }
  });

  test('can end every prompt in one token', () => {
    const asked = repeatedRandomTask({ ...options, bos: null, endToken: 9 });
    for (const { clean, corrupt } of asked.examples) {
      expect(clean.at(-1)).toBe(9);
      expect(clean.filter((token) => token === 9)).toHaveLength(2);
      expect(corrupt).not.toContain(9);
    }
  });

  test('needs three halves of different tokens', () => {
    expect(() => repeatedRandomTask({ ...options, vocab: 18 })).toThrow(expect.objectContaining({ code: 'bad_task' }));
    expect(repeatedRandomTask({ ...options, vocab: 19 }).examples).toHaveLength(60);
  });
});

describe('the data of a task', () => {
  const example = (clean: number[], positions?: { readonly END: number }) => ({
    clean,
    corrupt: clean.map((token) => token + 1),
    answer: 1,
    wrongAnswer: 2,
    ...(positions ? { positions } : {}),
  });
  const base = { kind: 'task', version: 1, name: 't', metric: { kind: 'logit_diff' } } as const;

  test('pads shorter prompts on the right and masks them; the metric is read at the last real token', () => {
    const data = taskData({ ...base, examples: [example([1, 2, 3, 4]), example([5, 6])] });
    expect(data.clean.tokens).toEqual([
      [1, 2, 3, 4],
      [5, 6, 0, 0],
    ]);
    expect(data.clean.mask).toEqual([
      [1, 1, 1, 1],
      [1, 1, 0, 0],
    ]);
    expect(data.corrupt.mask).toEqual(data.clean.mask);
    expect(data.end).toEqual([3, 1]);
  });

  test('counts negative named positions from the end of each prompt itself', () => {
    const data = taskData({
      ...base,
      metric: { kind: 'accuracy', at: { kind: 'named', name: 'END' } },
      examples: [example([1, 2, 3, 4], { END: -2 }), example([5, 6], { END: -2 })],
    });
    expect(data.end).toEqual([2, 0]);
  });

  test('refuses one example, prompts that do not pair up, and several places for one metric', () => {
    expect(() => taskData({ ...base, examples: [example([1])] })).toThrow(
      expect.objectContaining({ code: 'too_few_examples' }),
    );
    expect(() =>
      taskData({ ...base, examples: [example([1, 2]), { ...example([1, 2]), corrupt: [1, 2, 3] }] }),
    ).toThrow(expect.objectContaining({ code: 'bad_task' }));
    const everywhere = { kind: 'logit_diff' as const, at: { kind: 'all' as const } };
    expect(() => taskData({ ...base, metric: everywhere, examples: [example([1, 2]), example([3, 4])] })).toThrow(
      expect.objectContaining({ code: 'bad_task' }),
    );
  });
});

describe('a task without the examples of another', () => {
  const options = { name: 'induction', vocab: 40, bos: 0, half: 6, examples: 8 };
  const [one, other] = [1, 2].map((seed) => repeatedRandomTask({ ...options, seed }));

  test('keeps those whose prompt is new, and is itself where all are', () => {
    if (!one || !other) throw new Error('two tasks');
    expect(withoutExamplesOf(one, other)).toBe(one);
    const mixed = { ...one, examples: [...one.examples, ...other.examples] };
    expect(withoutExamplesOf(mixed, other).examples).toEqual(one.examples);
  });

  test('leaves out a prompt that was read at another place, too', () => {
    if (!one || !other) throw new Error('two tasks');
    const elsewhere = { ...one, examples: one.examples.map((example) => ({ ...example, positions: { END: 2 } })) };
    const mixed = { ...one, examples: [...elsewhere.examples, ...other.examples] };
    expect(withoutExamplesOf(mixed, one).examples).toEqual(other.examples);
    expect(() => withoutExamplesOf(elsewhere, one)).toThrow(
      expect.objectContaining({ code: 'too_few_examples', got: '0' }),
    );
  });
});

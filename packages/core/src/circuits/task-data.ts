import { createHash } from 'node:crypto';
import { CircuitscopeError, canonicalJson, type Hash, type Pos, type Task } from '@circuitscope/schema';
import { type Prompt, resolvePositions } from '../plan/index.ts';

/** A task's examples as prompts of one batch; shorter ones are padded on the right and masked. */
export interface TaskData {
  readonly task: Task;
  readonly clean: Prompt;
  readonly corrupt: Prompt;
  readonly answer: readonly number[];
  readonly wrong: readonly number[];
  /** Where the metric is read. */
  readonly at: Pos;
  /** The same as one index per example. */
  readonly end: readonly number[];
  readonly examples: number;
}

export function taskData(task: Task, least = 2): TaskData {
  const { examples } = task;
  if (examples.length < least) {
    throw new CircuitscopeError(
      'too_few_examples',
      `The task ${task.name} has ${examples.length} examples; ${least} are needed at least, for intervals come from how examples differ.`,
      { at: task.name },
    );
  }
  const unequal = examples.findIndex(({ clean, corrupt }) => clean.length !== corrupt.length);
  if (unequal >= 0) {
    throw new CircuitscopeError(
      'bad_task',
      `Example ${unequal} of the task ${task.name} has a clean and a corrupt prompt of different lengths; they pair up position by position.`,
      { at: task.name },
    );
  }
  const length = Math.max(...examples.map((example) => example.clean.length));
  const names = new Set(examples.flatMap((example) => Object.keys(example.positions ?? {})));
  const named: { [name: string]: readonly number[] } = {};
  for (const name of names) {
    const positions = examples.map((example) => example.positions?.[name]);
    if (positions.every((position): position is number => position !== undefined))
      named[name] = positions.map((at, i) => (at < 0 ? at + (examples[i]?.clean.length ?? 0) : at));
  }
  const prompt = (side: 'clean' | 'corrupt'): Prompt => {
    const tokens = examples.map((example) => [
      ...example[side],
      ...new Array<number>(length - example[side].length).fill(0),
    ]);
    const padded = examples.some((example) => example[side].length < length);
    const mask = examples.map((example) => Array.from({ length }, (_, at) => (at < example[side].length ? 1 : 0)));
    return padded ? { tokens, mask, named } : { tokens, named };
  };
  const clean = prompt('clean');
  const at: Pos = task.metric.at ?? { kind: 'last' };
  const context = {
    prompt: clean,
    batch: examples.length,
    pos: length,
    variants: [0],
    runs: new Map(),
    artefacts: new Map(),
  };
  const end = examples.map((_, example) => {
    const [only, ...more] = resolvePositions(at, example, context);
    if (only === undefined || more.length > 0)
      throw new CircuitscopeError(
        'bad_task',
        `The metric of the task ${task.name} must be read at one position per example.`,
        { at: task.name },
      );
    return only;
  });
  return {
    task,
    clean,
    corrupt: prompt('corrupt'),
    answer: examples.map((example) => example.answer),
    wrong: examples.map((example) => example.wrongAnswer),
    at,
    end,
    examples: examples.length,
  };
}

/** What provenance says of the examples. */
export function hashTask(task: Task): Hash {
  return `sha256:${createHash('sha256').update(canonicalJson(task)).digest('hex')}`;
}

/**
 * A task without the examples that another one has too: prompts from another seed may come again where there are few.
 * Examples are the same if their clean prompts are, wherever the metric is read in them.
 * @throws CircuitscopeError `too_few_examples` if fewer than two are left
 */
export function withoutExamplesOf(task: Task, other: Task): Task {
  const key = ({ clean }: Task['examples'][number]): string => clean.join();
  const known = new Set(other.examples.map(key));
  const examples = task.examples.filter((example) => !known.has(key(example)));
  if (examples.length === task.examples.length) return task;
  if (examples.length >= 2) return { ...task, examples };
  throw new CircuitscopeError(
    'too_few_examples',
    `Of the ${task.examples.length} examples of ${task.name} that should test the circuit, ${examples.length} did not already find it; give others.`,
    {
      at: task.name,
      expected: 'at least 2',
      got: String(examples.length),
    },
  );
}

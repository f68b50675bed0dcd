import { z } from 'zod';
import { parseStored } from './parse-stored.ts';
import { Pos } from './scope.ts';
import { index, list, maybe, name, position, record, table, text } from './shape.ts';

/**
 * One pair of prompts. Clean and corrupt have the same length, so that a patch at a position means one thing; `answer`
 * is right after the clean prompt, `wrongAnswer` after the corrupt one. `positions` names tokens (S1, IO, END).
 */
export const TaskExample = record({
  clean: list(index),
  corrupt: list(index),
  answer: index,
  wrongAnswer: index,
  labels: maybe(table(text)),
  positions: maybe(table(position)),
}).superRefine((example, context) => {
  const length = example.clean.length;
  if (length === 0) context.addIssue({ code: 'custom', path: ['clean'], message: 'a prompt has at least one token' });
  if (example.corrupt.length !== length) {
    const message = `clean has ${length} tokens, corrupt ${example.corrupt.length}; they must pair up position by position`;
    context.addIssue({ code: 'custom', path: ['corrupt'], message });
  }
  for (const [key, at] of Object.entries(example.positions ?? {})) {
    if (at >= -length && at < length) continue;
    context.addIssue({
      code: 'custom',
      path: ['positions', key],
      message: `position ${at} is outside ${length} tokens`,
    });
  }
});
export type TaskExample = z.infer<typeof TaskExample>;

/** What a task measures, read at `at` (by default the last position). */
export const TaskMetric = record({ kind: z.enum(['logit_diff', 'accuracy', 'loss']), at: maybe(Pos) });
export type TaskMetric = z.infer<typeof TaskMetric>;

/** A behaviour as examples. `tokenStrings` gives the raw text of token ids, for people only: the ids are what is run. */
export const Task = record({
  kind: z.literal('task'),
  version: z.literal(1),
  name,
  description: maybe(text),
  tokenStrings: maybe(table(text)),
  examples: list(TaskExample),
  metric: TaskMetric,
}).superRefine((task, context) => {
  const at = task.metric.at;
  const wanted = at?.kind === 'named' ? at.name : undefined;
  if (wanted === undefined) return;
  task.examples.forEach((example, i) => {
    if (example.positions && Object.hasOwn(example.positions, wanted)) return;
    const message = `the metric reads at ${JSON.stringify(wanted)}, which this example does not name`;
    context.addIssue({ code: 'custom', path: ['examples', i, 'positions'], message });
  });
});
export type Task = z.infer<typeof Task>;

export const parseTask = (value: unknown) => parseStored(Task, 'task', value);

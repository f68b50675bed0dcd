import type { Model } from '@circuitscope/core';
import { CircuitscopeError, invalidRecord, parseTask, type Task } from '@circuitscope/schema';
import type { Io } from '../io.ts';
import { readJsonFile } from './read-json-file.ts';

/** The task in a file, fit for a model. @throws CircuitscopeError `invalid_record` with the place of the first mistake */
export function readTask(given: string, model: Model, io: Io): Task {
  const parsed = parseTask(readJsonFile(given, 'task', io));
  if (!parsed.ok) throw invalidRecord(parsed.issues, `task in ${given}`);
  requireFit(parsed.value, model, given);
  return parsed.value;
}

/** The model must know every token and have room for every prompt. */
function requireFit({ examples }: Task, { spec, name }: Model, given: string): void {
  const refuse = (place: string, what: string): never => {
    const sentence = `The task in ${given} does not fit ${name}: at ${place}, ${what}.`;
    throw new CircuitscopeError('bad_task', sentence, { at: place, got: what });
  };
  for (const [at, { clean, corrupt, answer, wrongAnswer }] of examples.entries()) {
    const place = `examples[${at}]`;
    if (clean.length > spec.context) {
      refuse(`${place}.clean`, `${clean.length} tokens are more than its context of ${spec.context}`);
    }
    for (const [key, ids] of Object.entries({ clean, corrupt, answer: [answer], wrongAnswer: [wrongAnswer] })) {
      const bad = ids.find((id) => id >= spec.vocab);
      if (bad !== undefined) refuse(`${place}.${key}`, `the token ${bad} is not in its vocabulary of ${spec.vocab}`);
    }
  }
}

/** A task that is read by another metric than it says; kept so, it means the same to whoever opens it later. */
export function askedBy(task: Task, kind: Task['metric']['kind']): Task {
  return task.metric.kind === kind ? task : { ...task, metric: { ...task.metric, kind } };
}

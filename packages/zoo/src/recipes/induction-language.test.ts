import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repeatedWords, sequence, streams, successors } from './induction-language.ts';

// Sequences that another program made from the same rules.
const recorded = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../trained/induction-attn-2l/fixtures/sequences.json'), 'utf8'),
);

test('tables and sequences are those that a program in another language made', () => {
  expect(successors().slice(1, 5)).toEqual(recorded.successors_of_1_to_4);
  expect(repeatedWords(0, 31)).toEqual(recorded.repeat_0);
  expect(sequence(streams.evaluationText, 0, 0)).toEqual(recorded.text_0);
  const training = recorded.training_seed_0_sequences_0_to_2.map((_: unknown, at: number) =>
    sequence(streams.train, at),
  );
  expect(training).toEqual(recorded.training_seed_0_sequences_0_to_2);
});

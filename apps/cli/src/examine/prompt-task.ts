import { resolve } from 'node:path';
import type { Model } from '@circuitscope/core';
import {
  openTokenizer,
  type PromptReader,
  readPrompt,
  readToken,
  type Tokenizer,
  wordTokenizer,
} from '@circuitscope/core/tokens';
import { CircuitscopeError, type Task } from '@circuitscope/schema';
import type { ZooMember } from '@circuitscope/zoo';
import type { Io } from '../io.ts';

export interface PromptPair {
  readonly clean: string | undefined;
  readonly corrupt: string | undefined;
  readonly answer: string | undefined;
  readonly wrong: string | undefined;
}

/**
 * A task of one example, written as text; null where none of it was given.
 * @throws CircuitscopeError `bad_option` unless all four are there and both prompts have equally many tokens
 */
export function promptTask(
  pair: PromptPair,
  { model, member, given }: { readonly model: Model; readonly member: ZooMember | null; readonly given: string },
  io: Io,
): Task | null {
  const { clean, corrupt, answer, wrong } = pair;
  if ([clean, corrupt, answer, wrong].every((one) => one === undefined)) return null;
  if (clean === undefined || corrupt === undefined || answer === undefined || wrong === undefined) {
    throw new CircuitscopeError('bad_option', 'A question in words needs --clean, --corrupt, --answer and --wrong.', {
      at: '--clean',
    });
  }
  const words: Tokenizer = member ? wordTokenizer(member.tokens, given) : openTokenizer(resolve(io.cwd, given));
  // Prompts of the zoo begin with the token that begins them; its vocabularies list it as a word that no text holds.
  const bos = member && words.bosId !== null ? 'always' : 'auto';
  const reader: PromptReader = { tokenizer: words, vocab: model.spec.vocab, bos };
  const [first, second] = [readPrompt(reader, clean), readPrompt(reader, corrupt)];
  if (first.length !== second.length || first.length === 0) {
    throw new CircuitscopeError(
      'bad_option',
      `--clean has ${first.length} tokens and --corrupt ${second.length}; they must have equally many to pair up position by position.`,
      { at: '--corrupt', expected: String(first.length), got: String(second.length) },
    );
  }
  if (first.length > model.spec.context) {
    throw new CircuitscopeError(
      'too_long',
      `The prompts have ${first.length} tokens; ${model.name} reads ${model.spec.context}.`,
      {
        at: '--clean',
        expected: `at most ${model.spec.context}`,
        got: String(first.length),
      },
    );
  }
  const ids = { answer: readToken(reader, answer, '--answer'), wrong: readToken(reader, wrong, '--wrong') };
  const all = new Set([...first, ...second, ids.answer, ids.wrong]);
  return {
    kind: 'task',
    version: 1,
    name: 'prompts',
    tokenStrings: Object.fromEntries([...all].map((id) => [String(id), words.token(id)])),
    examples: [{ clean: first, corrupt: second, answer: ids.answer, wrongAnswer: ids.wrong }],
    metric: { kind: 'logit_diff' },
  };
}

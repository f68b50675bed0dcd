import { CircuitscopeError } from '@circuitscope/schema';
import type { Bos, Tokenizer } from './tokenizer.ts';

// What people write, as token ids: prompts, and single tokens such as answers. One place, so that a page and a command read
// the same words alike.

export interface PromptReader {
  /** Null where the model comes without one; a text is then ids, apart by spaces or commas. */
  readonly tokenizer: Tokenizer | null;
  /** How many tokens the model knows. */
  readonly vocab: number;
  /** How texts begin; `auto` does as the vocabulary says. */
  readonly bos?: Bos;
}

/** @throws CircuitscopeError `bad_prompt`, `out_of_range` */
export function readPrompt({ tokenizer, vocab, bos = 'auto' }: PromptReader, text: string): number[] {
  const ids = tokenizer ? tokenizer.encode(text, { bos }) : idsOf(text);
  const bad = ids.find((id) => id >= vocab);
  if (bad === undefined) return ids;
  throw new CircuitscopeError('out_of_range', `The token ${bad} is not in the vocabulary of ${vocab} tokens.`, {
    expected: `0 to ${vocab - 1}`,
    got: String(bad),
  });
}

/**
 * One token: text that is one, `#ID`, or without a tokenizer its id.
 * @param what the error calls it
 * @throws CircuitscopeError `bad_token`
 */
export function readToken({ tokenizer, vocab }: PromptReader, text: string, what: string): number {
  const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  const fail = (expected: string): CircuitscopeError =>
    new CircuitscopeError('bad_token', `The ${what} must be ${expected}; “${shown}” is not.`, {
      at: what,
      expected,
      got: shown,
    });
  const named = /^#(\d{1,8})$/.exec(text)?.[1] ?? (tokenizer ? undefined : /^\d{1,8}$/.exec(text.trim())?.[0]);
  if (named !== undefined) {
    if (Number(named) < vocab) return Number(named);
    throw fail(`a token from #0 to #${vocab - 1}`);
  }
  if (!tokenizer) throw fail('a token id');
  const ids = tokenizer.encode(text, { bos: 'never' });
  const [id] = ids;
  if (id !== undefined && ids.length === 1) return id;
  throw fail(`one token (a leading space may be part of it, and #ID names any); it is ${ids.length}`);
}

function idsOf(text: string): number[] {
  return text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map((word) => {
      if (/^\d{1,8}$/.test(word)) return Number(word);
      throw new CircuitscopeError(
        'bad_prompt',
        `This model comes without a tokenizer, so a prompt is token ids such as 3 1 4; “${word.slice(0, 40)}” is none.`,
        { got: word.slice(0, 40) },
      );
    });
}

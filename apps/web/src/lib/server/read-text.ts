import type { Bos, Tokenizer } from '@circuitscope/core';
import { CircuitscopeError } from '@circuitscope/schema';
import type { OpenModel } from './open-models.ts';

/** The ids of a text, as this model begins texts; without a tokenizer a text is ids, apart by spaces or commas. */
export function readText({ model, member, tokenizer, known }: OpenModel, text: string): number[] {
  if (model.spec.kind === 'convnet') {
    throw new CircuitscopeError('bad_prompt', `${known.name} looks at images; it reads no text.`, { at: known.name });
  }
  const { vocab } = model.spec;
  const ids = tokenizer ? tokenizer.encode(text, { bos: bosOf(tokenizer, member) }) : idsOf(text);
  const bad = ids.find((id) => id >= vocab);
  if (bad === undefined) return ids;
  throw new CircuitscopeError('out_of_range', `The token ${bad} is not in the vocabulary of ${vocab} tokens.`, {
    expected: `0 to ${vocab - 1}`,
    got: String(bad),
  });
}

/** Words of the zoo are listed with the token that begins its prompts, which belongs to none of them. */
const bosOf = (tokenizer: Tokenizer, member: OpenModel['member']): Bos =>
  member && tokenizer.bosId !== null ? 'always' : 'auto';

/** The part of a text that each of its tokens stands for, empty for those around it; no list where that is not known. */
export function sourcesIn({ member, tokenizer }: OpenModel, text: string): readonly string[] {
  if (!tokenizer) return [];
  try {
    return tokenizer.offsets(text, { bos: bosOf(tokenizer, member) }).map(([start, end]) => text.slice(start, end));
  } catch (error) {
    if (error instanceof CircuitscopeError && error.code === 'unsupported_tokenizer') return [];
    throw error;
  }
}

/** One token given as text, or as `#ID`. */
export function readToken({ tokenizer, model }: OpenModel, text: string, what: string): number {
  const fail = (expected: string): CircuitscopeError =>
    new CircuitscopeError('bad_token', `The ${what} must be ${expected}; “${text.slice(0, 40)}” is not.`, {
      at: what,
      expected,
      got: text.slice(0, 40),
    });
  const vocab = 'vocab' in model.spec ? model.spec.vocab : 0;
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

/** A token as the page shows it. Tokens that carry no text of their own keep the vocabulary's spelling. */
export function spell({ tokenizer }: Pick<OpenModel, 'tokenizer'>, id: number): string {
  if (!tokenizer || id >= tokenizer.size) return `#${id}`;
  if (tokenizer.kind !== 'huggingface') return tokenizer.token(id);
  const text = tokenizer.decode([id]);
  return text === '' || text.includes('\uFFFD') ? tokenizer.token(id) : text;
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

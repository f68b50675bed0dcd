import { type PromptReader, readToken as readOneToken, readPrompt } from '@circuitscope/core/tokens';
import { CircuitscopeError } from '@circuitscope/schema';
import type { OpenModel } from './open-models.ts';

/** The ids of a text, as this model begins texts; without a tokenizer a text is ids, apart by spaces or commas. */
export function readText(open: OpenModel, text: string): number[] {
  return readPrompt(readerOf(open), text);
}

/** The part of a text that each of its tokens stands for, empty for those around it; no list where that is not known. */
export function sourcesIn(open: OpenModel, text: string): readonly string[] {
  const { tokenizer, bos = 'auto' } = readerOf(open);
  if (!tokenizer) return [];
  try {
    return tokenizer.offsets(text, { bos }).map(([start, end]) => text.slice(start, end));
  } catch (error) {
    if (error instanceof CircuitscopeError && error.code === 'unsupported_tokenizer') return [];
    throw error;
  }
}

/** One token given as text, or as `#ID`. */
export function readToken(open: OpenModel, text: string, what: string): number {
  return readOneToken(readerOf(open), text, what);
}

function readerOf({ model, member, tokenizer, known }: OpenModel): PromptReader {
  if (model.spec.kind === 'convnet') {
    throw new CircuitscopeError('bad_prompt', `${known.name} looks at images; it reads no text.`, { at: known.name });
  }
  // Words of the zoo are listed with the token that begins its prompts, which belongs to none of them.
  const bos = tokenizer && member && tokenizer.bosId !== null ? 'always' : 'auto';
  return { tokenizer, vocab: model.spec.vocab, bos };
}

/** A token as the page shows it. Tokens that carry no text of their own keep the vocabulary's spelling. */
export function spell({ tokenizer }: Pick<OpenModel, 'tokenizer'>, id: number): string {
  if (!tokenizer || id >= tokenizer.size) return `#${id}`;
  if (tokenizer.kind !== 'huggingface') return tokenizer.token(id);
  const text = tokenizer.decode([id]);
  return text === '' || text.includes('\uFFFD') ? tokenizer.token(id) : text;
}

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { openTokenizer, type Tokenizer } from '@circuitscope/core/tokens';
import { CircuitscopeError } from '@circuitscope/schema';
import type { Io } from '../../io.ts';

/** The tokenizer that was named, or the one beside a checkpoint if there is one: for words beside ids, never needed. */
export function tokenizerBeside(path: string | undefined, given: string, io: Io): Tokenizer | null {
  if (path !== undefined) return openTokenizer(resolve(io.cwd, path));
  if (given.startsWith('zoo:') || !existsSync(resolve(io.cwd, given))) return null;
  try {
    return openTokenizer(resolve(io.cwd, given));
  } catch (error) {
    if (error instanceof CircuitscopeError && error.code === 'missing_tokenizer') return null;
    throw error;
  }
}

/** A token for people: its text with spaces shown, or its id. */
export function wordOf(tokenizer: Tokenizer | null, id: number): string {
  if (!tokenizer) return String(id);
  const text = tokenizer.decode([id]);
  return (text === '' ? tokenizer.token(id) : text).replaceAll(' ', '␣').replaceAll('\n', '⏎');
}

/** A token given as an id, or as text that is one token. */
export function tokenId(given: string, tokenizer: Tokenizer | null, option: string): number {
  if (/^\d+$/.test(given)) return Number(given);
  if (!tokenizer) {
    throw new CircuitscopeError(
      'bad_option',
      `${option} must be a token id: there is no tokenizer to read "${given}" with.`,
      {
        at: option,
        got: given,
      },
    );
  }
  const plain = tokenizer.encode(given, { bos: 'never' });
  const [id] = plain;
  if (id !== undefined && plain.length === 1) return id;
  throw new CircuitscopeError(
    'bad_option',
    `${option} must be one token; "${given}" is ${plain.length} (${plain.slice(0, 6).join(', ')}). A leading space may be part of it.`,
    { at: option, expected: 'one token', got: plain.join(', ') },
  );
}

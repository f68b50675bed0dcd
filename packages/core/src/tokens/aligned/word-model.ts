import { member } from '../json-part.ts';
import { bytePairs } from './byte-pairs.ts';
import { unigram } from './unigram.ts';
import { nameOf, UnknownPart } from './unknown-part.ts';
import { wordPieces } from './word-pieces.ts';
import type { WordModel, WordToken } from './word-token.ts';

/** The `model` of a tokenizer.json. Words that come again are looked up. @throws UnknownPart */
export function wordModelOf(part: unknown): WordModel {
  const model = make(part);
  const known = new Map<string, readonly WordToken[] | null>();
  return (word) => {
    const before = known.get(word);
    if (before !== undefined) return before;
    const tokens = model(word);
    if (known.size >= 1 << 14) known.clear();
    if (word.length <= 64) known.set(word, tokens);
    return tokens;
  };
}

function make(part: unknown): WordModel {
  const type = nameOf(member(part, 'type')) || inferred(part);
  if (type === 'BPE') return bytePairs(part);
  if (type === 'WordPiece') return wordPieces(part);
  if (type === 'Unigram') return unigram(part);
  throw new UnknownPart(`the model ${type}`);
}

/** Older files do not name it. */
function inferred(part: unknown): string {
  if (Array.isArray(member(part, 'merges'))) return 'BPE';
  if (Array.isArray(member(part, 'vocab'))) return 'Unigram';
  return typeof member(part, 'continuing_subword_prefix') === 'string' ? 'WordPiece' : 'without a name';
}

import { member } from '../json-part.ts';
import { vocabularyIds } from './vocabulary-ids.ts';
import type { WordModel, WordToken } from './word-token.ts';

/**
 * BERT's WordPiece: from the left the longest piece that fits, all but the first written behind a prefix (`##`); a word that
 * does not come out, or is too long, is one unknown token.
 */
export function wordPieces(model: unknown): WordModel {
  const ids = vocabularyIds(model);
  const prefix = String(member(model, 'continuing_subword_prefix') ?? '##');
  const most = Number(member(model, 'max_input_chars_per_word') ?? 100);
  const unknown = ids.get(String(member(model, 'unk_token') ?? '[UNK]'));
  // The longest piece bounds what is tried.
  let longest = 0;
  for (const piece of ids.keys()) longest = Math.max(longest, piece.length);
  return (word) => {
    const whole = unknown === undefined ? null : [{ id: unknown, start: 0, end: word.length }];
    if (word.length > most && [...word].length > most) return whole;
    const tokens: WordToken[] = [];
    for (let start = 0; start < word.length; ) {
      let found: WordToken | undefined;
      for (let end = Math.min(word.length, start + longest); end > start && !found; end--) {
        const id = ids.get(start > 0 ? prefix + word.slice(start, end) : word.slice(start, end));
        if (id !== undefined) found = { id, start, end };
      }
      if (!found) return whole;
      tokens.push(found);
      start = found.end;
    }
    return tokens;
  };
}

import { expect, test } from 'vitest';
import { Rng } from '../../tensor/index.ts';
import { SortedPieces } from './sorted-pieces.ts';
import { wordModelOf } from './word-model.ts';

const tokens = (model: unknown, word: string) =>
  wordModelOf(model)(word)?.map(({ id, start, end }) => [id, start, end]) ?? null;

const pieceModel = (vocab: readonly (readonly [string, number])[], more: object = {}) => ({
  type: 'Unigram',
  unk_id: 0,
  vocab,
  ...more,
});

test('WordPiece takes the longest piece from the left; a word that does not come out is unknown as a whole', () => {
  const vocab = { '[UNK]': 0, un: 1, '##aff': 2, '##able': 3, u: 4, '##n': 5, '🙂': 6 };
  const model = { type: 'WordPiece', vocab, unk_token: '[UNK]', continuing_subword_prefix: '##' };
  expect(tokens(model, 'unaffable')).toEqual([[1, 0, 2], [2, 2, 5], [3, 5, 9]]); // biome-ignore format: a row a case
  expect(tokens(model, '🙂n')).toEqual([[6, 0, 2], [5, 2, 3]]); // biome-ignore format: a row a case
  expect(tokens(model, 'unx')).toEqual([[0, 0, 3]]);
  expect(tokens({ ...model, max_input_chars_per_word: 2 }, 'unn')).toEqual([[0, 0, 3]]);
  expect(tokens({ ...model, unk_token: 'none' }, 'x')).toBeNull();
});

test('Unigram finds the likeliest way to write a word, as trying all of them does', () => {
  const random = new Rng(3, 'unigram');
  for (let round = 0; round < 300; round++) {
    const vocab: (readonly [string, number])[] = [['<unk>', -20]];
    for (const piece of ['a', 'b', 'c', 'ab', 'bc', 'abc', 'ca', 'bb', 'aa', 'cab'])
      if (random.below(4) > 0) vocab.push([piece, -random.below(1_000_000) / 1e5]);
    const scores = new Map(vocab);
    const lowest = Math.min(...scores.values()) - 10;
    const best = (rest: string): number => {
      if (rest === '') return 0;
      let most = -Infinity;
      for (let length = 1; length <= Math.min(3, rest.length); length++) {
        const score = scores.get(rest.slice(0, length)) ?? (length === 1 ? lowest : undefined);
        if (score !== undefined) most = Math.max(most, score + best(rest.slice(length)));
      }
      return most;
    };
    const word = Array.from({ length: 1 + random.below(8) }, () => 'abc'[random.below(3)]).join('');
    const found = wordModelOf(pieceModel(vocab))(word) ?? [];
    const sum = found.reduce(
      (all, { id, start, end }) => all + (id === 0 ? lowest * (end - start) : (vocab[id]?.[1] ?? 0)),
      0,
    );
    expect(sum).toBeCloseTo(best(word), 8);
    expect(found.map(({ start, end }) => word.slice(start, end)).join('')).toBe(word);
  }
});

test('unknown neighbours are one token, or the bytes of both, each with the range of both', () => {
  const vocab = [['<unk>', 0], ['a', -1], ['<0xC3>', -9], ['<0xA9>', -9]] as const; // biome-ignore format: a list
  expect(tokens(pieceModel(vocab), 'aé🙂a')).toEqual([[1, 0, 1], [0, 1, 4], [1, 4, 5]]); // biome-ignore format: a row
  const falling = pieceModel(vocab, { byte_fallback: true });
  expect(tokens(falling, 'éa')).toEqual([[2, 0, 1], [3, 0, 1], [1, 1, 2]]); // biome-ignore format: a row
  expect(tokens(falling, '🙂')).toEqual([[0, 0, 2]]);
  expect(tokens(pieceModel(vocab, { unk_id: null }), 'x')).toBeNull();
  expect(() => wordModelOf(pieceModel(vocab, { unk_id: 9 }))).toThrow('unknown token');
});

test('byte pairs merge in the order of the list and keep their places, with prefix, suffix, bytes and unknown tokens', () => {
  const vocab = {
    '<unk>': 0,
    a: 1,
    b: 2,
    '##b': 3,
    'a##b': 4,
    ab: 5,
    'b</w>': 6,
    'ab</w>': 7,
    '<0xC3>': 8,
    '<0xA9>': 9,
  };
  const model = { type: 'BPE', vocab, merges: ['a b'], unk_token: '<unk>' };
  expect(tokens(model, 'abxé')).toEqual([[5, 0, 2], [0, 2, 3], [0, 3, 4]]); // biome-ignore format: a row
  expect(tokens({ ...model, fuse_unk: true }, 'xéa')).toEqual([[0, 0, 2], [1, 2, 3]]); // biome-ignore format: a row
  expect(tokens({ ...model, byte_fallback: true }, 'aé')).toEqual([[1, 0, 1], [8, 1, 2], [9, 1, 2]]); // biome-ignore format: a row
  expect(tokens({ ...model, merges: [['a', '##b']], continuing_subword_prefix: '##' }, 'ab')).toEqual([[5, 0, 2]]);
  expect(tokens({ ...model, merges: ['a b</w>'], end_of_word_suffix: '</w>' }, 'ab')).toEqual([[7, 0, 2]]);
  expect(tokens({ ...model, merges: [], ignore_merges: true }, 'ab')).toEqual([[5, 0, 2]]);
  // A character that cannot be written vanishes; what follows keeps its place.
  expect(tokens({ ...model, unk_token: null }, 'axa')).toEqual([[1, 0, 1], [1, 2, 3]]); // biome-ignore format: a row
  expect(tokens({ ...model, unk_token: null }, 'axb')).toEqual([[5, 0, 3]]);
  expect(() => wordModelOf({ ...model, dropout: 0.1 })).toThrow('at random');
  expect(() => wordModelOf({ ...model, merges: ['a c'] })).toThrow('no pieces');
  expect(() => wordModelOf({ ...model, merges: ['a'] })).toThrow('no pair');
});

test('sorted pieces find what a text goes on with, as comparing all of them does', () => {
  const random = new Rng(4, 'sorted.pieces');
  const letters = ['a', 'b', '🙂', 'é', '\u{10ffff}'];
  const some = (most: number) =>
    Array.from({ length: random.below(most) }, () => letters[random.below(letters.length)]).join('');
  for (let round = 0; round < 200; round++) {
    const pieces = Array.from({ length: random.below(12) }, () => some(5));
    const sorted = new SortedPieces(pieces);
    const text = some(8);
    for (let at = 0; at < text.length; at++) {
      const all = new Set(
        pieces.filter((piece) => piece !== '' && text.startsWith(piece, at)).map(({ length }) => length),
      );
      expect(sorted.lengthsAt(text, at)).toEqual([...all].sort((a, b) => a - b));
    }
  }
});

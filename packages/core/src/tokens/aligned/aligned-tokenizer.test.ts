import { expect, test } from 'vitest';
import { alignedTokenizer } from './aligned-tokenizer.ts';

const letters = [...'abcdefg ▁Ġ', '<x>', '<y>', 'Ab', '<unk>'];
const vocab = Object.fromEntries(letters.map((letter, id) => [letter, id]));
const file = (more: object) => ({ model: { type: 'BPE', vocab, merges: [], unk_token: '<unk>' }, ...more });

function read(json: object, text: string): string {
  const tokenizer = alignedTokenizer(json, (id) => letters[id]);
  if (typeof tokenizer === 'string') return tokenizer;
  const { ids, offsets } = tokenizer.read(text) ?? { ids: [], offsets: [] };
  return ids.map((id, i) => `${letters[id]} ${offsets[i]?.join('-')}`).join(', ');
}

const added = (content: string, more: object = {}) => ({
  content,
  id: vocab[content],
  special: true,
  normalized: false,
  ...more,
});

test('added tokens come first, the longest at each place, with the white space that they take', () => {
  const json = file({
    added_tokens: [added('<x>', { lstrip: true }), added('<y>', { rstrip: true }), added('Ab', { single_word: true })],
  });
  expect(read(json, 'a <x>b')).toBe('a 0-1, <x> 1-5, b 5-6');
  expect(read(json, '<y>  <x>a')).toBe('<y> 0-5, <x> 5-8, a 8-9');
  expect(read(json, 'Ab Abc')).toBe('Ab 0-2,   2-3, <unk> 3-4, b 4-5, c 5-6');
});

test('added tokens that are normalized are looked for in the normalized text', () => {
  const json = file({ normalizer: { type: 'Lowercase' }, added_tokens: [added('Ab', { normalized: true })] });
  expect(read(json, 'cABc')).toBe('c 0-1, Ab 1-3, c 3-4');
  expect(read({ ...json, added_tokens: [added('Ab')] }, 'cABAb')).toBe('c 0-1, a 1-2, b 2-3, Ab 3-5');
});

test('a file can take spaces out of ranges; the one that was put before a text has nothing to take', () => {
  const bytes = { type: 'ByteLevel', add_prefix_space: true, use_regex: false };
  const json = file({ pre_tokenizer: bytes, model: { type: 'BPE', vocab: { ...vocab, Ġa: 14 }, merges: ['Ġ a'] } });
  const trimmed = (post_processor: object) => {
    const tokenizer = alignedTokenizer({ ...json, post_processor }, (id) => [...letters, 'Ġa'][id]);
    return typeof tokenizer === 'string' ? tokenizer : tokenizer.read('a a b')?.offsets;
  };
  expect(trimmed({ ...bytes, trim_offsets: false })).toEqual([[0, 1], [1, 3], [3, 4], [4, 5]]); // biome-ignore format: a row
  expect(trimmed({ ...bytes, trim_offsets: true })).toEqual([[0, 1], [2, 3], [4, 4], [4, 5]]); // biome-ignore format: a row
  const roberta = {
    type: 'RobertaProcessing',
    cls: ['<x>', 10],
    sep: ['<y>', 11],
    trim_offsets: true,
    add_prefix_space: true,
  };
  expect(trimmed(roberta)).toEqual([[0, 1], [2, 3], [4, 4], [4, 5]]); // biome-ignore format: a row
});

test('templates say what comes before and behind a text', () => {
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const template = {
    type: 'TemplateProcessing',
    single: [special('<x>'), { Sequence: { id: 'A', type_id: 0 } }, special('<y>')],
    special_tokens: { '<x>': { ids: [10] }, '<y>': { ids: [11, 0] } },
  };
  const around = (post_processor: object) => {
    const tokenizer = alignedTokenizer(file({ post_processor }), (id) => letters[id]);
    return typeof tokenizer === 'string' ? tokenizer : [tokenizer.before, tokenizer.after];
  };
  expect(around(template)).toEqual([[10], [11, 0]]);
  expect(around({ type: 'BertProcessing', cls: ['<x>', 10], sep: ['<y>', 11] })).toEqual([[10], [11]]);
  expect(around({ type: 'Sequence', processors: [{ type: 'ByteLevel' }, template] })).toEqual([[10], [11, 0]]);
  expect(around({ ...template, special_tokens: {} })).toContain('does not name');
  expect(around({ ...template, special_tokens: { '<x>': { ids: [99] }, '<y>': { ids: [1] } } })).toContain('no token');
  expect(around({ ...template, single: [special('<x>')] })).toContain('0 places');
  expect(around({ type: 'Other' })).toContain('post-processor Other');
});

test('a part that is not known is named', () => {
  expect(read(file({ normalizer: { type: 'Other' } }), 'a')).toBe('the normalizer Other');
  expect(read(file({ pre_tokenizer: { type: 'Other' } }), 'a')).toBe('the pre-tokenizer Other');
  expect(read(file({ model: { type: 'WordLevel', vocab } }), 'a')).toBe('the model WordLevel');
});

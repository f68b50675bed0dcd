export type { Offset } from './byte-level-offsets.ts';
export { type Corpus, type CorpusDocument, type CorpusFormat, type CorpusOptions, openCorpus } from './corpus.ts';
export { type GenerateOptions, generate, generateTogether } from './generate.ts';
export { type Llama2cTokenizer, openLlama2cTokenizer } from './llama2c-tokenizer.ts';
export { openTokenizer } from './open-tokenizer.ts';
export { type PromptReader, readPrompt, readToken } from './read-prompt.ts';
export type { Bos, Tokenizer } from './tokenizer.ts';
export { openWordTokenizer, wordTokenizer } from './word-tokenizer.ts';

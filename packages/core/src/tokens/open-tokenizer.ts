import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { openLlama2c } from '../checkpoints/llama2c.ts';
import { isPytorch } from '../checkpoints/pytorch.ts';
import { fileLength, readBytes, statOf } from '../checkpoints/read-bytes.ts';
import { openHuggingFaceTokenizer } from './hugging-face-tokenizer.ts';
import { openLlama2cTokenizer } from './llama2c-tokenizer.ts';
import type { Tokenizer } from './tokenizer.ts';
import { openGgufTokenizer, openVocabAndMerges, openWordPieces } from './vocabulary-files.ts';
import { openWordTokenizer } from './word-tokenizer.ts';

/**
 * The tokenizer that belongs to a checkpoint: tokens.json, tokenizer.json, vocab.json with merges.txt or vocab.txt
 * in its directory; a GGUF file's own; for a llama2.c file
 * `tok<vocabulary>.bin` or tokenizer.bin beside it. The tokenizer's own file may be given too.
 *
 * @throws CircuitscopeError `missing_tokenizer` where there is none, `bad_tokenizer`, `unsupported_tokenizer`.
 */
export function openTokenizer(path: string): Tokenizer {
  if (statOf(path).isDirectory()) return openBeside(path, path);
  const name = basename(path);
  if (name === 'tokens.json') return openWordTokenizer(path);
  if (name === 'vocab.json') return openVocabAndMerges(path);
  if (name === 'vocab.txt') return openWordPieces(path);
  if (name.endsWith('.json')) return openHuggingFaceTokenizer(path);
  if (name.endsWith('.gguf')) return openGgufTokenizer(path);
  if (/^tok\w*\.bin$/.test(name)) return openLlama2cTokenizer(path);
  return name.endsWith('.bin') && !isPytorch(readBytes(path, 0, Math.min(4, fileLength(path))))
    ? openForLlama2c(path)
    : openBeside(dirname(path), path);
}

function openBeside(directory: string, model: string): Tokenizer {
  const words = join(directory, 'tokens.json');
  if (existsSync(words)) return openWordTokenizer(words);
  const json = join(directory, 'tokenizer.json');
  if (existsSync(json)) return openHuggingFaceTokenizer(json);
  const vocab = join(directory, 'vocab.json');
  if (existsSync(vocab) && existsSync(join(directory, 'merges.txt'))) return openVocabAndMerges(vocab);
  const pieces = join(directory, 'vocab.txt');
  if (existsSync(pieces)) return openWordPieces(pieces);
  throw missing(model, ['tokens.json', 'tokenizer.json', 'vocab.json with merges.txt', 'vocab.txt']);
}

function openForLlama2c(path: string): Tokenizer {
  const { vocab_size } = openLlama2c(path).config;
  const names = [`tok${vocab_size}.bin`, 'tokenizer.bin'];
  const found = names.map((name) => join(dirname(path), name)).find((candidate) => existsSync(candidate));
  if (!found) throw missing(path, names);
  const tokenizer = openLlama2cTokenizer(found);
  if (tokenizer.size === vocab_size) return tokenizer;
  throw new CircuitscopeError(
    'bad_tokenizer',
    `${found} does not belong to ${path}: their vocabularies differ in size.`,
    {
      at: found,
      expected: `${vocab_size} tokens`,
      got: `${tokenizer.size} tokens`,
    },
  );
}

function missing(model: string, names: readonly string[]): CircuitscopeError {
  return new CircuitscopeError(
    'missing_tokenizer',
    `${model} comes without a tokenizer; put ${names.join(' or ')} beside it, or give token ids.`,
    { at: model, expected: names.join(' or ') },
  );
}

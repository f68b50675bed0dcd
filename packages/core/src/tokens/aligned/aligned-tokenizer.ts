import type { Offset } from '../byte-level-offsets.ts';
import { member } from '../json-part.ts';
import { addedTokens } from './added-tokens.ts';
import { AlignedText } from './aligned-text.ts';
import { normalizerOf } from './normalizer.ts';
import { postProcessingOf } from './post-processing.ts';
import { preTokenizerOf } from './pre-tokenizer.ts';
import { UnknownPart } from './unknown-part.ts';
import { wordModelOf } from './word-model.ts';

export interface AlignedTokens {
  readonly ids: number[];
  readonly offsets: Offset[];
}

/** A tokenizer.json whose every part is known, so that each token knows its place. */
export interface AlignedTokenizer {
  /** Ids that its post-processor puts before and behind a text's own. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** The text's own tokens; null where it has a word that the vocabulary can in no way write. */
  read(text: string): AlignedTokens | null;
}

/**
 * The steps of a tokenizer.json over a text that remembers where it came from: added tokens, normalizer, pre-tokenizer,
 * model, post-processor.
 *
 * @param spellingOf an id, in the vocabulary's own writing, if it has one
 * @returns the reason where a part of the file is not known here
 */
export function alignedTokenizer(
  json: unknown,
  spellingOf: (id: number) => string | undefined,
): AlignedTokenizer | string {
  try {
    const sections = addedTokens(json, normalizerOf(member(json, 'normalizer')));
    const words = preTokenizerOf(member(json, 'pre_tokenizer'));
    const model = wordModelOf(member(json, 'model'));
    const { before, after, trim } = postProcessingOf(member(json, 'post_processor'));
    if ([...before, ...after].some((id) => spellingOf(id) === undefined))
      throw new UnknownPart('a template with an id that is no token');
    const read = (text: string): AlignedTokens | null => {
      const ids: number[] = [];
      const offsets: Offset[] = [];
      const add = (id: number, offset: Offset, spelling: string): void => {
        offsets.push(trim({ text, offset, spelling, isFirst: ids.length === 0 }));
        ids.push(id);
      };
      for (const { text: section, id } of sections(AlignedText.of(text))) {
        if (id !== null) add(id, section.range(0, section.text.length), section.text);
        else
          for (const word of words(section)) {
            const tokens = model(word.text);
            if (!tokens) return null;
            for (const token of tokens) add(token.id, word.range(token.start, token.end), spellingOf(token.id) ?? '');
          }
      }
      return { ids, offsets };
    };
    return { before, after, read };
  } catch (error) {
    if (error instanceof UnknownPart) return error.message;
    throw error;
  }
}

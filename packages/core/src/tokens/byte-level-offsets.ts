import { CircuitscopeError } from '@circuitscope/schema';

/** Half-open range of a token in its text, in UTF-16 units (JavaScript's string indices). */
export type Offset = readonly [start: number, end: number];

/**
 * Where the tokens of a byte-level vocabulary lie in their text: each letter of a spelling is one byte, so the spellings
 * follow each other through the text's UTF-8. A token that holds a part of a character has the range of the whole one.
 *
 * @param spellings of the text's tokens, without those that were put around it; `literal` ones are added tokens, which are
 *   spelled as they stand.
 * @throws CircuitscopeError `bad_tokenizer` where they do not fill the text to the byte.
 */
export function byteLevelOffsets(
  text: string,
  spellings: readonly { readonly text: string; readonly literal: boolean }[],
  at: string,
): Offset[] {
  const starts: number[] = [];
  const ends: number[] = [];
  let unit = 0;
  for (const character of text) {
    const bytes = utf8Length(character.codePointAt(0) ?? 0);
    for (let byte = 0; byte < bytes; byte++) {
      starts.push(unit);
      ends.push(unit + character.length);
    }
    unit += character.length;
  }
  let place = 0;
  const offsets = spellings.map(({ text: spelling, literal }): Offset => {
    const length = literal ? new TextEncoder().encode(spelling).length : [...spelling].length;
    const range: Offset = [starts[place] ?? unit, ends[place + length - 1] ?? unit];
    place += length;
    return range;
  });
  if (place === starts.length) return offsets;
  throw new CircuitscopeError(
    'bad_tokenizer',
    `The tokens of ${at} do not spell this text; their places are unknown.`,
    {
      at,
      expected: `${starts.length} bytes`,
      got: `${place} bytes`,
    },
  );
}

/** A lone surrogate is encoded as U+FFFD: three bytes too. */
const utf8Length = (point: number): number => (point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4);

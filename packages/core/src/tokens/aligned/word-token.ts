/** A token of a word, in units of it. */
export interface WordToken {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

/** The tokens of a word; null where it has a character that the vocabulary can in no way write. */
export type WordModel = (word: string) => readonly WordToken[] | null;

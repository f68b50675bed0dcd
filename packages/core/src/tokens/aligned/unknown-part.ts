/** A part of a tokenizer.json that the aligned pipeline does not have; inside this folder only, see `alignedTokenizer`. */
export class UnknownPart extends Error {}

/** What kind of part it is; the empty text where it says none. */
export function nameOf(type: unknown): string {
  return typeof type === 'string' ? type.slice(0, 40) : '';
}

/** Text to token ids and back, for one vocabulary. */
export interface Tokenizer {
  readonly kind: 'llama2c' | 'huggingface' | 'words';
  /** Ids run from 0 to size − 1. */
  readonly size: number;
  /**
   * @param options.bos whether the tokens that the vocabulary puts around a text (BOS, and [CLS] … [SEP]) are added; without
   *   it, as the format's own program does.
   * @throws CircuitscopeError `unknown_token`, `too_large`.
   */
  encode(text: string, options?: { readonly bos?: boolean }): number[];
  /** The text of the ids, without the tokens that mark its beginning. Bytes that are no UTF-8 become U+FFFD. */
  decode(ids: readonly number[]): string;
  /** One token in the vocabulary's own spelling. @throws CircuitscopeError `unknown_token`. */
  token(id: number): string;
}

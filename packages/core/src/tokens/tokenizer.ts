import type { Offset } from './byte-level-offsets.ts';

/**
 * Whether a text begins with the token that begins texts: `auto` as the vocabulary's own program does (it may add other
 * tokens too, as [CLS] … [SEP] or a last </s>), `always` so in any case, `never` no token that is not of the text.
 */
export type Bos = 'auto' | 'always' | 'never';

/** Text to token ids and back, for one vocabulary. */
export interface Tokenizer {
  readonly kind: 'llama2c' | 'huggingface' | 'sentencepiece' | 'words';
  /** Ids run from 0 to size − 1. */
  readonly size: number;
  /** The token that begins a text, null where the vocabulary has none. */
  readonly bosId: number | null;
  /**
   * @param options.bos `auto` if left out.
   * @throws CircuitscopeError `unknown_token`, `too_large`; `missing_bos` where it is to come always and there is none.
   */
  encode(text: string, options?: { readonly bos?: Bos }): number[];
  /**
   * Where each token of `encode(text, options)` lies in the text; those that were put around it, BOS as [CLS], at [0, 0].
   * @throws CircuitscopeError as `encode`; `unsupported_tokenizer` where a part of its file is not known to the unit.
   */
  offsets(text: string, options?: { readonly bos?: Bos }): Offset[];
  /** The text of the ids, without the tokens that mark its beginning. Bytes that are no UTF-8 become U+FFFD. */
  decode(ids: readonly number[]): string;
  /** One token in the vocabulary's own spelling. @throws CircuitscopeError `unknown_token`. */
  token(id: number): string;
}

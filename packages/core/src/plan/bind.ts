import { CircuitscopeError, type Hash, type Pos } from '@circuitscope/schema';
import type { Dim } from '../graph/index.ts';
import type { Floats, Tensor } from '../tensor/index.ts';
import type { Sizes } from './program.ts';
import type { Run } from './run.ts';

// What a call knows and a compiled plan does not: how many examples, which positions, what other runs recorded.

export interface Prompt {
  /** Token ids [batch][pos]; all rows equally long (pad on the left or right and give a mask). */
  readonly tokens: readonly (readonly number[])[];
  /** 1 at real tokens, 0 at padding [batch][pos]; all real if left out. */
  readonly mask?: readonly (readonly number[])[];
  /** Position ids [batch][pos]; 0, 1, 2, … if left out, counted from the first real token under a mask. */
  readonly positions?: readonly (readonly number[])[];
  /** Named positions of a task, one index per example. */
  readonly named?: { readonly [name: string]: readonly number[] };
  /**
   * What the decoder of an encoder-decoder reads [batch][pos], with a mask of its own. `tokens` and `mask` are then what the
   * encoder reads, of another length perhaps.
   */
  readonly decoderTokens?: readonly (readonly number[])[];
  readonly decoderMask?: readonly (readonly number[])[];
  /** The segment of each token [batch][pos], for models that tell segments apart; the first if left out. */
  readonly tokenTypes?: readonly (readonly number[])[];
  /** The token that a loss asks for at each position [batch][pos], −100 where none; the next token if left out. */
  readonly targets?: readonly (readonly number[])[];
  /** For nets that look at images: [batch, channels, height, width]. `imagePrompt` makes such a prompt. */
  readonly images?: Tensor;
  /** The class of each image, which a loss asks for. */
  readonly labels?: readonly number[];
  /**
   * More tokens will follow. `from` is how long the prompt is: positions from there on are `generated`. A scope may name
   * positions that are not there yet, and nothing may be changed that later tokens would change again.
   */
  readonly grows?: { readonly from: number };
}

/** A prompt of images [batch, channels, height, width]. It has one position, whose token nothing reads. */
export function imagePrompt(images: Tensor, labels?: readonly number[]): Prompt {
  const tokens = Array.from({ length: images.shape[0] ?? 0 }, () => [0]);
  return labels ? { tokens, images, labels } : { tokens, images };
}

export interface BindContext {
  readonly prompt: Prompt;
  readonly batch: number;
  readonly pos: number;
  /** Of an encoder-decoder, how long the encoder's text is; `pos` is then the decoder's. */
  readonly source?: number;
  /** The variants of this chunk; rows run variant-major: row = index in this list × batch + example. */
  readonly variants: readonly number[];
  readonly runs: ReadonlyMap<string, Run>;
  readonly artefacts: ReadonlyMap<Hash, Tensor>;
  /** Where earlier positions are given: how many of `pos` they are, and what is left of them, by input. */
  readonly past?: { readonly length: number; readonly state: ReadonlyMap<string, Floats> };
  /** What an encoder gave to its decoder before, in the order of the program's outputs. */
  readonly encoded?: readonly Floats[];
  /** What a run without changes gave at nodes that are given instead of computed. */
  readonly base?: ReadonlyMap<number, Floats>;
}

/** A program input that is made at the call. `level` says whether it has a row per example or per variant and example. */
export interface ExternalInput {
  readonly node: number;
  readonly make: (context: BindContext) => Floats | Int32Array;
  readonly sizes?: (context: BindContext) => Sizes;
  /** The entries are positions. */
  readonly positions?: true;
}

export interface Row {
  readonly variant: number;
  readonly example: number;
}

/** Rows of an input at the given level, in order. */
export function rowsOf(context: BindContext, level: 'batch' | 'rows'): readonly Row[] {
  const known = rowLists.get(context) ?? {};
  rowLists.set(context, known);
  let rows = known[level];
  if (!rows) {
    rows = [];
    for (const variant of level === 'rows' ? context.variants : context.variants.slice(0, 1)) {
      for (let example = 0; example < context.batch; example++) rows.push({ variant, example });
    }
    known[level] = rows;
  }
  return rows;
}

/** Every input of a call asks for the same rows. */
const rowLists = new WeakMap<BindContext, { batch?: Row[]; rows?: Row[] }>();

/** What the symbols of positions are in a call. */
export function positionSizes({ pos, source }: Pick<BindContext, 'pos' | 'source'>): Sizes {
  return { pos, keys: pos, ...(source === undefined ? {} : { source }) };
}

/** The text that logits are of: an encoder-decoder's is the decoder's. */
export function textOf(prompt: Prompt): Pick<Prompt, 'tokens' | 'mask'> {
  if (!prompt.decoderTokens) return prompt;
  return { tokens: prompt.decoderTokens, ...(prompt.decoderMask ? { mask: prompt.decoderMask } : {}) };
}

/**
 * Positions that a scope names in one example, checked against the prompt.
 * @param axis the size of the axis that has these positions: `source` where they are the encoder's
 */
export function resolvePositions(pos: Pos, example: number, context: BindContext, axis: Dim = 'pos'): number[] {
  const inSource = axis === 'source' && context.source !== undefined;
  const length = inSource ? (context.source ?? 0) : context.pos;
  const { mask } = inSource ? context.prompt : textOf(context.prompt);
  const grows = inSource ? undefined : context.prompt.grows;
  // What is not there yet will be; counted from the end, it would move.
  const there = (list: readonly number[]): readonly number[] => (grows ? list.filter((index) => index < length) : list);
  const checked = (index: number): number => {
    const at = index < 0 ? index + length : index;
    if (Number.isInteger(at) && at >= 0 && at < length) return at;
    throw new CircuitscopeError('out_of_range', `Position ${index} lies outside a prompt of ${length} tokens.`, {
      at: `example ${example}`,
      expected: `-${length} to ${length - 1}`,
      got: String(index),
    });
  };
  const one = (list: readonly number[] | undefined, what: string): number[] => {
    const index = list?.[example];
    if (index !== undefined) return there([index]).map(checked);
    throw new CircuitscopeError('unknown_position', `${what} gives no position for example ${example}.`, {
      at: `example ${example}`,
    });
  };
  switch (pos.kind) {
    case 'all':
      return Array.from({ length }, (_, index) => index);
    case 'last':
      return [lastReal(mask?.[example], length)];
    case 'positions':
      return there(pos.positions).map(checked);
    case 'perExample':
      return one(pos.positions, 'The list of positions');
    case 'named':
      return one(context.prompt.named?.[pos.name], `The named position ${pos.name}`);
    case 'generated':
      if (grows) return Array.from({ length: Math.max(length - grows.from, 0) }, (_, index) => grows.from + index);
      throw new CircuitscopeError(
        'unknown_position',
        'Generated positions are those behind a prompt that is being continued; this text is not.',
        { at: `example ${example}` },
      );
  }
}

function lastReal(mask: readonly number[] | undefined, length: number): number {
  if (!mask) return length - 1;
  for (let at = length - 1; at >= 0; at--) if (mask[at] !== 0) return at;
  return length - 1;
}

/** Checks a prompt: equal lengths, whole ids, a mask and positions of the same shape. */
export function checkPrompt(prompt: Prompt): Pick<BindContext, 'batch' | 'pos' | 'source'> {
  const text = textOf(prompt);
  const pos = text.tokens[0]?.length ?? 0;
  const source = prompt.tokens[0]?.length ?? 0;
  const check = (rows: readonly (readonly number[])[], what: string, length: number, least = 0): void => {
    const shape = `${prompt.tokens.length} × ${length}`;
    if (rows.length !== prompt.tokens.length || rows.some((row) => row.length !== length)) {
      throw new CircuitscopeError(
        'bad_prompt',
        `${what} must be one list per example, all of length ${length}; pad shorter ones and give a mask.`,
        {
          at: what,
          expected: shape,
          got: rows
            .map((row) => row.length)
            .slice(0, 8)
            .join(', '),
        },
      );
    }
    for (const row of rows) {
      for (const id of row) {
        if (!Number.isInteger(id) || (id < 0 && id !== least) || id > 0x7fffffff) {
          throw new CircuitscopeError('bad_prompt', `${what} must hold whole numbers from 0 on.`, {
            at: what,
            got: String(id),
          });
        }
      }
    }
  };
  check(prompt.tokens, 'tokens', source);
  if (prompt.mask) check(prompt.mask, 'mask', source);
  if (prompt.positions) check(prompt.positions, 'positions', source);
  if (prompt.tokenTypes) check(prompt.tokenTypes, 'tokenTypes', source);
  if (prompt.decoderTokens) check(prompt.decoderTokens, 'decoderTokens', pos);
  if (prompt.decoderMask) check(prompt.decoderMask, 'decoderMask', pos);
  if (prompt.targets) check(prompt.targets, 'targets', pos, NOT_COUNTED);
  if (prompt.tokens.length === 0 || pos === 0 || source === 0) {
    throw new CircuitscopeError('bad_prompt', 'A prompt needs at least one example with at least one token.');
  }
  return { batch: prompt.tokens.length, pos, ...(prompt.decoderTokens ? { source } : {}) };
}

/** In place of a token that a loss does not count. */
export const NOT_COUNTED = -100;

/**
 * The i32 inputs that graphs may have: [batch, pos], of an encoder [batch, source]. Keys have positions of their own: of a
 * text in pieces, all of them.
 */
export function graphInputs(prompt: Prompt): { readonly [name: string]: Int32Array } {
  const mask = prompt.mask ?? prompt.tokens.map((row) => row.map(() => 1));
  const positions =
    prompt.positions ??
    mask.map((row) => {
      let next = 0;
      return row.map((real) => (real === 0 ? 0 : next++));
    });
  const flat = (rows: readonly (readonly number[])[]): Int32Array => Int32Array.from(rows.flat());
  const read = {
    tokens: flat(prompt.tokens),
    positions: flat(positions),
    key_positions: flat(positions),
    mask: flat(mask),
    token_types: prompt.tokenTypes
      ? flat(prompt.tokenTypes)
      : new Int32Array(prompt.tokens.length * (prompt.tokens[0]?.length ?? 0)),
  };
  if (!prompt.decoderTokens) return read;
  const text = textOf(prompt);
  const textMask = text.mask ?? text.tokens.map((row) => row.map(() => 1));
  return { ...read, decoder_tokens: flat(text.tokens), decoder_mask: flat(textMask) };
}

// One head's attention on one example: a square of weights, query by key. Rows of numbers or one flat array; callers
// read both through this file.

/** `values[query][key]`, or row-major `[query * size + key]`; each entry between 0 and 1. */
export type PatternValues = readonly (readonly number[])[] | Float32Array;

export interface AttentionHead {
  /** "1.0", "1.0 induction": any text. */
  readonly label: string;
  readonly values: PatternValues;
}

export interface Pattern {
  readonly size: number;
  /** 0 for a query or key outside the square, and for what is not a number. */
  readonly at: (query: number, key: number) => number;
  /** What is wrong with the values, in one sentence; undefined when they fit the tokens. */
  readonly problem: string | undefined;
}

/** Reads a head's values as a square with one row and column for each token. */
export function readPattern(values: PatternValues, size: number): Pattern {
  const read = (query: number, key: number): number | undefined =>
    values instanceof Float32Array ? values[query * size + key] : values[query]?.[key];
  return {
    size,
    at(query, key) {
      if (query < 0 || key < 0 || query >= size || key >= size) return 0;
      const value = read(query, key) ?? 0;
      return Number.isFinite(value) ? value : 0;
    },
    problem: problemOf(values, size),
  };
}

/** True if no query looks at a later key: the upper half is then left empty and the diagonal is drawn as a step. */
export function isCausal(pattern: Pattern): boolean {
  for (let query = 0; query < pattern.size; query++) {
    for (let key = query + 1; key < pattern.size; key++) if (pattern.at(query, key) !== 0) return false;
  }
  return pattern.size > 1;
}

function problemOf(values: PatternValues, size: number): string | undefined {
  if (values instanceof Float32Array) {
    return values.length === size * size
      ? undefined
      : `The pattern has ${values.length} weights; ${size} tokens need ${size * size}.`;
  }
  if (values.length !== size) return `The pattern has ${values.length} queries; there are ${size} tokens.`;
  const odd = values.findIndex((row) => row.length !== size);
  return odd < 0 ? undefined : `Query ${odd} of the pattern has ${values[odd]!.length} keys; there are ${size} tokens.`;
}

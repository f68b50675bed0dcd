// What a model computes, told apart from how: variables with parents. Anything of this shape will do; the zoo's programs have it.

/** null where a variable has no value: at BOS, or where nothing was selected. */
export type CausalValue = string | number | boolean | null;

/** A value for each position of the prompt. */
export interface CausalValues {
  readonly [variable: string]: readonly CausalValue[];
}

/** Values that replace what was computed; `undefined` leaves a position as it is. */
export interface CausalOverrides {
  readonly [variable: string]: readonly (CausalValue | undefined)[];
}

export interface CausalProgram {
  /** Parents come first. */
  readonly variables: readonly { readonly name: string; readonly parents: readonly string[] }[];
  /** The variable that the logits are read from. */
  readonly output: string;
  /** Every variable at every position; what comes after an override follows it. */
  readonly evaluate: (tokens: readonly number[], overrides?: CausalOverrides) => CausalValues;
  /** The token that stands for a value of the output; null where it is a number. */
  readonly tokenOf: (value: CausalValue) => number | null;
  /** Where the output is a number: the token whose logit is that number. */
  readonly numberToken?: number;
}

/** A prompt on which a program is compared with a model. */
export interface AlgorithmInput {
  readonly tokens: readonly number[];
  /** Where the output is read; wherever the program has one if left out. */
  readonly read?: readonly number[];
}

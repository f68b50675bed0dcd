// Programs over sequences as data, after RASP (Weiss et al. 2021). A variable has a value at each position. Categorical
// ones take few values and are one-hot in the stream; numeric ones are one number each.

export type RaspValue = string | number | boolean;

export interface RaspProgram {
  /** Without `rasp-`. */
  readonly name: string;
  readonly title: string;
  /** Values of the variable `tokens`. */
  readonly vocabulary: readonly RaspValue[];
  /** The longest input, not counting BOS. Inputs have at least one token. */
  readonly length: number;
  /** Each may name `tokens`, `indices` (0, 1, 2, …) and those before it. */
  readonly variables: readonly RaspVariable[];
  /** The variable that is the answer. */
  readonly output: string;
}

export type RaspVariable =
  /** fn of one variable at the same position. A numeric `of` takes `less_than` and `greater_than` alone. */
  | {
      readonly kind: 'map';
      readonly name: string;
      readonly of: string;
      readonly fn: RaspFunction;
      readonly as: Encoding;
    }
  /** fn of two categorical variables at the same position. */
  | {
      readonly kind: 'sequence_map';
      readonly name: string;
      readonly left: string;
      readonly right: string;
      readonly fn: RaspPairFunction;
      readonly as: Encoding;
    }
  /** weights[0]·left + weights[1]·right of two numeric variables. */
  | {
      readonly kind: 'linear_map';
      readonly name: string;
      readonly left: string;
      readonly right: string;
      readonly weights: readonly [number, number];
    }
  /** The mean of `of` over selected positions; nothing selected: 0 if numeric, else no value. */
  | { readonly kind: 'aggregate'; readonly name: string; readonly selector: Selector; readonly of: string }
  /** How many positions are selected. */
  | { readonly kind: 'selector_width'; readonly name: string; readonly selector: Selector };

export type Encoding = 'categorical' | 'numeric';

export type RaspFunction =
  | { readonly kind: 'identity' }
  | { readonly kind: 'equals'; readonly value: RaspValue }
  | { readonly kind: 'add'; readonly value: number }
  /** Of numbers that keep at least 0.02 away from `value` where the answer is yes. */
  | { readonly kind: 'less_than' | 'greater_than'; readonly value: number };

export type RaspPairFunction =
  | { readonly kind: 'subtract' }
  /** left + factor·right */
  | { readonly kind: 'add_scaled'; readonly factor: number }
  | { readonly kind: 'and' | 'or' | 'and_not' };

/** Position j is selected by position i if the predicate holds of key[j] and query[i]. */
export interface Selector {
  readonly keys: string;
  readonly queries: string;
  readonly predicate: Predicate;
}

export type Predicate =
  | { readonly kind: 'always' | 'equal' }
  /** key < query, key ≤ query */
  | { readonly kind: 'less' | 'at_most' }
  /** query = key + by */
  | { readonly kind: 'offset'; readonly by: number };

/** The variables that a variable reads, each once. */
export function parentsOf(variable: RaspVariable): readonly string[] {
  return [...new Set(readsOf(variable))];
}

function readsOf(variable: RaspVariable): readonly string[] {
  switch (variable.kind) {
    case 'map':
      return [variable.of];
    case 'sequence_map':
    case 'linear_map':
      return [variable.left, variable.right];
    case 'aggregate':
      return [variable.selector.keys, variable.selector.queries, variable.of];
    case 'selector_width':
      return [variable.selector.keys, variable.selector.queries];
  }
}

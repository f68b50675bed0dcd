import type { Site } from '@circuitscope/schema';
import type { RaspValue } from './rasp-program.ts';

// What a model computes, told apart from how: variables with parents, and where in the model each of them lies.

/** null where a variable has no value: at BOS, and where nothing was selected. */
export type CausalValue = RaspValue | null;

/** A value for each position of the prompt, BOS at 0. */
export interface CausalValues {
  readonly [variable: string]: readonly CausalValue[];
}

export interface CausalProgram {
  /** Parents come first. */
  readonly variables: readonly { readonly name: string; readonly parents: readonly string[] }[];
  /** The variable that the logits are read from. */
  readonly output: string;
  /**
   * Every variable at every position. Where an override has an entry, the variable takes that value there instead, and what
   * comes after it follows; `undefined` leaves a position as it is.
   * @param tokens ids of the model's prompt, BOS first
   */
  readonly evaluate: (
    tokens: readonly number[],
    overrides?: { readonly [variable: string]: readonly (CausalValue | undefined)[] },
  ) => CausalValues;
  /** The token that stands for a value of the output; null where it is a number, which is the logit itself. */
  readonly tokenOf: (value: CausalValue) => number | null;
  /** Where the output is a number: the token whose logit it is. */
  readonly numberToken?: number;
}

/** Variables that are not listed have no place of their own. */
export interface Alignment {
  readonly [variable: string]: AlignedVariable;
}

/** The columns of a site that carry a variable, and nothing else. Exchanging them between prompts exchanges the variable. */
export interface AlignedVariable {
  readonly site: Site;
  /** First column and the one after the last. */
  readonly units: readonly [from: number, to: number];
  /** How a value reads there: one column per value; one number; or cos and sin, by turns, of an angle per frequency. */
  readonly encoding: 'one_hot' | 'number' | 'waves';
}

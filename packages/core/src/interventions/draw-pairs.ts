import { CircuitscopeError } from '@circuitscope/schema';
import { Rng } from '../tensor/index.ts';
import type { AlgorithmInput, CausalOverrides, CausalProgram, CausalValue, CausalValues } from './causal-program.ts';
import { type Saying, sayings } from './compare-output.ts';

/** A base prompt, one source for each variable, and what the program says after the exchange. */
export interface InterchangePair {
  readonly base: readonly number[];
  /** By variable. */
  readonly sources: readonly (readonly number[])[];
  /** Positions that are exchanged, by variable. */
  readonly positions: readonly (readonly number[])[];
  /** What the program says of the base left alone, and after the exchange. */
  readonly before: readonly Saying[];
  readonly after: readonly Saying[];
  /** Whether the program says one thing before the exchange and another after it, anywhere. */
  readonly changes: boolean;
  readonly baseValues: CausalValues;
  readonly sourceValues: readonly CausalValues[];
}

export interface DrawnPairs {
  readonly pairs: readonly InterchangePair[];
  readonly wanted: { readonly changing: number; readonly unchanging: number };
  /** Draws that were thrown away, as the program says nothing after the exchange, or cannot be run. */
  readonly unsaid: number;
}

export interface DrawOptions {
  /** How many; 64 if left out. */
  readonly pairs?: number;
  /** Share of them in which the exchange changes what the program says; 0.75 if left out. */
  readonly changingShare?: number;
  /** Exchange a variable at every position at which it has a value in one of the two, or at one of them; `all` if left out. */
  readonly positions?: 'all' | 'one';
  /** Numbers as near as this are one; 0.01 if left out. */
  readonly tolerance?: number;
  readonly seed: number;
}

/** Draws for each pair that is wanted, before a stratum is given up. */
const PATIENCE = 200;

/**
 * Random pairs in two strata: those in which the exchange changes what the program says and those in which it does not. A
 * stratum that the inputs do not fill stays smaller than wanted; nothing is drawn from the other in its place.
 * @throws CircuitscopeError `too_few_examples` for fewer than two inputs
 */
export function drawPairs(
  program: CausalProgram,
  variables: readonly string[],
  inputs: readonly AlgorithmInput[],
  { pairs = 64, changingShare = 0.75, positions = 'all', tolerance = 0.01, seed }: DrawOptions,
): DrawnPairs {
  if (inputs.length < 2)
    throw new CircuitscopeError('too_few_examples', 'An exchange needs at least two prompts; give more.', {
      expected: 'at least 2',
      got: String(inputs.length),
    });
  const rng = new Rng(seed, `interventions.pairs/${variables.join(' ')}/${positions}`);
  const changing = Math.round(pairs * changingShare);
  const wanted = { changing, unchanging: pairs - changing };
  const left = { ...wanted };
  const drawn: InterchangePair[] = [];
  const values = new Map<AlgorithmInput, CausalValues>();
  const valuesOf = (input: AlgorithmInput): CausalValues => {
    const known = values.get(input) ?? program.evaluate(input.tokens);
    values.set(input, known);
    return known;
  };
  let unsaid = 0;
  for (let attempt = 0; attempt < pairs * PATIENCE && left.changing + left.unchanging > 0; attempt++) {
    const base = rng.choice(inputs);
    const sources = variables.map(() => rng.choice(inputs));
    const baseValues = valuesOf(base);
    const sourceValues = sources.map(valuesOf);
    const places = variables.map((variable, at) => {
      const carried = exchangeable(baseValues[variable], sourceValues[at]?.[variable]);
      return positions === 'one' && carried.length > 0 ? [rng.choice(carried)] : carried;
    });
    const exchanged = evaluateExchange(program, base.tokens, variables, places, sourceValues);
    const after = exchanged ? sayings(program, exchanged, base) : [];
    if (!exchanged || after.length === 0) {
      unsaid++;
      continue;
    }
    const was = baseValues[program.output] ?? [];
    const is = exchanged[program.output] ?? [];
    const changed = (at: number): boolean => !sameValue(was[at] ?? null, is[at] ?? null, tolerance);
    const changes = after.some(({ at }) => (was[at] ?? null) !== null && changed(at));
    // New words where the base says nothing: a model left alone could be right or wrong there, so these are in no stratum.
    if (!changes && after.some(({ at }) => changed(at))) continue;
    const stratum = changes ? 'changing' : 'unchanging';
    if (left[stratum] === 0) continue;
    left[stratum]--;
    drawn.push({
      base: base.tokens,
      sources: sources.map(({ tokens }) => tokens),
      positions: places,
      before: sayings(program, baseValues, base),
      after,
      changes,
      baseValues,
      sourceValues,
    });
  }
  return { pairs: drawn, wanted, unsaid };
}

/** Equal, or numbers no further apart than the tolerance. */
export function sameValue(one: CausalValue, other: CausalValue, tolerance: number): boolean {
  if (typeof one === 'number' && typeof other === 'number') return Math.abs(one - other) <= tolerance;
  return one === other;
}

/** Positions of both prompts at which the variable has a value in one of them. */
function exchangeable(base: readonly CausalValue[] = [], source: readonly CausalValue[] = []): number[] {
  const shared = Math.min(base.length, source.length);
  return Array.from({ length: shared }, (_, at) => at).filter((at) => (base[at] ?? source[at] ?? null) !== null);
}

/**
 * The program on a base in which variables have the values that these columns give them at these positions; null where a
 * program cannot be run so.
 */
export function evaluateExchange(
  program: CausalProgram,
  base: readonly number[],
  variables: readonly string[],
  positions: readonly (readonly number[])[],
  sources: readonly CausalValues[],
): CausalValues | null {
  const overrides: { [variable: string]: (CausalValue | undefined)[] } = {};
  variables.forEach((variable, index) => {
    const column = new Array<CausalValue | undefined>(base.length).fill(undefined);
    for (const at of positions[index] ?? []) column[at] = sources[index]?.[variable]?.[at] ?? null;
    overrides[variable] = column;
  });
  try {
    const checked: CausalOverrides = overrides;
    return program.evaluate(base, checked);
  } catch (error) {
    // Exchanged values may be such as no input gives: two keys in one place, a mean of words.
    if (error instanceof CircuitscopeError) return null;
    throw error;
  }
}

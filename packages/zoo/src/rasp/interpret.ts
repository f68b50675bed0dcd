import { applyFunction, applyPair, holds, number } from './apply-functions.ts';
import type { CausalValue } from './causal-program.ts';
import { badProgram, inferValues, type Values } from './infer-values.ts';
import type { RaspProgram, RaspVariable, Selector } from './rasp-program.ts';

type Column = readonly CausalValue[];
type Overrides = { readonly [variable: string]: readonly (CausalValue | undefined)[] };

/**
 * Runs a program on token values, position by position: the oracle of its compiled form.
 * @param overrides per variable, values that replace what was computed; `undefined` entries replace nothing
 */
export function interpret(
  program: RaspProgram,
  tokens: Column,
  overrides: Overrides = {},
): ReadonlyMap<string, Column> {
  const kinds = inferValues(program);
  const columns = new Map<string, Column>();
  const set = (name: string, column: Column): void => {
    const other = overrides[name];
    const replaced = other
      ? column.map((value, at) => (other[at] === undefined ? value : (other[at] ?? null)))
      : column;
    // A number is never absent: in the stream, nothing written is 0.
    columns.set(name, kinds.get(name)?.kind === 'number' ? replaced.map((value) => value ?? 0) : replaced);
  };
  set('tokens', tokens);
  set(
    'indices',
    tokens.map((_, index) => index),
  );
  for (const variable of program.variables) set(variable.name, compute(program, variable, columns, kinds));
  return columns;
}

function compute(
  program: RaspProgram,
  variable: RaspVariable,
  columns: ReadonlyMap<string, Column>,
  kinds: ReadonlyMap<string, Values>,
): Column {
  const read = (name: string): Column => columns.get(name) ?? [];
  switch (variable.kind) {
    case 'map':
      return read(variable.of).map((value) => {
        if (value === null) return null;
        const mapped = applyFunction(variable.fn, value);
        return variable.as === 'numeric' ? number(mapped) : mapped;
      });
    case 'sequence_map': {
      const right = read(variable.right);
      return read(variable.left).map((a, at) => {
        const b = right[at] ?? null;
        if (a === null || b === null) return null;
        const mapped = applyPair(variable.fn, a, b);
        return variable.as === 'numeric' ? number(mapped) : mapped;
      });
    }
    case 'linear_map': {
      const right = read(variable.right);
      const [a, b] = variable.weights;
      return read(variable.left).map((value, at) => a * number(value ?? 0) + b * number(right[at] ?? 0));
    }
    case 'aggregate':
      return selected(variable.selector, columns).map((positions) =>
        average(
          program,
          variable,
          positions.map((at) => read(variable.of)[at] ?? null),
          kinds.get(variable.name)?.kind === 'number',
        ),
      );
    case 'selector_width':
      return selected(variable.selector, columns).map((positions) => positions.length);
  }
}

/** Selected positions, by query. */
function selected({ keys, queries, predicate }: Selector, columns: ReadonlyMap<string, Column>): number[][] {
  const keyed = columns.get(keys) ?? [];
  return (columns.get(queries) ?? []).map((query) =>
    keyed.flatMap((key, at) => (key !== null && query !== null && holds(predicate, key, query) ? [at] : [])),
  );
}

/** The mean of numbers; of other values the one that they share. */
function average(program: RaspProgram, { name }: RaspVariable, values: Column, numeric: boolean): CausalValue {
  const first = values[0];
  if (first === undefined) return null;
  if (numeric) return values.reduce((sum: number, value) => sum + number(value ?? 0), 0) / values.length;
  if (values.every((value) => value === first)) return first;
  throw badProgram(program, name, 'would have to average values that are not numbers');
}

import { CircuitscopeError } from '@circuitscope/schema';
import { applyFunction, applyPair } from './apply-functions.ts';
import type { RaspProgram, RaspValue, RaspVariable } from './rasp-program.ts';

/** Every value that a categorical variable can take, in the order of its one-hot columns; or that it is a number. */
export type Values = { readonly kind: 'one_hot'; readonly values: readonly RaspValue[] } | { readonly kind: 'number' };

/** Values of `tokens`, `indices` and every variable. @throws CircuitscopeError `bad_program` for a name that is not before its use */
export function inferValues(program: RaspProgram): ReadonlyMap<string, Values> {
  const known = new Map<string, Values>([
    ['tokens', { kind: 'one_hot', values: program.vocabulary }],
    ['indices', { kind: 'one_hot', values: Array.from({ length: program.length }, (_, index) => index) }],
  ]);
  for (const variable of program.variables) {
    if (known.has(variable.name)) throw badProgram(program, variable.name, 'is defined twice');
    known.set(variable.name, valuesOf(program, variable, known));
  }
  if (!known.has(program.output)) throw badProgram(program, program.output, 'is not a variable of it');
  return known;
}

export function oneHotValues(
  program: RaspProgram,
  values: ReadonlyMap<string, Values>,
  name: string,
): readonly RaspValue[] {
  const found = values.get(name);
  if (found?.kind === 'one_hot') return found.values;
  throw badProgram(program, name, found ? 'is a number where one of few values is needed' : 'is not defined');
}

export function badProgram(program: RaspProgram, name: string, what: string): CircuitscopeError {
  return new CircuitscopeError('bad_program', `In the program ${program.name}, ${name} ${what}.`, { at: name });
}

function valuesOf(program: RaspProgram, variable: RaspVariable, known: ReadonlyMap<string, Values>): Values {
  const of = (name: string): Values => {
    const found = known.get(name);
    if (!found) throw badProgram(program, name, `is not defined before ${variable.name}, which reads it`);
    return found;
  };
  switch (variable.kind) {
    case 'map': {
      const source = of(variable.of);
      if (source.kind === 'number' && variable.fn.kind !== 'less_than' && variable.fn.kind !== 'greater_than')
        throw badProgram(program, variable.name, 'maps a number by something else than a threshold');
      if (variable.as === 'numeric') return { kind: 'number' };
      if (source.kind === 'number') return { kind: 'one_hot', values: [false, true] };
      return oneHot(source.values.map((value) => applyFunction(variable.fn, value)));
    }
    case 'sequence_map': {
      const left = oneHotValues(program, known, variable.left);
      const right = oneHotValues(program, known, variable.right);
      if (variable.as === 'numeric') return { kind: 'number' };
      return oneHot(left.flatMap((a) => right.map((b) => applyPair(variable.fn, a, b))));
    }
    case 'linear_map':
      for (const name of [variable.left, variable.right])
        if (of(name).kind !== 'number') throw badProgram(program, name, 'is not a number');
      return { kind: 'number' };
    case 'aggregate':
      return of(variable.of);
    case 'selector_width':
      return { kind: 'one_hot', values: Array.from({ length: program.length + 1 }, (_, width) => width) };
  }
}

/** Each value once: numbers and false before true in ascending order, words as they come. */
function oneHot(values: readonly RaspValue[]): Values {
  const once = [...new Set(values)];
  const ordered = once.every((value) => typeof value !== 'string') ? once.sort((a, b) => Number(a) - Number(b)) : once;
  return { kind: 'one_hot', values: ordered };
}

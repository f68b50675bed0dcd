import { CircuitscopeError } from '@circuitscope/schema';
import type { Predicate, RaspFunction, RaspPairFunction, RaspValue } from './rasp-program.ts';

// What the named functions and predicates of a program mean; the interpreter and the compiler ask the same.

export function applyFunction(fn: RaspFunction, value: RaspValue): RaspValue {
  switch (fn.kind) {
    case 'identity':
      return value;
    case 'equals':
      return value === fn.value;
    case 'add':
      return number(value) + fn.value;
    case 'less_than':
      return number(value) < fn.value;
    case 'greater_than':
      return number(value) > fn.value;
  }
}

export function applyPair(fn: RaspPairFunction, left: RaspValue, right: RaspValue): RaspValue {
  switch (fn.kind) {
    case 'subtract':
      return number(left) - number(right);
    case 'add_scaled':
      return number(left) + fn.factor * number(right);
    case 'and':
      return Boolean(left) && Boolean(right);
    case 'or':
      return Boolean(left) || Boolean(right);
    case 'and_not':
      return Boolean(left) && !right;
  }
}

export function holds(predicate: Predicate, key: RaspValue, query: RaspValue): boolean {
  switch (predicate.kind) {
    case 'always':
      return true;
    case 'equal':
      return key === query;
    case 'less':
      return number(key) < number(query);
    case 'at_most':
      return number(key) <= number(query);
    case 'offset':
      return number(query) === number(key) + predicate.by;
  }
}

/** true counts 1, false 0, as where a categorical variable becomes a number. */
export function number(value: RaspValue): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  throw new CircuitscopeError('bad_program', `A program computes with ${JSON.stringify(value)}, which is no number.`, {
    expected: 'a number',
    got: value,
  });
}

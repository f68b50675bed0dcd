import { CircuitscopeError } from '@circuitscope/schema';

// An option is described once; parsing, checks and help text all come from that description.

/** One option or argument of a command: `T` is its value when given, `A` when left out. */
export interface Option<T = unknown, A = unknown> {
  readonly about: string;
  /** What stands for the value in help: `PATH`, `N`; null for a switch, which takes none. */
  readonly value: string | null;
  /** Given by its place instead of by `--name`. */
  readonly positional: boolean;
  readonly required: boolean;
  /** @param name how the user wrote it, for the error. @throws CircuitscopeError `bad_option` */
  readonly parse: (text: string, name: string) => T;
  readonly absent: () => A;
  /** The default in words, for help. */
  readonly shownDefault?: string;
}

/** Options by name in camel case; the user writes `topK` as `--top-k`. Arguments stand in the order of the keys. */
export interface Options {
  readonly [name: string]: Option;
}

export type Values<O extends Options> = {
  readonly [K in keyof O]: O[K] extends Option<infer T, infer A> ? T | A : never;
};

/** A switch: true when given. */
export function flag(about: string): Option<boolean, boolean> {
  return { about, value: null, positional: false, required: false, parse: () => true, absent: () => false };
}

/** An option whose value `parse` reads; undefined when left out. */
export function valued<T>(
  value: string,
  about: string,
  parse: (text: string, name: string) => T,
): Option<T, undefined> {
  return { about, value, positional: false, required: false, parse, absent: () => undefined };
}

export function text(value: string, about: string): Option<string, undefined> {
  return valued(value, about, (given) => given);
}

export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

export function integer(value: string, about: string, bounds: Bounds = {}): Option<number, undefined> {
  return valued(value, about, (given, name) => {
    const { min = 0, max = Number.MAX_SAFE_INTEGER } = bounds;
    const number = /^-?\d+$/.test(given) ? Number(given) : Number.NaN;
    if (Number.isSafeInteger(number) && number >= min && number <= max) return number;
    const upTo = bounds.max === undefined ? ' on' : ` to ${max}`;
    throw badOption(name, `a whole number from ${min}${upTo}`, given);
  });
}

export function real(value: string, about: string, bounds: Bounds = {}): Option<number, undefined> {
  return valued(value, about, (given, name) => {
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = bounds;
    const number = given.trim() === '' ? Number.NaN : Number(given);
    if (Number.isFinite(number) && number >= min && number <= max) return number;
    const from = bounds.min === undefined ? '' : ` from ${min}`;
    const upTo = bounds.max === undefined ? '' : ` to ${max}`;
    throw badOption(name, `a number${from}${upTo}`, given);
  });
}

export function choice<const W extends string>(words: readonly W[], about: string): Option<W, undefined> {
  return valued(words.join('|'), about, (given, name) => {
    const word = words.find((candidate) => candidate === given);
    if (word !== undefined) return word;
    throw badOption(name, `one of ${words.join(', ')}`, given);
  });
}

/** `a,b,c` as a list; empty entries are dropped. */
export function list(value: string, about: string): Option<readonly string[], undefined> {
  return valued(value, about, (given) =>
    given
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  );
}

export function required<T>(option: Option<T, undefined>): Option<T, never> {
  return {
    ...option,
    required: true,
    absent: () => {
      throw new CircuitscopeError('missing_option', 'A required option is missing.');
    },
  };
}

/** @param shown the default in words, where the value itself would not read well */
export function withDefault<T>(option: Option<T, undefined>, value: T, shown = String(value)): Option<T, T> {
  return { ...option, absent: () => value, shownDefault: shown };
}

/** Given by its place: `circuitscope model inspect PATH`. */
export function argument<T, A>(option: Option<T, A>): Option<T, A> {
  return { ...option, positional: true };
}

export function badOption(name: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError('bad_option', `${name} must be ${expected}, not ${JSON.stringify(got.slice(0, 80))}.`, {
    at: name,
    expected,
    got: got.slice(0, 80),
  });
}

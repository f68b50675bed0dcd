import { parseArgs } from 'node:util';
import { CircuitscopeError } from '@circuitscope/schema';
import { nearest } from './nearest.ts';
import type { Option, Options, Values } from './option.ts';

/** `topK` → `--top-k`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** How the user writes an option or argument: `--steps`, `PATH`. */
export function writtenAs(name: string, option: Option): string {
  return option.positional ? (option.value ?? name.toUpperCase()) : flagOf(name);
}

/**
 * The words after a command as its options. Unknown, doubled and missing options are errors that say what to type.
 *
 * @param command how the command is called, for the errors: `model run`.
 * @throws CircuitscopeError `unknown_option`, `bad_option`, `missing_option`, `unknown_argument`.
 */
export function parseOptions<O extends Options>(options: O, words: readonly string[], command: string): Values<O> {
  const entries = Object.entries<Option>(options);
  const named = new Map(
    entries.filter(([, option]) => !option.positional).map(([name, option]) => [flagOf(name), { name, option }]),
  );
  const places = entries.filter(([, option]) => option.positional);
  const given = new Map<string, string>();
  const { tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(
      [...named].map(
        ([written, { option }]) => [written.slice(2), { type: option.value === null ? 'boolean' : 'string' }] as const,
      ),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  let place = 0;
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') {
      const found = places[place++];
      if (!found) throw tooMany(token.value, command);
      given.set(found[0], token.value);
      continue;
    }
    const found = named.get(token.rawName);
    if (!found) throw unknown(token.rawName, [...named.keys()], command);
    if (given.has(found.name)) throw bad(token.rawName, `${token.rawName} is given twice; keep one of the two.`);
    given.set(found.name, valueFor(token.rawName, found.option, token));
  }
  const values: Record<string, unknown> = {};
  for (const [name, option] of entries) {
    const text = given.get(name);
    if (text !== undefined) values[name] = option.parse(text, writtenAs(name, option));
    else if (option.required) throw missing(name, option, command);
    else values[name] = option.absent();
  }
  return values as Values<O>;
}

interface OptionToken {
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function valueFor(written: string, option: Option, { value, inlineValue }: OptionToken): string {
  if (option.value === null) {
    if (value === undefined) return '';
    throw bad(written, `${written} takes no value.`);
  }
  if (value === undefined) throw bad(written, `${written} needs a value: ${written} ${option.value}.`);
  // `--out --json` is a forgotten value far more often than a file called --json; -1 is a number.
  if (!inlineValue && /^-[^\d.]/.test(value)) {
    throw bad(
      written,
      `${written} needs a value, and ${value} looks like an option; write ${written}=${value} if it is meant.`,
    );
  }
  return value;
}

function unknown(written: string, known: readonly string[], command: string): CircuitscopeError {
  const near = nearest(written, known);
  const hint = near ? `did you mean ${near}?` : `circuitscope ${command} --help lists its options.`;
  return new CircuitscopeError('unknown_option', `${written} is no option of ${command}; ${hint}`, {
    at: written,
    ...(near ? { expected: near } : {}),
    got: written,
  });
}

function tooMany(value: string, command: string): CircuitscopeError {
  const shown = JSON.stringify(value.slice(0, 80));
  return new CircuitscopeError(
    'unknown_argument',
    `${command} does not know what to do with ${shown}; circuitscope ${command} --help shows its arguments.`,
    { got: value.slice(0, 80) },
  );
}

function missing(name: string, option: Option, command: string): CircuitscopeError {
  const written = option.positional ? writtenAs(name, option) : `${flagOf(name)} ${option.value ?? ''}`.trim();
  return new CircuitscopeError('missing_option', `${command} needs ${written} (${option.about}).`, { at: written });
}

function bad(at: string, message: string): CircuitscopeError {
  return new CircuitscopeError('bad_option', message, { at });
}

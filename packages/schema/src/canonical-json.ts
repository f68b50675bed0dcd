import { CircuitscopeError } from './error.ts';
import { formatPath, isPlain, MAX_DEPTH } from './structure.ts';

/**
 * The one text of a JSON value, for hashing: no white space, keys sorted by UTF-16 units, numbers and strings as
 * `JSON.stringify` writes them (RFC 8785 does the same; so −0 is 0). Whatever JSON would silently drop or change is an
 * error of code `not_json`: NaN, infinities, undefined, functions, symbols, bigints, holes, typed arrays, class instances,
 * keys that are symbols, nesting beyond `MAX_DEPTH`.
 */
export function canonicalJson(value: unknown): string {
  return write(value, []);
}

function write(value: unknown, path: (string | number)[]): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return JSON.stringify(value);
    throw refuse(path, String(value));
  }
  if (typeof value !== 'object') throw refuse(path, typeof value);
  if (path.length >= MAX_DEPTH) throw refuse(path, `nesting beyond ${MAX_DEPTH} levels`);
  if (Array.isArray(value)) {
    const items: string[] = [];
    for (let i = 0; i < value.length; i++) items.push(within(path, i, value[i]));
    return `[${items.join(',')}]`;
  }
  if (!isPlain(value)) throw refuse(path, `an instance of ${value.constructor?.name ?? 'a class'}`);
  if (Object.getOwnPropertySymbols(value).length > 0) throw refuse(path, 'a key that is a symbol');
  const entries = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${within(path, key, value[key])}`);
  return `{${entries.join(',')}}`;
}

/** The path is one list that grows and shrinks; an error that leaves it longer ends the writing. */
function within(path: (string | number)[], key: string | number, value: unknown): string {
  path.push(key);
  const text = write(value, path);
  path.pop();
  return text;
}

function refuse(path: readonly (string | number)[], got: string): CircuitscopeError {
  const at = formatPath(path);
  return new CircuitscopeError(
    'not_json',
    `${at === '' ? 'The value' : `The value at ${at}`} is ${got}, which JSON cannot say; leave it out or write it as a finite number, text, list or plain object.`,
    { at, expected: 'JSON', got },
  );
}

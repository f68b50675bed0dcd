import { CircuitscopeError } from '@circuitscope/schema';

/** More than this many characters no question of a page has. */
const MAX_BODY = 1 << 16;

type Field =
  | { readonly kind: 'text'; readonly max: number }
  | { readonly kind: 'number'; readonly min: number; readonly max: number; readonly whole?: true };
export type Fields = { readonly [name: string]: Field };
type Value<F extends Field> = F['kind'] extends 'text' ? string : number;

/**
 * Reads the body of a question: an object with exactly these fields. Unknown keys are errors, as everywhere.
 *
 * @throws CircuitscopeError `invalid_record`, with the place in its sentence.
 */
export async function parseBody<F extends Fields>(
  request: Request,
  fields: F,
): Promise<{ readonly [name in keyof F]: Value<F[name]> }> {
  const text = await request.text();
  if (text.length > MAX_BODY) throw bad('the body', `at most ${MAX_BODY} characters`, `${text.length} characters`);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw bad('the body', 'JSON', text.slice(0, 40));
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw bad('the body', 'an object', typeof body);
  const unknown = Object.keys(body).find((key) => !Object.hasOwn(fields, key));
  if (unknown !== undefined)
    throw bad('the body', Object.keys(fields).join(', '), JSON.stringify(unknown.slice(0, 40)));
  const read = Object.entries(fields).map(([name, field]) => [name, parseField(name, field, Reflect.get(body, name))]);
  // Each field was just read by its own kind.
  return Object.fromEntries(read) as { readonly [name in keyof F]: Value<F[name]> };
}

function parseField(name: string, field: Field, value: unknown): string | number {
  if (field.kind === 'text') {
    if (typeof value === 'string' && value.length <= field.max) return value;
    throw bad(
      name,
      `a text of at most ${field.max} characters`,
      typeof value === 'string' ? `${value.length} characters` : typeof value,
    );
  }
  const { min, max, whole } = field;
  if (typeof value === 'number' && value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  throw bad(name, `a ${whole ? 'whole ' : ''}number from ${min} to ${max}`, String(value).slice(0, 40));
}

function bad(at: string, expected: string, got: string): CircuitscopeError {
  return new CircuitscopeError(
    'invalid_record',
    `Not a question that this server answers: ${at} must be ${expected}, not ${got}.`,
    {
      at,
      expected,
      got,
    },
  );
}

import type { z } from 'zod';
import { CircuitscopeError } from './error.ts';
import { type Issue, MAX_ISSUES } from './issue.ts';
import { checkStructure, formatPath } from './structure.ts';

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly issues: readonly Issue[] };

/** Records above this many values are read up to their first issue only, so that issues never outweigh the record. */
const LIST_ALL_BELOW = 100_000;

/**
 * Reads a value of unknown origin as a record. The result is a frozen copy; keys that the schema does not know are
 * issues. `what` names the record in the message of an issue that concerns all of it.
 */
export function parseRecord<S extends z.ZodType>(schema: S, value: unknown, what: string): Parsed<z.output<S>> {
  const structure = checkStructure(value);
  if ('issue' in structure) return { ok: false, issues: [structure.issue] };
  const result = schema.safeParse(value, zodContext(structure.count));
  if (result.success) return { ok: true, value: result.data };
  const issues: Issue[] = [];
  for (const issue of result.error.issues) {
    if (issues.length >= MAX_ISSUES) break;
    describe(issue, [], issues);
  }
  const named = issues.map(({ path, message }) => ({ path, message: path === '' ? `${what}: ${message}` : message }));
  return { ok: false, issues: named.slice(0, MAX_ISSUES) };
}

/** As `parseRecord`, but throws code `invalid_record` with the first issue and the count of the others. */
export function mustParse<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const parsed = parseRecord(schema, value, what);
  if (parsed.ok) return parsed.value;
  throw invalidRecord(parsed.issues, what);
}

/** The error that stands for a list of issues. */
export function invalidRecord(issues: readonly Issue[], what: string): CircuitscopeError {
  const { path, message } = issues[0] ?? { path: '', message: 'nothing in it could be read' };
  const others = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  const sentence = path === '' ? `Not a valid ${what}: ${message}` : `Not a valid ${what}: at ${path}, ${message}`;
  return new CircuitscopeError('invalid_record', `${sentence}${others}.`, { at: path, expected: what, got: message });
}

/** Stands in no public type of zod 4.6; without it, a list of a million wrong entries makes a million issues first. */
function zodContext(count: number): z.core.ParseContext<z.core.$ZodIssue> {
  const context = { reportInput: false, abortEarly: count > LIST_ALL_BELOW };
  return context;
}

/** Flattens one zod issue: an unknown key is reported at that key, a union by the alternative that came furthest. */
function describe(issue: z.core.$ZodIssue, above: readonly PropertyKey[], into: Issue[]): void {
  const path = [...above, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys.slice(0, MAX_ISSUES)) {
      into.push({ path: formatPath([...path, key]), message: 'unknown key' });
    }
    return;
  }
  if (issue.code === 'invalid_union') {
    const options = 'options' in issue ? issue.options : undefined;
    if (options) {
      into.push({ path: formatPath(path), message: `expected one of ${options.map(String).join(', ')}` });
      return;
    }
    const furthest = issue.errors.flat().sort((a, b) => b.path.length - a.path.length)[0];
    if (furthest && furthest.path.length > 0) {
      describe(furthest, path, into);
      return;
    }
  }
  const message = issue.message.replace(/^Invalid input: /, '').replace(/^(Invalid|Too|Unrecognized) /, lower);
  into.push({ path: formatPath(path), message });
}

const lower = (start: string) => start.toLowerCase();

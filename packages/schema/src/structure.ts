import type { Issue } from './issue.ts';

// Bytes from outside are walked once, without recursion, before any schema looks at them: nesting cannot overflow the
// stack, a sparse or vast array costs no time, and a `__proto__` key never reaches an assignment.

/** The deepest nesting of a record. Sixteen circuits inside each other and their contents fit. */
export const MAX_DEPTH = 64;
/** The most values of a record, containers included. What is larger is an artefact in columns, not JSON. */
export const MAX_VALUES = 1 << 22;

/** The first thing that is wrong with the outline of a value, or the number of values in it. */
export function checkStructure(root: unknown): { readonly issue: Issue } | { readonly count: number } {
  const pending: Entry[] = [{ value: root, depth: 0 }];
  let count = 1;
  for (let entry = pending.pop(); entry; entry = pending.pop()) {
    const { value, depth } = entry;
    if (typeof value !== 'object' || value === null) continue;
    const fail = (message: string, key?: string | number) => ({
      issue: { path: formatPath(key === undefined ? trail(entry) : [...trail(entry), key]), message },
    });
    if (depth >= MAX_DEPTH) return fail(`nested deeper than ${MAX_DEPTH} levels`);
    if (Array.isArray(value)) {
      count += value.length;
      if (count > MAX_VALUES) return fail(`more than ${MAX_VALUES} values in one record`);
      for (let i = 0; i < value.length; i++) {
        if (isObject(value[i])) pending.push({ value: value[i], depth: depth + 1, key: i, parent: entry });
      }
      continue;
    }
    if (!isPlain(value)) return fail('expected plain JSON data, got an object of a class');
    const keys = Object.keys(value);
    count += keys.length;
    if (count > MAX_VALUES) return fail(`more than ${MAX_VALUES} values in one record`);
    for (const key of keys) {
      if (key === '__proto__') return fail('this key is never allowed', key);
      const child: unknown = Reflect.get(value, key);
      if (isObject(child)) pending.push({ value: child, depth: depth + 1, key, parent: entry });
    }
  }
  return { count };
}

interface Entry {
  readonly value: unknown;
  readonly depth: number;
  readonly key?: string | number;
  readonly parent?: Entry;
}

/** `edges[3].weights[0].value`; keys that are no words stand in quotes; the record itself is the empty path. */
export function formatPath(path: readonly PropertyKey[]): string {
  let out = '';
  for (const key of path) {
    if (typeof key === 'number') out += `[${key}]`;
    else if (/^[A-Za-z_$][\w$]{0,80}$/.test(String(key))) out += out === '' ? String(key) : `.${String(key)}`;
    else out += `[${JSON.stringify(String(key).slice(0, 80))}]`;
  }
  return out;
}

/** True for what `JSON.parse` and object literals make, of any realm; false for instances of a class. */
export function isPlain(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

function trail(entry: Entry): (string | number)[] {
  const keys: (string | number)[] = [];
  for (let at: Entry | undefined = entry; at; at = at.parent) if (at.key !== undefined) keys.push(at.key);
  return keys.reverse();
}

// The data of <attention-pattern>, read from values of unknown origin. It is drawn and thrown away, not kept, so it is no
// record of the schema.

import type { AttentionHead, PatternValues } from '../attention-pattern/pattern.ts';

export interface PatternRecord {
  readonly title?: string;
  readonly tokens: readonly string[];
  readonly heads: readonly AttentionHead[];
}

/** A square of this side has a million cells: more than a screen shows. */
const MAX_TOKENS = 1024;
const MAX_HEADS = 4096;

type Read = { readonly ok: true; readonly value: PatternRecord } | { readonly ok: false; readonly problem: string };

export function readPatternRecord(value: unknown): Read {
  const fail = (problem: string): Read => ({ ok: false, problem: `This is not an attention pattern: ${problem}.` });
  const tokens = field(value, 'tokens');
  const heads = field(value, 'heads');
  const title = field(value, 'title');
  if (!Array.isArray(tokens)) return fail('"tokens" should be a list of texts');
  if (tokens.length > MAX_TOKENS)
    return fail(`${tokens.length} tokens are more than the ${MAX_TOKENS} that can be drawn`);
  if (!tokens.every((token) => typeof token === 'string')) return fail('"tokens" should hold texts only');
  if (!Array.isArray(heads)) return fail('"heads" should be a list of {"label", "values"}');
  if (heads.length > MAX_HEADS) return fail(`${heads.length} heads are more than the ${MAX_HEADS} that can be listed`);
  if (title !== undefined && typeof title !== 'string') return fail('"title" should be a text');
  const read: AttentionHead[] = [];
  for (const [i, head] of heads.entries()) {
    const label = field(head, 'label');
    const values = field(head, 'values');
    if (typeof label !== 'string') return fail(`"heads[${i}].label" should be a text`);
    if (!isValues(values, tokens.length)) {
      return fail(`"heads[${i}].values" should be ${tokens.length} rows of ${tokens.length} numbers, query by key`);
    }
    read.push({ label, values });
  }
  return { ok: true, value: { ...(title === undefined ? {} : { title }), tokens, heads: read } };
}

function isValues(values: unknown, size: number): values is PatternValues {
  if (values instanceof Float32Array) return values.length === size * size;
  return (
    Array.isArray(values) &&
    values.length === size &&
    values.every(
      (row) => Array.isArray(row) && row.length === size && row.every((weight) => typeof weight === 'number'),
    )
  );
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined;
}

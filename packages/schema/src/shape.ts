import { z } from 'zod';

// The building blocks of every record. Records come from files and sockets, so each text, list and table has a bound,
// each number is finite, and each unknown key is an error.

// zod would otherwise compile each object's parser with `new Function`, and probes for it when a schema is made: pages that
// embed a view forbid that in their content security policy and report the attempt.
z.config({ jitless: true });

/** The longest label or description, in UTF-16 units. */
export const MAX_TEXT = 4096;
/** The longest name: ids, sites, parameters, metrics. */
export const MAX_NAME = 256;
/** The longest list. Longer ones (edges of a dense graph, activations) are artefacts in columns, not JSON. */
export const MAX_LIST = 1 << 20;
/** The most entries of a table from names to values. */
export const MAX_TABLE = 1 << 16;

/** An object with exactly these keys, read-only. */
export const record = <T extends z.core.$ZodLooseShape>(shape: T) => z.strictObject(shape).readonly();

/** A bounded read-only list. */
export const list = <T extends z.ZodType>(item: T, max: number = MAX_LIST) => z.array(item).max(max).readonly();

/** A bounded read-only table from names to values. */
export const table = <T extends z.ZodType>(value: T) =>
  z
    .record(z.string().max(MAX_NAME), value)
    .refine((entries) => Object.keys(entries).length <= MAX_TABLE, `a table has at most ${MAX_TABLE} entries`)
    .readonly();

/** A key that may be absent; present and undefined is an error, as JSON cannot say it. */
export const maybe = <T extends z.ZodType>(type: T) => z.exactOptional(type);

/** Free text for people. It may hold anything, markup included: whoever shows it must show it as text. */
export const text = z.string().max(MAX_TEXT);

/** A short text that is compared: an id, a name, a metric. Never empty. */
export const name = z.string().min(1).max(MAX_NAME);

/** A finite number. */
export const finite = z.number();

/** A count or an index: 0, 1, 2, … */
export const index = z.int().nonnegative();

/** A token position; negative ones count from the end. */
export const position = z.int();

/** Two ends, low before high. An interval covers 95 % unless its method says otherwise. */
export const interval = z
  .tuple([finite, finite])
  .refine(([low, high]) => low <= high, 'the low end comes first')
  .readonly();

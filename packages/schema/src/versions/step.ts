/**
 * Makes version n + 1 of version n. The record has passed no parser: a step moves what it recognises and leaves the rest
 * as it is, for the parser of the current version to report. It never throws and never changes its argument.
 */
export type Step = (record: Readonly<Record<string, unknown>>) => Record<string, unknown>;

export const isTable = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

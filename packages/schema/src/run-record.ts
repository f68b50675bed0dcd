import { z } from 'zod';
import { Hash } from './hash.ts';
import { parseStored } from './parse-stored.ts';
import { finite, index, list, maybe, name, record, text } from './shape.ts';

/**
 * One run of one action: what was asked (`actionKey`), what came out (`contentDigest`), when, where and how fast. Two
 * runs of one action have equal digests and different run records.
 */
export const RunRecord = record({
  kind: z.literal('run'),
  version: z.literal(1),
  actionKey: Hash,
  contentDigest: Hash,
  /** ISO 8601 in UTC: `2026-01-31T12:00:00.000Z`. */
  startedAt: z.iso.datetime(),
  wallTimeMs: finite.nonnegative(),
  peakRssBytes: maybe(index),
  host: record({
    cpu: name,
    /** The kernels that ran: `portable`, `avx2`, `avx512`, `neon`; `none` for the reference executor. */
    isa: name,
    threads: index,
    /** `bun 1.4.5`, `node 24.21.0`. */
    runtime: name,
    executor: z.enum(['native', 'reference']),
  }),
  /** The words of the command line. */
  command: list(text, 4096),
});
export type RunRecord = z.infer<typeof RunRecord>;

export const parseRunRecord = (value: unknown) => parseStored(RunRecord, 'run', value);

import type { z } from 'zod';
import { Hash } from './hash.ts';
import { Json } from './json.ts';
import { index, list, maybe, name, record, text } from './shape.ts';

/**
 * How a result came about: enough to make it again. Time, host and speed stand in the run record, so that equal work has
 * equal bytes.
 */
export const Provenance = record({
  tool: name,
  toolVersion: name,
  /** Changes whenever a kernel's bits do. */
  numericsVersion: name,
  actionKey: maybe(Hash),
  method: name,
  parameters: Json,
  seeds: list(index),
  /** Data that was read: its hash, how many examples, and how they were drawn. */
  data: list(record({ hash: Hash, n: index, how: text })),
});
export type Provenance = z.infer<typeof Provenance>;

import { z } from 'zod';
import { EdgeWeight } from './edge-weight.ts';
import { Evidence } from './evidence.ts';
import { list, maybe, name, record } from './shape.ts';
import { Port } from './unit.ts';

/** An edge of a nested circuit, at any depth, or of its boundary. */
export const EdgePart = record({ circuit: name, edge: name });
export type EdgePart = z.infer<typeof EdgePart>;

/**
 * What one node reads of another. Edges that were looked at and left out stay in the record with `inCircuit: false`, so
 * that a threshold can be moved. A macro edge stands for edges of nested circuits and keeps them as `parts`.
 */
export const CircuitEdge = record({
  id: name,
  from: name,
  to: name,
  port: maybe(Port),
  inCircuit: z.boolean(),
  weights: list(EdgeWeight),
  evidence: maybe(list(Evidence)),
  parts: maybe(list(EdgePart)),
});
export type CircuitEdge = z.infer<typeof CircuitEdge>;

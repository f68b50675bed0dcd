import { z } from 'zod';
import { Evidence } from './evidence.ts';
import { finite, list, maybe, name, position, record, table, text } from './shape.ts';
import { UnitRef } from './unit.ts';

/** A circuit used as one node of the circuit around it: the id of one of its nested `circuits`. */
export const CircuitUnit = record({ kind: z.literal('circuit'), circuit: name });
export type CircuitUnit = z.infer<typeof CircuitUnit>;

/** Where a node stands when a decomposition is by position: a number (negative from the end) or a name of the task's. */
export const NodePosition = z.discriminatedUnion('kind', [
  record({ kind: z.literal('index'), index: position }),
  record({ kind: z.literal('named'), name }),
]);
export type NodePosition = z.infer<typeof NodePosition>;

/** A unit in a circuit. `id` is opaque: it is compared, never taken apart. `values` are named numbers about the node. */
export const CircuitNode = record({
  id: name,
  unit: z.discriminatedUnion('kind', [...UnitRef.options, CircuitUnit]),
  position: maybe(NodePosition),
  label: maybe(text),
  values: maybe(table(finite)),
  evidence: maybe(list(Evidence)),
});
export type CircuitNode = z.infer<typeof CircuitNode>;

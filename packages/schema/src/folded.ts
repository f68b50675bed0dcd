import type { z } from 'zod';
import { CircuitEdge } from './circuit-edge.ts';
import { index, list, maybe, name, record } from './shape.ts';

/**
 * How a circuit that stands as one node was taken out of the one around it: with this it can be put back exactly. Places
 * are indices into the lists of the circuit around it as they were before.
 */
export const Folded = record({
  /** The id that the circuit around it had. */
  id: name,
  /** Of this circuit's nodes and edges, in their order. */
  nodes: list(index),
  edges: list(index),
  /** Of the circuits nested in this one; absent where the circuit around it had no list of them. */
  circuits: maybe(list(index)),
  /** Edges with one end inside and one outside, as they were. The macro edges around keep them as parts. */
  boundary: list(record({ place: index, edge: CircuitEdge })),
});
export type Folded = z.infer<typeof Folded>;

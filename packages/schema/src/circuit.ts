import { z } from 'zod';
import { CircuitEdge } from './circuit-edge.ts';
import { CircuitMetric } from './circuit-metric.ts';
import { CircuitNode } from './circuit-node.ts';
import { checkReferences } from './circuit-references.ts';
import { WEIGHT_KINDS } from './edge-weight.ts';
import { Evidence } from './evidence.ts';
import { Feature } from './feature.ts';
import { Folded } from './folded.ts';
import { Hash } from './hash.ts';
import { ModelRef } from './model.ts';
import { parseStored } from './parse-stored.ts';
import { Provenance } from './provenance.ts';
import { finite, list, maybe, name, record, text } from './shape.ts';
import { Ablation } from './value.ts';

/** Into which units the model was taken apart, and whether each position is a node of its own. */
export const CircuitDecomposition = record({
  grain: z.enum(['head', 'neuron', 'latent', 'channel']),
  byPosition: z.boolean(),
});
export type CircuitDecomposition = z.infer<typeof CircuitDecomposition>;

/** The rule by which edges were left out. The same circuit under another ablation or metric is another circuit. */
export const PruneRule = record({
  rule: name,
  threshold: finite,
  weight: maybe(z.enum(WEIGHT_KINDS)),
  ablation: maybe(Ablation),
  metric: maybe(name),
});
export type PruneRule = z.infer<typeof PruneRule>;

const fields = {
  kind: z.literal('circuit'),
  version: z.literal(1),
  id: name,
  name,
  description: maybe(text),
  model: ModelRef,
  task: maybe(record({ name, hash: maybe(Hash), metric: maybe(name) })),
  decomposition: CircuitDecomposition,
  nodes: list(CircuitNode),
  edges: list(CircuitEdge),
  prune: maybe(PruneRule),
  metrics: maybe(list(CircuitMetric)),
  evidence: list(Evidence),
  features: maybe(list(Feature)),
  /** Of a nested circuit that was folded into one node. */
  folded: maybe(Folded),
  provenance: Provenance,
};
const Flat = record(fields);

/** A subgraph of a decomposition of one model: nodes, edges with their weights, why they are believed, how they were found. */
export interface Circuit extends z.infer<typeof Flat> {
  /** Circuits inside this one, which a node can stand for; they nest. Ids of circuits are unique in the whole record. */
  readonly circuits?: readonly Circuit[];
}

/** The form of a circuit, references unchecked: what stands inside another circuit, whose references are checked as one. */
export const CircuitForm: z.ZodType<Circuit> = z.strictObject({
  ...fields,
  circuits: maybe(list(z.lazy(() => CircuitForm).readonly())),
});

/** As the type, and every reference leads somewhere: ends of edges, nested circuits, parts, features. */
export const Circuit: z.ZodType<Circuit> = CircuitForm.superRefine((circuit, context) => {
  for (const { path, message } of checkReferences(circuit)) {
    context.addIssue({ code: 'custom', path: [...path], message });
  }
}).readonly();

export const parseCircuit = (value: unknown) => parseStored(Circuit, 'circuit', value);

import { createHash } from 'node:crypto';
import {
  type Circuit,
  type CircuitMetric,
  Circuit as CircuitSchema,
  canonicalJson,
  type EdgeWeight,
  type Evidence,
  edgeLabel,
  type Hash,
  mustParse,
  type Provenance,
} from '@circuitscope/schema';
import type { Bounds, EdgeEffects } from './edge-effects.ts';
import type { AgainstRandom, Proof } from './prove.ts';
import type { WeightEditTest } from './test-weight-edit.ts';

export interface ProvenParts {
  /** By id of the record's edges: the label of the edge that was cut. */
  readonly labelOf: ReadonlyMap<string, string>;
  readonly proof: Proof;
  readonly weightEdit: WeightEditTest | null;
  /** Exact effects of cutting each edge on the data of the proof. */
  readonly effects: readonly EdgeEffects[];
  readonly attention: ReadonlyMap<string, number>;
  /** The task of the proof, which pages measure on from now on. */
  readonly task: Hash;
  readonly provenance: Provenance;
}

/**
 * A circuit that was kept before, with the proof as its metrics and evidence, and with the effects of cutting measured on
 * the data of the proof. What else the record says of nodes, edges and features stays.
 */
export function provenRecord(
  circuit: Circuit,
  { labelOf, proof, weightEdit, effects, attention, task, provenance }: ProvenParts,
): Circuit {
  const minimality = minimalityEvidence(proof);
  const weightsOf = cutWeights(effects, attention);
  const { id: _, ...rest } = circuit;
  const body = {
    ...rest,
    task: { name: circuit.task?.name ?? circuit.name, hash: task, metric: proof.metric },
    edges: circuit.edges.map((edge) => {
      const label = labelOf.get(edge.id);
      if (label === undefined) return edge;
      const measured = weightsOf(label);
      const replaced = new Set(measured.map(slotOf));
      const needed = minimality.get(label);
      return {
        ...edge,
        weights: [...measured, ...edge.weights.filter((weight) => !replaced.has(slotOf(weight)))],
        ...(needed ? { evidence: [needed] } : {}),
      };
    }),
    metrics: metricsOf(proof),
    evidence: weightEdit ? [weightEditEvidence(weightEdit)] : [],
    provenance,
  };
  return identified(body, 'the circuit that was tested');
}

/** Gives a record the id that its content decides, and checks it against the schema. */
export function identified(body: Omit<Circuit, 'id'>, what: string): Circuit {
  const id = createHash('sha256').update(canonicalJson(body)).digest('hex').slice(0, 16);
  return mustParse(CircuitSchema, { ...body, id: `circuit-${id}` }, what);
}

/** What cutting an edge did, and what that did to the attention, by the edge's label. */
export function cutWeights(
  effects: readonly EdgeEffects[],
  attention: ReadonlyMap<string, number> = new Map(),
): (label: string) => EdgeWeight[] {
  const measured = effects.map(({ effects: list, ...about }) => ({
    ...about,
    of: new Map(list.map((effect) => [edgeLabel(effect.edge), effect])),
  }));
  return (label) => {
    const weights = measured.flatMap(({ metric, ablation, of }): EdgeWeight[] => {
      const found = of.get(label);
      if (!found) return [];
      const { effect: value, interval, n } = found;
      const method = `${ablation} ablation of the edge alone`;
      const sign = 'clean_minus_cut';
      return [{ kind: 'patch_effect', value, ...withInterval(interval), method, sign, unit: metric, ablation, n }];
    });
    const change = attention.get(label);
    if (change === undefined) return weights;
    return [
      ...weights,
      {
        kind: 'effective_qk',
        value: change,
        method: 'change of attention on the answer, whole minus cut',
        sign: 'signed_weight',
        unit: 'attention',
        stage: 'post_activation',
      },
    ];
  };
}

function slotOf({ kind, ablation, stage }: EdgeWeight): string {
  return canonicalJson([kind, ablation ?? null, stage ?? null]);
}

export function metricsOf(proof: Proof): CircuitMetric[] {
  const about = { metric: proof.metric, ablation: proof.ablation, heldBack: true, n: proof.examples };
  const random = (against: AgainstRandom) => ({
    count: against.count,
    mean: against.mean,
    interval: against.interval,
    max: against.max,
    p: against.p,
  });
  const { faithfulness, complement, completeness, minimality } = proof;
  return [
    {
      name: 'faithfulness',
      value: faithfulness.value,
      ...withInterval(faithfulness.interval),
      ...about,
      random: random(faithfulness.random),
    },
    ...(faithfulness.relabelled
      ? [
          {
            name: 'faithfulness against renamed heads',
            value: faithfulness.value,
            ...withInterval(faithfulness.interval),
            ...about,
            random: random(faithfulness.relabelled),
          },
        ]
      : []),
    { name: 'complement', value: complement.value, ...withInterval(complement.interval), ...about },
    { name: 'completeness gap (largest)', value: completeness.max, ...about },
    { name: 'completeness gap (mean)', value: completeness.mean, ...about },
    { name: 'minimality (share of edges)', value: minimality.share, ...about },
    { name: 'minimality (smallest drop)', value: minimality.smallest, ...about },
  ];
}

/** The weight edit, with what was predicted of it. */
export function weightEditEvidence(edit: WeightEditTest): Evidence {
  return {
    kind: 'intervention',
    interventions: edit.interventions,
    metric: edit.metric,
    before: edit.before,
    after: edit.after,
    predicted: edit.predicted,
    n: edit.n,
    ...withInterval(edit.interval),
  };
}

/** By edge label: whether the circuit needs the edge. */
export function minimalityEvidence({ minimality, examples }: Proof): ReadonlyMap<string, Evidence> {
  const family = { name: 'minimality of edges', size: minimality.edges.length };
  return new Map(
    minimality.edges.map(({ edge, drop, p }) => [
      edgeLabel(edge),
      {
        kind: 'test',
        name: 'minimality',
        h0: 'without this edge the circuit does as well',
        statistic: drop,
        p,
        n: examples,
        correction: 'holm',
        family,
      },
    ]),
  );
}

function withInterval(interval: Bounds | null): { interval?: Bounds } {
  return interval ? { interval } : {};
}

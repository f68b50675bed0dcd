import {
  type Ablation,
  type Circuit,
  type CircuitEdge,
  CircuitscopeError,
  type EdgeWeight,
  parseEdgeLabel,
} from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import type { Engine } from '../plan/index.ts';
import { meanInterval } from '../statistics/index.ts';
import { cutEdges, type MeasureOptions, type Metric, meanOf, measure, rowValues, sourceRuns } from './measure.ts';
import { identified } from './proven-record.ts';
import type { TaskData } from './task-data.ts';

export interface MacroEffectOptions extends MeasureOptions {
  readonly ablation: Ablation;
  readonly metric: Metric;
  /** By id of the record's edges: the label of the edge that it is cut by, see `recordIds`. */
  readonly labelOf: ReadonlyMap<string, string>;
}

/**
 * Measures every macro edge: all edges that it stands for, at any depth, are cut together, as one variant of one plan. The
 * effect stands on the macro edge as an exact one whose method says how many were cut, with the cut itself as evidence. It
 * is not the sum of the parts' own effects and need not be near it.
 *
 * @throws CircuitscopeError `unknown_edge` for a part that is no edge of the model
 */
export async function macroEffects(
  engine: Engine,
  data: TaskData,
  circuit: Circuit,
  { ablation, metric, labelOf, ...options }: MacroEffectOptions,
): Promise<Circuit> {
  const macros = circuit.edges.filter(({ parts }) => parts !== undefined);
  const cuts = macros.map((edge) => edgesBehind(circuit, edge, labelOf));
  const runs = options.runs ?? (await sourceRuns(engine, data, ablation, options));
  const variants = [[], ...cuts.map((cut) => cutEdges(cut, ablation))];
  const measured = await measure(engine, data, metric, variants, { ...options, runs });
  const clean = rowValues(measured, 0);
  const found = new Map(
    macros.map((edge, at): [string, CircuitEdge] => {
      const cut = rowValues(measured, at + 1);
      const differences = clean.map((value, example) => value - (cut[example] ?? 0));
      const { interval } = meanInterval(differences, { seed: 0, resamples: 1000 });
      const sure = { n: data.examples, ...(interval ? { interval } : {}) };
      const count = cuts[at]?.length ?? 0;
      const how = count === 1 ? 'of the edge alone' : `of ${count} edges, cut together`;
      const effect: EdgeWeight = {
        kind: 'patch_effect',
        value: meanOf(differences),
        method: `${ablation} ablation ${how}`,
        sign: 'clean_minus_cut',
        unit: metric,
        ablation,
        ...sure,
      };
      const replaced = (weight: EdgeWeight): boolean =>
        weight.kind === 'patch_effect' && weight.ablation === ablation && weight.unit === metric;
      return [
        edge.id,
        {
          ...edge,
          weights: [effect, ...edge.weights.filter((weight) => !replaced(weight))],
          evidence: [
            ...(edge.evidence ?? []),
            {
              kind: 'intervention',
              interventions: variants[at + 1] ?? [],
              metric,
              before: meanOf(clean),
              after: meanOf(cut),
              ...sure,
            },
          ],
        },
      ];
    }),
  );
  const { id: _, ...rest } = circuit;
  return identified(
    { ...rest, edges: circuit.edges.map((edge) => found.get(edge.id) ?? edge) },
    'the circuit with macro effects',
  );
}

/**
 * The edges of the model that an edge of a record stands for, through all nesting, each once: query heads that share a key
 * have one edge into it between them.
 */
export function edgesBehind(circuit: Circuit, edge: CircuitEdge, labelOf: ReadonlyMap<string, string>): Edge[] {
  const known = new Map<string, ReadonlyMap<string, CircuitEdge>>();
  const collect = ({ id, edges, folded, circuits = [] }: Circuit): void => {
    const all = [...edges, ...(folded?.boundary ?? []).map((crossing) => crossing.edge)];
    known.set(id, new Map(all.map((one) => [one.id, one])));
    circuits.forEach(collect);
  };
  collect(circuit);
  const labels = new Set<string>();
  const seen = new Set<CircuitEdge>();
  const pending = [edge];
  for (let next = pending.pop(); next; next = pending.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    if (next.parts) {
      for (const part of [...next.parts].reverse()) {
        const found = known.get(part.circuit)?.get(part.edge);
        if (!found) throw unknownEdge(part.edge);
        pending.push(found);
      }
      continue;
    }
    const label = labelOf.get(next.id);
    if (label === undefined) throw unknownEdge(next.id);
    labels.add(label);
  }
  return [...labels].map(parseEdgeLabel);
}

function unknownEdge(id: string): CircuitscopeError {
  return new CircuitscopeError(
    'unknown_edge',
    `The part ${id} of a macro edge is no edge of this model, so the macro edge cannot be cut; measure it on the model that the circuit was found in.`,
    { at: id },
  );
}

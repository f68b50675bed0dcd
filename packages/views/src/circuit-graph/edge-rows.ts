// The rows of an edge's detail: every weight of the record, and each that has a baseline once more without it.

import type { Circuit, CircuitEdge, EdgeWeight } from '@circuitscope/schema';
import { featureText } from './text.ts';
import { belongsTo, chosenWeight, type WeightChoice } from './weight-choice.ts';

export interface EdgeRow {
  readonly choice: WeightChoice;
  readonly weight: EdgeWeight;
  readonly value: number;
  readonly interval: readonly [number, number] | undefined;
  /** The features it lies between. */
  readonly between: string | undefined;
  /** The same column of all edges. */
  readonly among: readonly number[];
}

export function edgeRows(circuit: Circuit, edge: CircuitEdge, choices: readonly WeightChoice[]): readonly EdgeRow[] {
  const columns = new Map<string, readonly number[]>();
  const columnOf = (choice: WeightChoice) => {
    const known = columns.get(choice.key);
    if (known) return known;
    const column = circuit.edges.flatMap((other) => chosenWeight(other, choice)?.value ?? []);
    columns.set(choice.key, column);
    return column;
  };
  const names = new Map((circuit.features ?? []).map((feature) => [feature.id, featureText(feature)]));
  return edge.weights.flatMap((weight) =>
    (weight.baseline === undefined ? [false] : [false, true]).flatMap((minusBaseline): readonly EdgeRow[] => {
      const choice = choices.find((each) => each.minusBaseline === minusBaseline && belongsTo(weight, each));
      if (!choice) return [];
      // Taking off a constant moves the interval and leaves its width.
      const shift = minusBaseline ? (weight.baseline ?? 0) : 0;
      return [
        {
          choice,
          weight,
          value: weight.value - shift,
          interval: weight.interval && [weight.interval[0] - shift, weight.interval[1] - shift],
          between: weight.between && `${nameOf(names, weight.between.from)} → ${nameOf(names, weight.between.to)}`,
          among: columnOf(choice),
        },
      ];
    }),
  );
}

function nameOf(names: ReadonlyMap<string | undefined, string>, id: string): string {
  return names.get(id) ?? id;
}

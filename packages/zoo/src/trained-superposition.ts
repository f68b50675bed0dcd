import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { featureGeometry, openCheckpoint, type Recipe, readStored, type Tensor } from '@circuitscope/core';
import { CircuitscopeError, type ZooCheckRow } from '@circuitscope/schema';
import { zooRecipe } from './recipes/index.ts';

const trained = join(dirname(fileURLToPath(import.meta.url)), '../trained');

/** Toys of superposition that are kept: of five seeds each the one of the lowest loss. */
export const keptSuperposition = [
  { recipe: 'toy-superposition', seed: 1 },
  { recipe: 'toy-superposition-dense', seed: 0 },
  { recipe: 'toy-superposition-pairs', seed: 2 },
  { recipe: 'toy-superposition-wide', seed: 2 },
] as const;

/** x' = ReLU(WᵀWx + b). It has neither tokens nor units of a circuit, so it is no member: its truth is geometry. */
export interface TrainedSuperposition {
  readonly name: string;
  readonly recipe: Recipe;
  /** [hidden, features] */
  readonly W: Tensor;
  /** [features] */
  readonly b: Tensor;
}

/** @throws CircuitscopeError `bad_superposition` where the file holds other shapes than its config says */
export function trainedSuperposition(recipe: string, seed: number): TrainedSuperposition {
  const name = `${recipe}/seed-${seed}`;
  const checkpoint = openCheckpoint(join(trained, recipe, `seed-${seed}`));
  const { config } = zooRecipe(recipe);
  const tensor = (of: string, shape: readonly unknown[]): Tensor => {
    const stored = checkpoint.tensors.get(of);
    if (!stored || stored.shape.join() !== shape.join()) {
      throw new CircuitscopeError('bad_superposition', `${name} has no ${of} of shape [${shape.join(', ')}].`, {
        at: of,
        expected: shape.join(', '),
        got: stored ? stored.shape.join(', ') : 'nothing',
      });
    }
    return { shape: stored.shape, data: readStored(stored) };
  };
  return {
    name,
    recipe: zooRecipe(recipe),
    W: tensor('W', [config.hidden, config.features]),
    b: tensor('b_final', [config.features]),
  };
}

/** Angles in degrees from each feature of norm above ½ to the next one around the plane. */
export function gapsBetween({ W: { shape, data } }: Pick<TrainedSuperposition, 'W'>): number[] {
  const features = shape[1] ?? 0;
  const angles: number[] = [];
  for (let i = 0; i < features; i++) {
    const [x, y] = [data[i] ?? 0, data[features + i] ?? 0];
    if (Math.sqrt(x * x + y * y) > 0.5) angles.push((Math.atan2(y, x) * 180) / Math.PI);
  }
  angles.sort((a, b) => a - b);
  return angles.map((angle, at) => (at + 1 < angles.length ? (angles[at + 1] ?? 0) : (angles[0] ?? 0) + 360) - angle);
}

/** How the toys of five features must stand: D_i from the largest on, and the angle between neighbours. */
const known: {
  readonly [recipe: string]: { readonly dimensionality: readonly number[]; readonly gap: number | null };
} = {
  'toy-superposition': { dimensionality: [0.4, 0.4, 0.4, 0.4, 0.4], gap: 72 },
  // Two directions at a right angle, either way round.
  'toy-superposition-dense': { dimensionality: [1, 1, 0, 0, 0], gap: null },
  'toy-superposition-pairs': { dimensionality: [0.5, 0.5, 0.5, 0.5, 0], gap: 90 },
};

/** What must hold of the kept toys, each claim with how far it is off. */
export function superpositionClaims(): ZooCheckRow[] {
  return keptSuperposition.flatMap(({ recipe, seed }) => {
    const toy = trainedSuperposition(recipe, seed);
    const hidden = toy.W.shape[0] ?? 0;
    const { norms, dimensionality } = featureGeometry(toy.W);
    const shares = [...dimensionality].sort((a, b) => b - a);
    const sum = shares.reduce((a, b) => a + b, 0);
    const rows = [
      claim(toy.name, `shares of a dimension sum to ${hidden} at most`, Math.max(0, sum - hidden), 1e-6),
      claim(toy.name, `and to ${hidden} nearly: every dimension is used`, hidden - sum, 0.05),
    ];
    const wanted = known[recipe];
    if (!wanted) {
      const missing = hidden + 1 - norms.filter((norm) => norm > 0.5).length;
      return [...rows, claim(toy.name, 'there are more features than dimensions', Math.max(0, missing), 0)];
    }
    const off = (values: readonly number[], expected: (at: number) => number): number =>
      Math.max(...values.map((value, at) => Math.abs(value - expected(at))));
    const farthest = off(shares, (at) => wanted.dimensionality[at] ?? Number.NaN);
    const { gap } = wanted;
    return [
      ...rows,
      claim(toy.name, `features have ${wanted.dimensionality.join(', ')} of a dimension, to .01`, farthest, 0.01),
      ...(gap === null
        ? []
        : [
            claim(
              toy.name,
              `neighbours are ${gap}° apart, to 2°`,
              off(gapsBetween(toy), () => gap),
              2,
            ),
          ]),
    ];
  });
}

function claim(member: string, text: string, value: number, most: number): ZooCheckRow {
  return {
    kind: 'claim',
    member,
    claim: text,
    outcome: value <= most ? 'right' : 'wrong',
    value: Number(value.toPrecision(6)),
  };
}

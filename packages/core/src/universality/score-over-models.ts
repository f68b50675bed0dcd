import type { ComparedScore, ComparisonNull, Estimate, ScoreOverModels } from '@circuitscope/schema';
import { bootstrapInterval, type Measured, mean, permutationP, toEstimate, variance } from '../statistics/index.ts';
import { Rng } from '../tensor/index.ts';

// The model is the unit: pairs that share a model are not independent, so intervals draw models and permutations move
// models, never pairs, prompts or tokens.

/** Which pairs count. */
export type Pairing = 'within' | 'between';

export interface Unit {
  readonly id: string;
  readonly group: string;
}

/** [unit, unit], symmetric. */
export type PairScores = (i: number, j: number) => number;

export function pairsOf(units: readonly Unit[], pairing: Pairing): readonly (readonly [number, number])[] {
  return units.flatMap((a, i) =>
    units
      .slice(i + 1)
      .flatMap((b, offset): (readonly [number, number])[] =>
        (a.group === b.group) === (pairing === 'within') ? [[i, i + 1 + offset]] : [],
      ),
  );
}

/** The mean over pairs, with an interval from drawing models with replacement within their group; a model is never paired with itself. */
export function meanOverPairs(units: readonly Unit[], pairing: Pairing, score: PairScores, seed: number): Measured {
  const groups = [...new Set(units.map(({ group }) => group))];
  const statistic = (indices: readonly number[]): number => {
    let sum = 0;
    let count = 0;
    for (let p = 0; p < indices.length; p++) {
      for (let q = 0; q < p; q++) {
        const [i, j] = [indices[p] as number, indices[q] as number];
        if (i === j || (units[i]?.group === units[j]?.group) !== (pairing === 'within')) continue;
        sum += score(i, j);
        count += 1;
      }
    }
    return sum / count;
  };
  return bootstrapInterval(statistic, units.length, { seed, strata: units.map(({ group }) => groups.indexOf(group)) });
}

export function toMean(units: readonly Unit[], pairing: Pairing, score: PairScores, seed: number): Estimate {
  return toEstimate(meanOverPairs(units, pairing, score, seed));
}

/** Mean over the pairs that each unit is in. */
export function perModel(units: readonly Unit[], pairing: Pairing, score: PairScores): ScoreOverModels['perModel'] {
  const pairs = pairsOf(units, pairing);
  return units.flatMap(({ id }, at) => {
    const own = pairs.filter(([i, j]) => i === at || j === at);
    return own.length > 0 ? [{ model: id, value: mean(own.map(([i, j]) => score(i, j))) }] : [];
  });
}

/** Least and largest mean when one model is left out; null where too few are left. */
export function withoutOne(
  units: readonly Unit[],
  pairing: Pairing,
  score: PairScores,
): readonly [number, number] | null {
  const means = units.flatMap((_, left) => {
    const pairs = pairsOf(units, pairing).filter(([i, j]) => i !== left && j !== left);
    return pairs.length > 0 ? [mean(pairs.map(([i, j]) => score(i, j)))] : [];
  });
  return means.length > 0 ? [Math.min(...means), Math.max(...means)] : null;
}

/** An observed value among values drawn under a null. */
export function nullOf(kind: string, what: string, observed: number, drawn: readonly number[]): ComparisonNull {
  const center = mean(drawn);
  const sd = drawn.length > 1 ? Math.sqrt(variance(drawn)) : 0;
  const { p, n } = permutationP(observed, drawn);
  // Values that differ by rounding alone have no spread to measure a distance in.
  const spread = sd > 1e-12 * Math.max(1, Math.abs(center));
  return { kind, what, mean: center, sd: spread ? sd : 0, ...(spread ? { z: (observed - center) / sd } : {}), p, n };
}

/**
 * Whether subjects are more alike among themselves than to controls: T = mean over pairs of subjects − mean over pairs of a
 * subject and a control. Under the null it does not matter which models are called subjects, so the names are moved within
 * each group.
 */
export function controlNull(
  control: string,
  subjects: readonly Unit[],
  controls: readonly Unit[],
  pairing: Pairing,
  score: PairScores,
  { seed, draws }: { readonly seed: number; readonly draws: number },
): ComparisonNull {
  const all = [...subjects, ...controls];
  const pairs = pairsOf(all, pairing);
  const statistic = (chosen: ReadonlySet<number>): number => {
    let [own, across, owns, crossings] = [0, 0, 0, 0];
    for (const [i, j] of pairs) {
      if (chosen.has(i) !== chosen.has(j)) {
        across += score(i, j);
        crossings += 1;
      } else if (chosen.has(i)) {
        own += score(i, j);
        owns += 1;
      }
    }
    return own / owns - across / crossings;
  };
  const groups = [...new Set(all.map(({ group }) => group))].map((name) => ({
    members: all.flatMap(({ group }, at) => (group === name ? [at] : [])),
    subjects: subjects.filter(({ group }) => group === name).length,
  }));
  const rng = new Rng(seed, `universality/labels/${control}`);
  const drawn = Array.from({ length: draws }, () =>
    statistic(new Set(groups.flatMap(({ members, subjects: count }) => rng.shuffle(members).slice(0, count)))),
  );
  return nullOf(
    control,
    'T = mean score of two subjects minus mean score of a subject and a control; the null moves the names among models of one group',
    statistic(new Set(subjects.map((_, at) => at))),
    drawn,
  );
}

/** One score with everything that the record says of it. */
export function scoreOverModels(
  score: ComparedScore,
  definition: string,
  units: readonly Unit[],
  pairing: Pairing,
  values: PairScores,
  nulls: readonly ComparisonNull[],
  missing: ScoreOverModels['missing'],
  seed: number,
): ScoreOverModels {
  const range = withoutOne(units, pairing, values);
  return {
    score,
    definition,
    estimate: toMean(units, pairing, values, seed),
    perModel: perModel(units, pairing, values),
    ...(range ? { withoutOne: [range[0], range[1]] as const } : {}),
    nulls: [...nulls],
    missing,
  };
}

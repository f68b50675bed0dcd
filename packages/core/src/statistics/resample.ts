import { CircuitscopeError } from '@circuitscope/schema';
import { Rng } from '../tensor/index.ts';

/** What is drawn together and what apart. Labels are per observation; any whole numbers. */
export interface Sampling {
  readonly size: number;
  /** Observations with one label stay together (prompts of one template, a positive and its near-miss). */
  readonly clusters?: readonly number[];
  /** Drawn within each label, so that each class keeps its size. Clusters lie within strata. */
  readonly strata?: readonly number[];
}

/** Strata of clusters of observation indices, in order of first appearance. */
export function unitsOf({ size, clusters, strata }: Sampling): number[][][] {
  for (const labels of [clusters, strata]) {
    if (labels && labels.length !== size) {
      throw new CircuitscopeError(
        'shape_mismatch',
        `Give one label per observation: ${size} of them, not ${labels.length}.`,
        { expected: String(size), got: String(labels.length) },
      );
    }
  }
  const units = new Map<number, { stratum: number; members: number[] }>();
  for (let at = 0; at < size; at++) {
    const key = clusters?.[at] ?? at;
    const stratum = strata?.[at] ?? 0;
    const unit = units.get(key) ?? { stratum, members: [] };
    if (unit.stratum !== stratum) {
      throw new CircuitscopeError(
        'bad_clusters',
        `Cluster ${key} lies in two strata; a cluster is drawn whole, within one stratum.`,
        { at: `observation ${at}` },
      );
    }
    unit.members.push(at);
    units.set(key, unit);
  }
  const byStratum = new Map<number, number[][]>();
  for (const { stratum, members } of units.values())
    byStratum.set(stratum, [...(byStratum.get(stratum) ?? []), members]);
  return [...byStratum.values()];
}

/** Bootstrap samples as lists of observation indices. Statistics of the same examples should share them: they are then paired. */
export function drawResamples(sampling: Sampling, seed: number, resamples: number): readonly (readonly number[])[] {
  const strata = unitsOf(sampling);
  const rng = new Rng(seed, 'statistics.bootstrap');
  return Array.from({ length: resamples }, () =>
    strata.flatMap((units) => units.flatMap(() => units[rng.below(units.length)] as number[])),
  );
}

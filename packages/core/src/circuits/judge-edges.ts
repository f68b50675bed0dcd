import { CircuitscopeError, edgeLabel } from '@circuitscope/schema';
import type { Edge } from '../graph/index.ts';
import { type Auroc, auroc, spearman } from '../statistics/index.ts';
import { asEffects, type EdgeScores, importance } from './edge-scores.ts';

// What was found beside what is true: as sets, as a ranking, by sign. Edges are the same if their labels are.

export interface SetAgreement {
  /** |A ∩ B| / |A ∪ B|; 1 for two empty sets. */
  readonly jaccard: number;
  /** Share of what was found that is true; null where nothing was found. */
  readonly precision: number | null;
  /** Share of what is true that was found; null where nothing is true. */
  readonly recall: number | null;
  /** Both sets are the same. */
  readonly exact: boolean;
  readonly both: number;
  readonly missed: readonly Edge[];
  readonly extra: readonly Edge[];
}

export function compareEdgeSets(found: readonly Edge[], truth: readonly Edge[]): SetAgreement {
  const [inFound, inTruth] = [labelled(found), labelled(truth)];
  const extra = [...inFound].flatMap(([label, edge]) => (inTruth.has(label) ? [] : [edge]));
  const missed = [...inTruth].flatMap(([label, edge]) => (inFound.has(label) ? [] : [edge]));
  const both = inFound.size - extra.length;
  const union = both + extra.length + missed.length;
  return {
    jaccard: union === 0 ? 1 : both / union,
    precision: inFound.size === 0 ? null : both / inFound.size,
    recall: inTruth.size === 0 ? null : both / inTruth.size,
    exact: union === both,
    both,
    missed,
    extra,
  };
}

export interface RankAgreement {
  /** P(a true edge scores higher than another) + ½ P(equal), over all pairs, with DeLong's interval. */
  readonly auroc: Auroc;
  /** Mean over true edges of the precision among edges that score at least as high; ties stand together. */
  readonly averagePrecision: number;
  /** Edges that the method says nothing of: they stand together below all others. */
  readonly unscored: number;
}

/**
 * How well a method's scores put the true edges first. By size where scores have a direction; `rankBy: 'signed'` ranks by
 * the effect instead, so that edges which work against the behaviour come last.
 * @throws CircuitscopeError `bad_truth` where no edge, or every edge, is true, or a true edge was not among those scored
 */
export function judgeRanking(
  scored: EdgeScores,
  truth: readonly Edge[],
  rankBy: 'size' | 'signed' = 'size',
): RankAgreement {
  const inTruth = labelled(truth);
  const labels = scored.edges.map(edgeLabel);
  const known = new Set(labels);
  const unknown = [...inTruth.keys()].find((label) => !known.has(label));
  if (unknown !== undefined) {
    throw new CircuitscopeError(
      'bad_truth',
      `The true edge ${unknown} is not among those that ${scored.method} scored.`,
      {
        at: unknown,
      },
    );
  }
  if (inTruth.size === 0 || inTruth.size === known.size) {
    throw new CircuitscopeError(
      'bad_truth',
      `A ranking is judged by true edges against others; here ${inTruth.size} of ${known.size} are true.`,
      { expected: `1 to ${known.size - 1}`, got: String(inTruth.size) },
    );
  }
  const raw = rankBy === 'size' ? importance(scored) : asEffects(scored);
  if (!raw) {
    throw new CircuitscopeError(
      'unsigned_scores',
      `The scores of ${scored.method} have no sign to rank by; rank by size.`,
      {
        at: scored.method,
        got: scored.sign,
      },
    );
  }
  const values = unscoredLast(raw);
  const positive = labels.map((label) => inTruth.has(label));
  return {
    auroc: auroc(
      values.filter((_, at) => positive[at] === true),
      values.filter((_, at) => positive[at] === false),
    ),
    averagePrecision: averagePrecision(values, positive),
    unscored: raw.filter(Number.isNaN).length,
  };
}

export interface EffectAgreement {
  /** Spearman's correlation of importance, unscored edges last; null where one side holds a single value. */
  readonly rank: number | null;
  /** Of the edges that have a sign on both sides: the same one. Null where none has, or the method has no signs. */
  readonly sameSign: number | null;
  /** Edges that have a sign on both sides. */
  readonly signed: number;
  /** Edges with different signs, the largest exact effect first. */
  readonly disagreeing: readonly Edge[];
}

/**
 * A method's scores beside a reference, usually the exact patch effects, of the same edges in any order. An effect of at
 * most `negligible` in size has no sign: exact zeros come with rounding.
 * @throws CircuitscopeError `bad_truth` if the reference scored other edges, or has no direction
 */
export function judgeAgainst(scored: EdgeScores, reference: EdgeScores, negligible = 1e-9): EffectAgreement {
  const exact = asEffects(reference);
  if (!exact)
    throw new CircuitscopeError('bad_truth', `The scores of ${reference.method} have no sign to compare with.`, {
      at: reference.method,
      got: reference.sign,
    });
  const place = new Map(reference.edges.map((edge, at) => [edgeLabel(edge), at]));
  const order = scored.edges.map((edge) => {
    const at = place.get(edgeLabel(edge));
    if (at !== undefined) return at;
    throw new CircuitscopeError('bad_truth', `${reference.method} did not score ${edgeLabel(edge)}.`, {
      at: edgeLabel(edge),
    });
  });
  const expected = Float64Array.from(order, (at) => exact[at] as number);
  const sizes = unscoredLast(importance(scored));
  const effects = asEffects(scored);
  const known = (value: number): boolean => Math.abs(value) > negligible;
  const both = effects
    ? scored.edges.flatMap((_, at) => (known(effects[at] as number) && known(expected[at] as number) ? [at] : []))
    : [];
  const disagree = both.filter((at) => Math.sign(effects?.[at] ?? 0) !== Math.sign(expected[at] as number));
  const size = (at: number): number => Math.abs(expected[at] as number);
  return {
    rank: correlation(sizes, unscoredLast(expected.map(Math.abs))),
    sameSign: both.length === 0 ? null : 1 - disagree.length / both.length,
    signed: both.length,
    disagreeing: disagree.sort((a, b) => size(b) - size(a)).flatMap((at) => scored.edges[at] ?? []),
  };
}

/** Mean and smallest Jaccard over all pairs of sets; null of fewer than two. */
export function pairwiseJaccard(
  sets: readonly (readonly Edge[])[],
): { readonly mean: number; readonly smallest: number; readonly pairs: number } | null {
  const values = sets.flatMap((a, at) => sets.slice(at + 1).map((b) => compareEdgeSets(a, b).jaccard));
  if (values.length === 0) return null;
  const sum = values.reduce((total, value) => total + value, 0);
  return { mean: sum / values.length, smallest: Math.min(...values), pairs: values.length };
}

function labelled(edges: readonly Edge[]): Map<string, Edge> {
  return new Map(edges.map((edge) => [edgeLabel(edge), edge]));
}

/** NaN becomes a value below all others, the same for all. */
function unscoredLast(values: Float64Array): Float64Array {
  let lowest = 0;
  for (const value of values) if (value < lowest) lowest = value;
  // Twice the lowest, less one, stays below it however large it is.
  return values.map((value) => (Number.isNaN(value) ? 2 * lowest - 1 : value));
}

function averagePrecision(values: Float64Array, positive: readonly boolean[]): number {
  const order = [...values.keys()].sort((a, b) => (values[b] as number) - (values[a] as number));
  let [seen, hits, sum] = [0, 0, 0];
  for (let start = 0; start < order.length; start = seen) {
    const value = values[order[start] as number] as number;
    let here = 0;
    while (seen < order.length && values[order[seen] as number] === value) {
      if (positive[order[seen] as number]) here++;
      seen++;
    }
    hits += here;
    sum += (here * hits) / seen;
  }
  return sum / hits;
}

function correlation(a: Float64Array, b: Float64Array): number | null {
  const varies = (values: Float64Array): boolean => values.some((value) => value !== values[0]);
  return a.length >= 2 && varies(a) && varies(b) ? spearman(a, b).value : null;
}

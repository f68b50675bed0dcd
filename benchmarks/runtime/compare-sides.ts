import { median } from '../save-run.ts';
import type { Values } from './answer.ts';
import type { Row } from './rows.ts';
import type { Answer } from './side.ts';

export interface Sample {
  readonly name: string;
  readonly way: string | null;
  readonly version: string;
  readonly own: boolean;
  readonly parts: number;
  readonly round: number;
  /** Processors that programs which take no part used meanwhile. */
  readonly others: number;
  readonly answer: Answer;
}

export interface ComparedSide {
  readonly name: string;
  readonly way: string | null;
  readonly version: string;
  readonly own: boolean;
  /** Of the whole, or of one value where the row counts so; null where the numbers are wrong. */
  readonly ms: number | null;
  /** How much of the whole was done, 1 for all of it. */
  readonly measured: number;
  /** The largest distance from what is held to be right, as a share of the largest value; null where nothing is. */
  readonly error: number | null;
  readonly peakRssBytes: number;
  readonly others: number;
  readonly multiplyAdds: number | null;
  readonly dense: number | null;
  readonly keptBytes: number | null;
}

export interface Compared {
  readonly sides: readonly ComparedSide[];
  readonly rounds: number;
  /** What the numbers were held against. */
  readonly against: string | null;
}

/** Medians of whole turns; where a turn is a part, the mean of its values times how many there are. */
export function compareSides(row: Row, samples: readonly Sample[], truth: Values | null, rounds: number): Compared {
  const bySide = Map.groupBy(samples, ({ name, way, version }) => JSON.stringify([name, version, way]));
  const groups = [...bySide.values()];
  const total = Object.keys(groups[0]?.[0]?.answer.values ?? {}).length;
  const first = groups.find(([one]) => one && !one.own);
  const right = truth ?? (first ? allValues(first) : null);
  const sides = groups.map((group): ComparedSide => {
    const [one] = group;
    if (!one) throw new Error('a side without samples');
    const values = allValues(group);
    const error = right && (truth !== null || group !== first) ? distance(values, right, row) : null;
    const done = group.reduce((sum, { answer }) => sum + Object.keys(answer.values).length, 0);
    const spent = group.reduce((sum, { answer }) => sum + answer.ms, 0);
    const whole = one.parts > 1 ? (spent / done) * total : median(group.map(({ answer }) => answer.ms));
    const { multiplyAdds = null, dense = null, keptBytes = null } = one.answer;
    return {
      name: one.name,
      way: one.way,
      version: one.version,
      own: one.own,
      ms: error !== null && !(error <= row.tolerance) ? null : row.each ? whole / total : whole,
      measured: one.parts > 1 ? Math.min(1, Object.keys(values).length / total) : 1,
      error,
      peakRssBytes: Math.max(...group.map(({ answer }) => answer.peakRssBytes)),
      others: median(group.map(({ others }) => others)),
      multiplyAdds,
      dense,
      keptBytes,
    };
  });
  const against = truth ? 'float64' : first?.[0] ? `${first[0].name} ${first[0].version}` : null;
  return { sides, rounds, against };
}

function allValues(group: readonly Sample[]): Values {
  return Object.assign({}, ...group.map(({ answer }) => answer.values));
}

/** NaN where there is nothing that both have. */
export function distance(values: Values, right: Values, { kindOf = () => 0 }: Pick<Row, 'kindOf'>): number {
  const scales = new Map<number, number>();
  for (const [index, value] of Object.entries(right)) {
    const kind = kindOf(Number(index));
    scales.set(kind, Math.max(scales.get(kind) ?? 0, Math.abs(value)));
  }
  let most = Number.NaN;
  for (const [index, value] of Object.entries(values)) {
    const wanted = right[index];
    if (wanted === undefined) continue;
    const share = Math.abs(value - wanted) / (scales.get(kindOf(Number(index))) || 1);
    most = Number.isNaN(share) ? Number.POSITIVE_INFINITY : Math.max(Number.isNaN(most) ? 0 : most, share);
  }
  return most;
}

// The rows of a run as they are read: what was measured together stands together, the fastest first, what is wrong last.

import { type BenchResult, type Estimate, percentText, rateText, timeText } from '@circuitscope/schema';
import { isOwn } from '../bench-roofline/roofline.ts';
import { formatNumber } from '../figure/format-number.ts';

export interface BenchRow {
  readonly by: string;
  readonly isOwn: boolean;
  /** What it runs, in which layout and how it was timed; for whoever wants to know. */
  readonly how: string;
  readonly outcome:
    | {
        readonly kind: 'timed';
        readonly median: string;
        readonly iqr: string;
        /** Of the slowest of its group. */
        readonly bar: number;
        readonly rate: string;
        readonly ofLoop: string;
        readonly ofMemory: string;
        /** Time of the fastest peer over the time of this one; above 1 this one is faster. */
        readonly ratio: { readonly to: string; readonly text: string; readonly interval: string } | null;
      }
    | { readonly kind: 'wrong' | 'failed'; readonly reason: string };
  /** Distance from float64, and as a share of what rounding explains. */
  readonly error: { readonly max: string; readonly ofBound: string } | null;
  readonly leftOut: number;
}

export interface BenchGroup {
  readonly operation: string;
  readonly shape: string;
  readonly dtype: string;
  readonly threads: number;
  readonly regime: 'hot' | 'cold';
  readonly cpus: string | null;
  readonly rows: readonly BenchRow[];
}

/** In the order in which they were measured. */
export function benchGroups(results: readonly BenchResult[], threads: number | undefined): readonly BenchGroup[] {
  const groups = new Map<string, BenchResult[]>();
  for (const result of results) {
    if (threads !== undefined && result.threads !== threads) continue;
    const key = JSON.stringify([result.operation, result.shape, result.dtype, result.threads, result.regime]);
    const group = groups.get(key);
    if (group) group.push(result);
    else groups.set(key, [result]);
  }
  return [...groups.values()].flatMap((group): BenchGroup[] => {
    const [first] = group;
    if (!first) return [];
    const { operation, shape, dtype, threads: count, regime, cpus = null } = first;
    const slowest = Math.max(...group.map(({ outcome }) => (outcome.kind === 'timed' ? outcome.medianNs : 0)));
    const speed = ({ outcome }: BenchResult): number =>
      outcome.kind === 'timed' ? outcome.medianNs : Number.POSITIVE_INFINITY;
    const rows = [...group]
      .sort((a, b) => (speed(a) === speed(b) ? 0 : speed(a) - speed(b)))
      .map((result) => rowOf(result, slowest));
    return [{ operation, shape, dtype, threads: count, regime, cpus, rows }];
  });
}

function rowOf(result: BenchResult, slowest: number): BenchRow {
  const { implementation, packing, output, outcome, discarded } = result;
  const { name, version, settings } = implementation;
  const packed = { before: 'weights packed before', inside: 'packing inside the time', none: '' }[packing];
  const said = Object.entries(settings).map(([key, value]) => `${key}: ${value}`);
  return {
    by: version === undefined || isOwn(name) ? name : `${name} ${version}`,
    isOwn: isOwn(name),
    how: [packed, `${output} outputs`, ...said].filter(Boolean).join('; '),
    outcome: outcomeOf(outcome, slowest),
    error:
      outcome.kind === 'failed' ? null : { max: formatNumber(outcome.maxError), ofBound: percentText(outcome.ofBound) },
    leftOut: discarded.steal + discarded.clock,
  };
}

function outcomeOf(outcome: BenchResult['outcome'], slowest: number): BenchRow['outcome'] {
  if (outcome.kind === 'failed') return { kind: 'failed', reason: outcome.reason };
  if (outcome.kind === 'wrong')
    return { kind: 'wrong', reason: `${formatNumber(outcome.ofBound)} times what rounding explains: no time` };
  const { medianNs, iqrNs, flopsPerSecond, bytesPerSecond, shareOfLoop, shareOfPeak, shareOfBandwidth } = outcome;
  return {
    kind: 'timed',
    median: timeText(medianNs),
    iqr: timeText(iqrNs),
    bar: slowest > 0 ? medianNs / slowest : 0,
    rate: rateText(flopsPerSecond, 'FLOP') || rateText(bytesPerSecond, 'B'),
    ofLoop: percentText(shareOfLoop?.value ?? shareOfPeak),
    ofMemory: percentText(shareOfBandwidth),
    ratio: toBestPeer(outcome.ratios),
  };
}

interface Ratio {
  readonly against: string;
  readonly estimate: Estimate;
}

/** The peer against which this one gains least. */
function toBestPeer(ratios: readonly Ratio[]): { to: string; text: string; interval: string } | null {
  const best = ratios
    .filter(({ against }) => !isOwn(against))
    .reduce<Ratio | null>((least, one) => (least && least.estimate.value <= one.estimate.value ? least : one), null);
  if (!best) return null;
  const { value, interval } = best.estimate;
  return {
    to: best.against,
    text: value.toFixed(2),
    interval: interval ? `${interval[0].toFixed(2)} to ${interval[1].toFixed(2)}` : '',
  };
}

import type { BenchResult, Estimate } from '@circuitscope/schema';
import { bootstrapInterval, quantile, toEstimate } from '../statistics/index.ts';
import type { Played } from './interleave.ts';
import type { Accuracy } from './operation.ts';

type Outcome = BenchResult['outcome'];
type Timed = Extract<Outcome, { kind: 'timed' }>;

const RESAMPLES = 1000;

const median = (values: readonly number[]): number => quantile(values, 0.5);

/**
 * Median over median, over the rounds that both played, with a percentile interval of resampled rounds: samples of one
 * round are not independent of each other.
 */
export function ratioOfMedians(over: Played, under: Played, seed: number): Estimate | null {
  const pairs = over.rounds.flatMap((samples, at) => {
    const others = under.rounds[at] ?? [];
    return samples.length > 0 && others.length > 0 ? [[samples, others] as const] : [];
  });
  if (pairs.length === 0) return null;
  const statistic = (indices: readonly number[]): number =>
    median(indices.flatMap((at) => [...(pairs[at]?.[0] ?? [])])) /
    median(indices.flatMap((at) => [...(pairs[at]?.[1] ?? [])]));
  return toEstimate(
    bootstrapInterval(statistic, pairs.length, { seed, resamples: RESAMPLES, method: 'percentile', level: 0.95 }),
  );
}

export interface SummaryInput {
  readonly played: Played;
  readonly accuracy: Accuracy;
  readonly flops: number;
  readonly bytes: number;
  /** Operations and bytes a second that the machine was measured to do with as many threads. */
  readonly peak: number | undefined;
  readonly bandwidth: number | undefined;
  /** The loop of multiplications in the same rounds, with the operations of one of its samples. */
  readonly loop: { readonly played: Played; readonly work: number } | undefined;
  readonly others: readonly { readonly name: string; readonly played: Played }[];
  readonly seed: number;
}

/** The outcome of one who played: a wrong result has no time. */
export function summarise(input: SummaryInput): Outcome {
  const { played, accuracy, flops, bytes, peak, bandwidth, loop, seed } = input;
  if (!(accuracy.ofBound <= 1)) return { kind: 'wrong', ...accuracy };
  const samples = played.rounds.flat();
  if (samples.length === 0) {
    const { steal, clock } = played.discarded;
    return {
      kind: 'failed',
      reason: `Every block was disturbed: ${steal} by time that others took, ${clock} by the clock. Stop other programs and run it again.`,
    };
  }
  const medianNs = median(samples);
  const perSecond = (work: number): number => (work / medianNs) * 1e9;
  const ratios = input.others.flatMap(({ name, played: other }) => {
    const estimate = ratioOfMedians(other, played, seed);
    return estimate ? [{ against: name, estimate }] : [];
  });
  const against = flops > 0 && loop ? ratioOfMedians(loop.played, played, seed) : null;
  const outcome: Timed = {
    kind: 'timed',
    ...accuracy,
    samplesNs: samples.map((time) => Math.max(time, 1)),
    medianNs,
    iqrNs: quantile(samples, 0.75) - quantile(samples, 0.25),
    minNs: Math.min(...samples),
    ratios,
    ...(flops > 0 ? { flopsPerSecond: perSecond(flops) } : {}),
    ...(bytes > 0 ? { bytesPerSecond: perSecond(bytes) } : {}),
    ...(flops > 0 && peak ? { shareOfPeak: perSecond(flops) / peak } : {}),
    ...(bytes > 0 && bandwidth ? { shareOfBandwidth: perSecond(bytes) / bandwidth } : {}),
    ...(against && loop ? { shareOfLoop: scaled(against, flops / loop.work) } : {}),
  };
  return outcome;
}

/** Times of the loop over times of the kernel become operations over operations. */
function scaled({ value, se, interval, n }: Estimate, factor: number): Estimate {
  return {
    value: value * factor,
    ...(n === undefined ? {} : { n }),
    ...(se === undefined ? {} : { se: se * factor }),
    ...(interval ? { interval: [interval[0] * factor, interval[1] * factor] } : {}),
  };
}

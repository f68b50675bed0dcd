// What bounds a kernel: the rate of multiply-adds, and the bytes a second that memory or a cache gives, times the operations
// that each byte is good for (Williams, Waterman and Patterson 2009). All of it as one run measured it; a kernel's bytes are
// those that must pass at least, so what a cache serves again may stand above the line of memory.

import type { BenchBandwidth, BenchMachine, BenchResult } from '@circuitscope/schema';

/** A file of results as one run on one machine. */
export interface BenchRecord {
  readonly machine: BenchMachine;
  readonly results: readonly BenchResult[];
}

/** So many operations a second, whatever the bytes. */
export interface Ceiling {
  readonly isa: string;
  readonly threads: number;
  readonly flops: number;
  /** Of the instruction set in use with the threads that are looked at. */
  readonly holds: boolean;
}

/** So many bytes a second. */
export interface Slope {
  /** `L2`, `L3`, `memory`. */
  readonly from: string;
  readonly threads: number;
  readonly bytesPerSecond: number;
  readonly holds: boolean;
}

export interface RooflinePoint {
  readonly operation: string;
  readonly implementation: string;
  readonly version?: string;
  /** Of this product rather than of a peer. */
  readonly isOwn: boolean;
  readonly regime: 'hot' | 'cold';
  /** Operations a byte. */
  readonly intensity: number;
  readonly flops: number;
  readonly medianNs: number;
  /** Of what memory and multiply-adds allow there; null where one of them was not measured. */
  readonly share: number | null;
}

export interface Roofline {
  readonly machine: string;
  readonly threads: number;
  readonly ceilings: readonly Ceiling[];
  readonly slopes: readonly Slope[];
  readonly points: readonly RooflinePoint[];
  /** What moves bytes alone and so has no place in the picture. */
  readonly withoutFlops: readonly string[];
}

/** Numbers of threads with results, ascending. */
export function threadsOf({ results }: BenchRecord): readonly number[] {
  return [...new Set(results.map(({ threads }) => threads))].sort((a, b) => a - b);
}

export const isOwn = (implementation: string): boolean => /^circuitscope(?:,| |$)/.test(implementation);

/** The picture of a run with so many threads; left out: the most that anything was measured with. */
export function rooflineOf(record: BenchRecord, wanted?: number): Roofline {
  const { machine, results } = record;
  const threads = wanted ?? threadsOf(record).at(-1) ?? Math.max(1, ...machine.peaks.map(({ threads }) => threads));
  const ceilings = machine.peaks.map(
    ({ isa, threads: count, flops }): Ceiling => ({
      isa,
      threads: count,
      flops,
      holds: isa === machine.isa && count === threads,
    }),
  );
  const slopes = slopesOf(machine, threads);
  const peak = ceilings.find(({ holds }) => holds)?.flops;
  const memory = slopes.find(({ from, holds }) => from === 'memory' && holds)?.bytesPerSecond;
  const seen = results.filter((result) => result.threads === threads);
  const points = seen.flatMap(({ operation, implementation, regime, flops, bytes, outcome }): RooflinePoint[] => {
    if (outcome.kind !== 'timed' || flops === 0 || bytes === 0) return [];
    const { name, version } = implementation;
    const [intensity, rate] = [flops / bytes, (flops / outcome.medianNs) * 1e9];
    const share = peak === undefined || memory === undefined ? null : rate / Math.min(peak, memory * intensity);
    return [
      {
        operation,
        implementation: name,
        ...(version === undefined ? {} : { version }),
        isOwn: isOwn(name),
        regime,
        intensity,
        flops: rate,
        medianNs: outcome.medianNs,
        share,
      },
    ];
  });
  const withoutFlops = [...new Set(seen.filter(({ flops }) => flops === 0).map(({ operation }) => operation))];
  return { machine: machine.cpu.model, threads, ceilings, slopes, points, withoutFlops };
}

const byLevel = (a: { readonly level: number }, b: { readonly level: number }): number => a.level - b.level;

/** Reading from memory for every number of threads, and from each cache whose size was measured for the one looked at. */
function slopesOf({ bandwidths, caches }: BenchMachine, threads: number): readonly Slope[] {
  const reads = bandwidths.filter(({ kind }) => kind === 'read');
  const slopes: Slope[] = [];
  const largest = Math.max(0, ...reads.map(({ bytes }) => bytes));
  for (const read of reads) {
    if (read.bytes !== largest) continue;
    const holds = read.threads === threads;
    slopes.push({ from: 'memory', threads: read.threads, bytesPerSecond: read.bytesPerSecond, holds });
  }
  let below = 0;
  for (const { level, bytes, sharedBy } of caches.filter(({ kind }) => kind !== 'instruction').sort(byLevel)) {
    // Threads on cores of their own bring each a cache of its own; half is left to whatever else is in it.
    const room = (/[,-]/.test(sharedBy ?? '') ? 1 : threads) * bytes;
    // What the level below holds as well says nothing of this one.
    const inside = reads
      .filter(
        (read) => read.threads === threads && read.bytes > below && read.bytes <= room / 2 && read.bytes < largest,
      )
      .reduce<BenchBandwidth | undefined>((best, read) => (best && best.bytes >= read.bytes ? best : read), undefined);
    if (inside) slopes.push({ from: `L${level}`, threads, bytesPerSecond: inside.bytesPerSecond, holds: true });
    below = Math.max(below, room);
  }
  return slopes.sort((a, b) => a.bytesPerSecond - b.bytesPerSecond);
}

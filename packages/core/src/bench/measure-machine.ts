import { type BenchBandwidth, type BenchMachine, type BenchPeak, CircuitscopeError } from '@circuitscope/schema';
import type { NativeAddon, NativeProbe, NativeSamples } from '../kernels/index.ts';
import { quantile } from '../statistics/index.ts';
import { machineFacts } from './machine.ts';

/** A clock that moves by more than this between two moments makes what was measured between them worthless. */
export const CLOCK_DRIFT = 0.03;
/** From the first cache to memory. */
const TRAFFIC_BYTES = [16, 64, 256, 1024, 4096, 16384, 65536, 524288].map((kilobytes) => kilobytes << 10);
const ATTEMPTS = 5;

export interface MeasureOptions {
  readonly addon: NativeAddon;
  readonly env: { readonly [name: string]: string | undefined };
  readonly threads: readonly number[];
  readonly signal: AbortSignal;
  /** Also the sizes between the caches, and every instruction set; else only what results are held against. */
  readonly full: boolean;
  readonly onProgress?: (share: number, what: string) => void;
}

export async function probe(addon: NativeAddon, what: NativeProbe, signal: AbortSignal): Promise<NativeSamples | null> {
  signal.throwIfAborted();
  const run = new addon.NativeRun();
  const cancel = (): void => run.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await addon.probe(what, run);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** Units of work a second: the best of the samples and their median. */
function rates({ work, ns }: NativeSamples): { readonly best: number; readonly median: number } {
  const rate = (time: number): number => (work / time) * 1e9;
  return { best: rate(Math.min(...ns)), median: rate(quantile(ns, 0.5)) };
}

/** Cycles a second at this moment: the best of a few, since being held up only ever makes it less. */
export async function clockNow(addon: NativeAddon, signal: AbortSignal): Promise<number | undefined> {
  const found = await probe(addon, { kind: 'clock', samples: 8 }, signal);
  return found ? rates(found).best : undefined;
}

/** The machine with its peaks. @throws CircuitscopeError `unsteady_clock` where no quiet moment was found */
export async function measureMachine(options: MeasureOptions): Promise<BenchMachine> {
  const { addon, signal, threads, full, onProgress } = options;
  const info = addon.info();
  const facts = machineFacts(info, options.env);
  const isas = full ? info.isas.filter((isa) => isa !== 'portable') : [info.isa];
  const sizes = full ? TRAFFIC_BYTES : TRAFFIC_BYTES.slice(-1);
  const total = threads.length * (isas.length + 2 * sizes.length);
  let done = 0;
  const step = (what: string): void => onProgress?.(done++ / total, what);

  /** Between two readings of the clock that agree. */
  const steadily = async (what: NativeProbe): Promise<NativeSamples | null> => {
    let worst = 0;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const before = await clockNow(addon, signal);
      const found = await probe(addon, what, signal);
      const after = await clockNow(addon, signal);
      if (before === undefined || after === undefined) return found;
      worst = Math.abs(after - before) / before;
      if (worst <= CLOCK_DRIFT) return found;
    }
    throw new CircuitscopeError(
      'unsteady_clock',
      `The clock moved by ${(100 * worst).toFixed(0)} % in each of ${ATTEMPTS} attempts, so no peak can be measured; stop other programs and try again.`,
      { expected: `at most ${100 * CLOCK_DRIFT} %`, got: `${(100 * worst).toFixed(1)} %` },
    );
  };

  const peaks: BenchPeak[] = [];
  const bandwidths: BenchBandwidth[] = [];
  for (const count of threads) {
    for (const isa of isas) {
      step(`multiplications, ${isa}, ${count} threads`);
      const found = await steadily({ kind: 'fma', isa, threads: count, samples: 20 });
      if (!found) continue;
      const { best, median } = rates(found);
      peaks.push({ isa, threads: count, flops: best, medianFlops: median });
    }
    for (const bytes of sizes) {
      for (const kind of ['read', 'triad'] as const) {
        step(`${kind} over ${bytes >> 10} KiB, ${count} threads`);
        const found = await steadily({ kind, bytes, threads: count, samples: bytes > 1 << 26 ? 5 : 10 });
        if (!found) continue;
        const { best, median } = rates(found);
        bandwidths.push({ kind, bytes, threads: count, bytesPerSecond: best, medianBytesPerSecond: median });
      }
    }
  }
  const clockHz = await clockNow(addon, signal);
  return { ...facts, ...(clockHz === undefined ? {} : { clockHz }), peaks, bandwidths };
}

/** The peak of the instruction set in use. */
export function peakOf(machine: BenchMachine, threads: number): number | undefined {
  return machine.peaks.find((peak) => peak.isa === machine.isa && peak.threads === threads)?.flops;
}

/** Reading from memory: through the largest arrays that were measured. */
export function memoryBandwidth(machine: BenchMachine, threads: number): number | undefined {
  const found = machine.bandwidths.filter(({ kind, threads: count }) => kind === 'read' && count === threads);
  return found.reduce<BenchBandwidth | undefined>((a, b) => (a && a.bytes >= b.bytes ? a : b), undefined)
    ?.bytesPerSecond;
}

import { type BenchMachine, type BenchResult, mustParse, BenchResult as Schema } from '@circuitscope/schema';
import type { NativeAddon } from '../kernels/index.ts';
import { Rng } from '../tensor/index.ts';
import type { Contender, Prepared } from './contender.ts';
import { interleave, type Played, type Player } from './interleave.ts';
import { coldBytes, stolenSeconds } from './machine.ts';
import { CLOCK_DRIFT, clockNow, memoryBandwidth, peakOf, probe } from './measure-machine.ts';
import type { Accuracy, BenchOperation } from './operation.ts';
import { summarise } from './summarise.ts';

export interface RunBenchmarks {
  readonly addon: NativeAddon;
  readonly machine: BenchMachine;
  readonly operations: readonly BenchOperation[];
  readonly contenders: readonly Contender[];
  readonly threads: readonly number[];
  readonly rounds: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** How long one block of one implementation should take. */
  readonly blockMs?: number;
  readonly pauseMs?: number;
  /**
   * Ties this process, and so those it starts, to as many processors as there are threads, and names them; undefined where
   * the system cannot.
   */
  readonly pin?: (threads: number) => Promise<string | undefined>;
  /** Results that are there already. */
  readonly isDone?: (key: string) => boolean;
  readonly onResult: (result: BenchResult) => void;
  readonly onProgress?: (share: number, what: string) => void;
}

const LOOP = 'multiply-add loop';
/** The first and last row, and so many others. */
const OTHER_ROWS = 4;

interface Group {
  readonly operation: BenchOperation;
  readonly threads: number;
  readonly regime: 'hot' | 'cold';
}

/** What makes a result one of its kind within a file. */
export function resultKey(result: Pick<BenchResult, 'operation' | 'threads' | 'regime'> & { name: string }): string {
  return [result.operation, result.threads, result.regime, result.name].join(' / ');
}

/** Every operation at every number of threads in every regime: those who can do it take turns. */
export async function runBenchmarks(options: RunBenchmarks): Promise<void> {
  const groups = options.operations.flatMap((operation) =>
    operation.regimes.flatMap((regime) => options.threads.map((threads): Group => ({ operation, threads, regime }))),
  );
  for (const [at, group] of groups.entries()) {
    const { operation, threads, regime } = group;
    const what = `${operation.name}, ${threads} ${threads === 1 ? 'thread' : 'threads'}, ${regime}`;
    const names = playersOf(options, group).map(({ name }) => name);
    const isDone = options.isDone ?? (() => false);
    if (names.every((name) => isDone(resultKey({ operation: operation.name, threads, regime, name })))) continue;
    options.onProgress?.(at / groups.length, what);
    await runGroup(options, group, (round) =>
      options.onProgress?.((at + round / options.rounds) / groups.length, `${what}, round ${round}`),
    );
  }
}

const playersOf = ({ contenders }: RunBenchmarks, { operation, threads, regime }: Group): readonly Contender[] =>
  contenders.filter(({ plays }) => plays(operation, { threads, regime }));

interface Entered {
  readonly contender: Contender;
  readonly prepared: Prepared;
}

async function runGroup(options: RunBenchmarks, group: Group, onRound: (round: number) => void): Promise<void> {
  const { addon, machine, signal, seed, rounds } = options;
  const { operation, threads, regime } = group;
  const entered: Entered[] = [];
  const cpus = await options.pin?.(threads);
  try {
    for (const contender of playersOf(options, group)) {
      try {
        const prepared = await contender.prepare(operation, { threads, regime, coldBytes: coldBytes(machine) });
        entered.push({ contender, prepared });
      } catch (error) {
        report(options, { ...group, cpus }, contender, failed(error, signal), { steal: 0, clock: 0 });
      }
    }
    let loopWork = 0;
    const loop: Player = {
      name: LOOP,
      async block(samples, warmUp) {
        const found = await probe(addon, { kind: 'fma', threads, samples: samples + warmUp }, signal);
        loopWork = found?.work ?? 0;
        return found?.ns.slice(warmUp) ?? [];
      },
    };
    const hasLoop = peakOf(machine, threads) !== undefined;
    const players = [
      ...entered.map(
        ({ contender, prepared }): Player => ({
          name: contender.name,
          block: (samples, warmUp) => prepared.block(samples, warmUp, signal),
        }),
      ),
      ...(hasLoop ? [loop] : []),
    ];
    const played = await interleave(players, {
      rounds,
      seed,
      blockMs: options.blockMs ?? 60,
      mostSamples: 64,
      clockDrift: CLOCK_DRIFT,
      pauseMs:
        options.pauseMs ?? (entered.some(({ contender }) => !contender.name.startsWith('circuitscope')) ? 20 : 0),
      signal,
      watch: { clockHz: () => clockNow(addon, signal), stolenSeconds },
      onRound,
    });
    const rows = checkedRows(operation, seed);
    for (const { contender, prepared } of entered) {
      const own = played.get(contender.name) as Played;
      const accuracy: Accuracy = operation.check(await prepared.rows(rows), prepared.output);
      const loopPlayed = played.get(LOOP);
      const outcome = summarise({
        played: own,
        accuracy,
        flops: operation.flops,
        bytes: operation.bytes,
        peak: peakOf(machine, threads),
        bandwidth: memoryBandwidth(machine, threads),
        loop: loopPlayed && loopWork > 0 ? { played: loopPlayed, work: loopWork } : undefined,
        others: entered
          .filter(({ contender: other }) => other !== contender)
          .map(({ contender: { name } }) => ({ name, played: played.get(name) as Played })),
        seed,
      });
      const settings = { ...contender.settings, ...prepared.settings };
      const said = prepared.output === undefined ? settings : { ...settings, outputs: prepared.output };
      report(options, { ...group, cpus }, { ...contender, settings: said }, outcome, own.discarded);
    }
  } finally {
    for (const { prepared } of entered) await prepared.release();
  }
}

function failed(error: unknown, signal: AbortSignal): BenchResult['outcome'] {
  signal.throwIfAborted();
  return { kind: 'failed', reason: (error instanceof Error ? error.message : String(error)).slice(0, 4000) };
}

function report(
  { onResult }: RunBenchmarks,
  { operation, threads, regime, cpus }: Group & { readonly cpus: string | undefined },
  { name, version, settings, packing, output }: Contender,
  outcome: BenchResult['outcome'],
  discarded: BenchResult['discarded'],
): void {
  const result = {
    kind: 'bench_result',
    version: 1,
    operation: operation.name,
    shape: operation.shape,
    dtype: operation.dtype,
    implementation: { name, settings, ...(version === undefined ? {} : { version }) },
    threads,
    regime,
    ...(cpus === undefined ? {} : { cpus }),
    packing: operation.packings.includes('none') ? 'none' : packing,
    output,
    flops: operation.flops,
    bytes: operation.bytes,
    outcome,
    discarded,
  };
  onResult(mustParse(Schema, result, 'result of a benchmark'));
}

/** The first, the last and some between, by the seed. */
function checkedRows({ rows, name }: BenchOperation, seed: number): readonly number[] {
  const rng = new Rng(seed, `bench.rows.${name}`);
  const others = Array.from({ length: OTHER_ROWS }, () => rng.below(rows));
  return [...new Set([0, rows - 1, ...others])].sort((a, b) => a - b);
}

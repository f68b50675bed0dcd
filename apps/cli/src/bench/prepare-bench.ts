import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TOOL_VERSION } from '@circuitscope/core';
import {
  clockNow,
  currentLoad,
  foreignLoad,
  measureMachine,
  type ProcessTime,
  processTimes,
} from '@circuitscope/core/bench';
import { chooseNative, type NativeAddon } from '@circuitscope/core/kernels';
import { BenchEnd, type BenchLoad, BenchRun, CircuitscopeError, mustParse } from '@circuitscope/schema';
import type { Io } from '../io.ts';
import { badOption } from '../options/index.ts';

/** Timing the reference would say nothing about this machine. @throws CircuitscopeError `no_addon` */
export async function benchAddon(io: Io): Promise<NativeAddon> {
  const choice = await chooseNative(io.env);
  if (choice.kind === 'native') return choice.addon;
  throw new CircuitscopeError('no_addon', `Only the native kernels can be timed, but ${choice.reason}.`, {
    got: choice.reason,
  });
}

/** `1,2` as numbers of threads; left out: one, and as many as there are cores. */
export function threadCounts(given: readonly string[] | undefined, addon: NativeAddon): readonly number[] {
  if (!given) return [...new Set([1, addon.info().threads])];
  return given.map((word) => {
    const count = /^\d+$/.test(word) ? Number(word) : 0;
    if (count >= 1 && count <= 256) return count;
    throw badOption('--threads', 'numbers from 1 to 256, such as 1,2', word);
  });
}

/** The commit of the source that runs, where it runs from a checkout. */
function commit(): { readonly commit: string; readonly dirty: boolean } | undefined {
  const cwd = dirname(fileURLToPath(import.meta.url));
  const git = (...args: string[]) => spawnSync('git', args, { cwd, encoding: 'utf8' });
  const head = git('rev-parse', 'HEAD');
  if (head.error || head.status !== 0) return undefined;
  return { commit: head.stdout.trim(), dirty: git('status', '--porcelain').stdout.trim() !== '' };
}

export interface BenchSettings {
  readonly addon: NativeAddon;
  readonly threads: readonly number[];
  readonly full: boolean;
  readonly seed: number;
  readonly rounds: number;
  readonly line: readonly string[];
  readonly onProgress: (share: number, what: string) => void;
}

/** Programs and their processor times at one moment. */
export interface Watched {
  readonly atMs: number;
  readonly processes: readonly ProcessTime[];
}

export const watch = (): Watched => ({ atMs: performance.now(), processes: processTimes() });

/** Long enough that a program which computes has had a tick of its processor. */
const LOOK_MS = 400;

const othersSince = ({ atMs, processes }: Watched): BenchLoad['foreign'] =>
  foreignLoad(processes, processTimes(), (performance.now() - atMs) / 1000);

/** The head of a run: the machine as it is now. */
export async function startRun(io: Io, settings: BenchSettings): Promise<BenchRun> {
  const { addon, threads, full, seed, rounds, line, onProgress } = settings;
  const startedAt = new Date().toISOString();
  const quiet = watch();
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  const before = currentLoad(await clockNow(addon, io.signal), othersSince(quiet));
  const machine = await measureMachine({ addon, env: io.env, threads, full, signal: io.signal, onProgress });
  return mustParse(
    BenchRun,
    {
      kind: 'bench_run',
      version: 1,
      startedAt,
      tool: { version: TOOL_VERSION, ...commit() },
      machine,
      before,
      seed,
      rounds,
      command: [...line],
    },
    'run of a benchmark',
  );
}

/** @param since what ran at the beginning of what was measured */
export async function endRun(io: Io, addon: NativeAddon, since: Watched): Promise<BenchEnd> {
  const after = currentLoad(await clockNow(addon, io.signal), othersSince(since));
  return mustParse(
    BenchEnd,
    { kind: 'bench_end', version: 1, endedAt: new Date().toISOString(), after },
    'end of a benchmark',
  );
}

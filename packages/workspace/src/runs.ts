import type { ExecutorInfo } from '@circuitscope/core/plan';
import { canonicalJson, type Hash, mustParse, RunRecord } from '@circuitscope/schema';
import { addRun } from './catalogue.ts';
import { pathOf } from './paths.ts';
import { digestBytes } from './read-file.ts';
import type { Workspace } from './workspace.ts';
import { touch, writeDurably } from './write-durably.ts';

/** Stores when, where and how fast a result came about; apart from the result, so that equal work has equal bytes. */
export function saveRun({ dir, catalogue }: Workspace, run: RunRecord): Hash {
  const checked = mustParse(RunRecord, run, 'run');
  const bytes = new TextEncoder().encode(canonicalJson(checked));
  const hash = digestBytes(bytes);
  const path = pathOf(dir, 'runs', hash, '.json');
  if (!touch(path)) writeDurably(path, bytes);
  addRun(catalogue, hash, checked);
  return hash;
}

export interface RunFacts {
  readonly actionKey: Hash;
  readonly contentDigest: Hash;
  /** When the work began, in ms since 1970 (`Date.now()`). */
  readonly startedAt: number;
  readonly wallTimeMs: number;
  readonly executor: ExecutorInfo;
  /** The words of the command line. */
  readonly command: readonly string[];
}

/** A run record of this process on this machine. */
export function runRecord({ actionKey, contentDigest, startedAt, wallTimeMs, executor, command }: RunFacts): RunRecord {
  const runtime = process.versions.bun
    ? `bun ${process.versions.bun}`
    : process.versions.deno
      ? `deno ${process.versions.deno}`
      : `node ${process.versions.node}`;
  return {
    kind: 'run',
    version: 1,
    actionKey,
    contentDigest,
    startedAt: new Date(startedAt).toISOString(),
    wallTimeMs,
    // Kilobytes on every system that libuv and Bun know.
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    host: {
      cpu: executor.cpu.slice(0, 256) || 'unknown',
      isa: executor.kind === 'native' ? executor.path : 'none',
      threads: executor.threads,
      runtime,
      executor: executor.kind,
    },
    command: [...command],
  };
}

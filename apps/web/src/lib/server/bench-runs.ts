import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { type ComparedRuns, compareRuns, type JoinedRun, joinSections } from '@circuitscope/core/bench';
import { CircuitscopeError, MAX_BENCH_TEXT, parseBenchFile } from '@circuitscope/schema';
import { workspaceDir } from '@circuitscope/workspace';

// Files of benchmark results, as `bench kernels` writes them: those kept in the workspace, and those in the folder that the
// server was started with. Nothing of an address reaches the file system: it only chooses among what was listed.

export interface BenchRunSummary {
  /** Its path below the folder it was found in. */
  readonly id: string;
  /** ISO 8601 */
  readonly startedAt: string;
  readonly processor: string;
  readonly isa: string;
  readonly fingerprint: string;
  readonly results: number;
}

export interface BenchPage {
  /** The last begun first. */
  readonly runs: readonly BenchRunSummary[];
  readonly unreadable: number;
  /** Without samples, which no picture shows. */
  readonly chosen: (JoinedRun & { readonly id: string }) | null;
  readonly comparison: {
    readonly beside: BenchRunSummary;
    readonly compared: ComparedRuns;
    /** What ratios may be to. */
    readonly references: readonly string[];
  } | null;
}

interface Found {
  readonly summary: BenchRunSummary;
  readonly joined: JoinedRun;
}

const DEEPEST = 4;
const MOST_FILES = 200;

/** A file that has not changed is not read again. */
const known = new Map<string, { readonly stamp: string; readonly joined: JoinedRun }>();

export interface BenchChoice {
  readonly run: string | null;
  readonly beside: string | null;
  readonly reference: string | null;
}

/** Every run that is found, the one that is chosen, and what it is beside another. */
export function readBenchPage(choice: BenchChoice): BenchPage {
  const { found, unreadable } = findRuns();
  const chosen = found.find(({ summary }) => summary.id === choice.run) ?? found[0];
  const beside = found.find(({ summary }) => summary.id === choice.beside && summary.id !== chosen?.summary.id);
  return {
    runs: found.map(({ summary }) => summary),
    unreadable,
    chosen: chosen ? { id: chosen.summary.id, ...withoutSamples(chosen.joined) } : null,
    comparison:
      chosen && beside
        ? {
            beside: beside.summary,
            compared: compareRuns([beside.joined], [chosen.joined], choice.reference ?? undefined),
            references: implementationsOf(beside.joined).filter((name) =>
              implementationsOf(chosen.joined).includes(name),
            ),
          }
        : null,
  };
}

const implementationsOf = ({ results }: JoinedRun): readonly string[] => [
  ...new Set(results.map(({ implementation }) => implementation.name)),
];

function withoutSamples(joined: JoinedRun): JoinedRun {
  return {
    ...joined,
    results: joined.results.map((result) =>
      result.outcome.kind === 'timed' ? { ...result, outcome: { ...result.outcome, samplesNs: [] } } : result,
    ),
  };
}

function findRuns(): { readonly found: readonly Found[]; readonly unreadable: number } {
  const kept = join(workspaceDir({ env: process.env, cwd: process.cwd() }), 'bench');
  const folders = [
    { folder: kept, prefix: 'workspace/' },
    ...(process.env.CIRCUITSCOPE_BENCH ? [{ folder: process.env.CIRCUITSCOPE_BENCH, prefix: '' }] : []),
  ];
  const found: Found[] = [];
  let unreadable = 0;
  for (const { folder, prefix } of folders) {
    for (const path of filesIn(folder, 0).slice(0, MOST_FILES)) {
      try {
        const joined = readRun(path);
        if (joined) found.push(summarise(prefix + relative(folder, path).split(sep).join('/'), joined));
      } catch (error) {
        if (!(error instanceof CircuitscopeError)) throw error;
        unreadable += 1;
      }
    }
  }
  found.sort((a, b) => (a.summary.startedAt < b.summary.startedAt ? 1 : -1));
  return { found, unreadable };
}

function filesIn(folder: string, depth: number): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? 1 : -1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isFile() && entry.name.endsWith('.jsonl')) return [path];
      const isLooked = entry.isDirectory() && depth < DEEPEST && !/^(\.|node_modules$|target$)/.test(entry.name);
      return isLooked ? filesIn(path, depth + 1) : [];
    });
}

/** Undefined for a file of lines of something else. @throws CircuitscopeError where it begins as a run and is none */
function readRun(path: string): JoinedRun | undefined {
  const { mtimeMs, size } = statSync(path);
  const stamp = `${mtimeMs} ${size}`;
  const before = known.get(path);
  if (before?.stamp === stamp) return before.joined;
  if (!/^\s*\{"kind":"bench_run"/.test(beginning(path))) return undefined;
  if (size > MAX_BENCH_TEXT)
    throw new CircuitscopeError('too_large', `${path} is larger than ${MAX_BENCH_TEXT} bytes.`);
  const joined = joinSections(parseBenchFile(readFileSync(path, 'utf8'), path));
  if (known.size >= 2 * MOST_FILES) known.clear();
  known.set(path, { stamp, joined });
  return joined;
}

function beginning(path: string): string {
  const bytes = Buffer.alloc(64);
  const file = openSync(path, 'r');
  try {
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(file);
  }
}

function summarise(id: string, joined: JoinedRun): Found {
  const { run, results } = joined;
  const { cpu, isa, fingerprint } = run.machine;
  return {
    joined,
    summary: { id, startedAt: run.startedAt, processor: cpu.model, isa, fingerprint, results: results.length },
  };
}

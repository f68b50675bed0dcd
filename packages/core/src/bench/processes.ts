import { readdirSync, readFileSync } from 'node:fs';
import type { BenchLoad } from '@circuitscope/schema';

/** A program and the processor time it has had since it started. */
export interface ProcessTime {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  readonly seconds: number;
}

/** Below so much of one processor a program is not worth a line. */
const LEAST = 0.01;
const MOST_NAMED = 12;

/** Of every program that the system shows; none where it shows none. */
export function processTimes(folder = '/proc'): readonly ProcessTime[] {
  let names: readonly string[];
  try {
    names = readdirSync(folder).filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
  return names.flatMap((pid) => {
    try {
      const text = readFileSync(`${folder}/${pid}/stat`, 'utf8');
      // The name stands in brackets and may hold any of them itself.
      const [open, close] = [text.indexOf('('), text.lastIndexOf(')')];
      const fields = text.slice(close + 2).split(' ');
      const ticks = Number(fields[11]) + Number(fields[12]);
      const name = text.slice(open + 1, close);
      return Number.isFinite(ticks) && name !== ''
        ? [{ pid: Number(pid), parent: Number(fields[1]), name, seconds: ticks / 100 }]
        : [];
    } catch {
      // It ended meanwhile.
      return [];
    }
  });
}

/** What others than this program and those that it started did between two lists, in processors. */
export function foreignLoad(
  before: readonly ProcessTime[],
  after: readonly ProcessTime[],
  elapsedSeconds: number,
  own: number = process.pid,
): NonNullable<BenchLoad['foreign']> {
  const parents = new Map(after.map(({ pid, parent }) => [pid, parent]));
  const isOurs = (pid: number): boolean => {
    // Bounded by the number of programs: two lists may not agree on who is whose parent.
    for (let at: number | undefined = pid, steps = 0; at !== undefined && steps <= parents.size; steps++) {
      if (at === own) return true;
      at = parents.get(at);
    }
    return false;
  };
  const earlier = new Map(before.map(({ pid, seconds }) => [pid, seconds]));
  const byName = new Map<string, number>();
  for (const { pid, name, seconds } of after) {
    if (isOurs(pid)) continue;
    const processors = (seconds - (earlier.get(pid) ?? 0)) / elapsedSeconds;
    if (processors > 0) byName.set(name, (byName.get(name) ?? 0) + processors);
  }
  return [...byName]
    .filter(([, processors]) => processors >= LEAST)
    .sort(([, a], [, b]) => b - a)
    .slice(0, MOST_NAMED)
    .map(([name, processors]) => ({ name, processors: Math.round(100 * processors) / 100 }));
}

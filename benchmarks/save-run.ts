import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';

/** The CPU as a folder name. */
export function cpuName(): string {
  return (cpus()[0]?.model ?? 'unknown')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

/** Keeps raw samples beside their question, if `--save` was given. */
export function saveRun(folder: string, lines: readonly string[]): void {
  if (!process.argv.includes('--save')) return;
  const path = join(folder, 'runs', `${new Date().toISOString().slice(0, 10)}-${cpuName()}`);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'raw.jsonl'), `${lines.join('\n')}\n`);
  process.stderr.write(`kept ${join(path, 'raw.jsonl')}\n`);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

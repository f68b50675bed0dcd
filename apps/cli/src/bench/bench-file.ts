import { appendFileSync, existsSync, readFileSync, truncateSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  type BenchEnd,
  type BenchResult,
  type BenchRun,
  type BenchSection,
  CircuitscopeError,
  parseBenchFile,
} from '@circuitscope/schema';
import type { Io } from '../io.ts';

/** Reads a file of results. @throws CircuitscopeError `not_found`, `invalid_record` */
export function readBenchFile(path: string, io: Io): readonly BenchSection[] {
  const file = resolve(io.cwd, path);
  if (!existsSync(file))
    throw new CircuitscopeError('not_found', `There is no file ${path}; circuitscope bench kernels --out makes one.`, {
      at: path,
    });
  return parseBenchFile(readFileSync(file, 'utf8'), path);
}

/** A line at a time, so that what was measured before a crash is there. */
export function benchAppender(path: string | undefined, io: Io): (record: BenchRun | BenchResult | BenchEnd) => void {
  if (path === undefined) return () => {};
  const file = resolve(io.cwd, path);
  if (existsSync(file)) {
    // The last line of a run that was killed may have no end.
    const bytes = readFileSync(file);
    const end = bytes.lastIndexOf(0x0a) + 1;
    if (end < bytes.length) truncateSync(file, end);
  }
  return (record) => appendFileSync(file, `${JSON.stringify(record)}\n`);
}

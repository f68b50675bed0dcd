// The data of <bench-roofline> and <bench-table>: a run with its results, as `circuitscope bench kernels --json` prints them,
// every record parsed by the schema.

import { type BenchResult, parseBenchResult, parseBenchRun } from '@circuitscope/schema';
import type { BenchRecord } from '../bench-roofline/roofline.ts';

/** More than any run has, and few enough to lay out at once. */
const MAX_RESULTS = 4096;

type Read = { readonly ok: true; readonly value: BenchRecord } | { readonly ok: false; readonly problem: string };

export function readBenchRecord(value: unknown): Read {
  const fail = (problem: string): Read => ({ ok: false, problem: `This is not a benchmark: ${problem}.` });
  const field = (name: string): unknown =>
    typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
  const run = parseBenchRun(field('run'));
  if (!run.ok) {
    const [first] = run.issues;
    return fail(`"run"${first?.path ? `, at ${first.path}` : ''}: ${first?.message ?? 'it cannot be read'}`);
  }
  const given = field('results');
  if (!Array.isArray(given)) return fail('"results" should be a list');
  if (given.length > MAX_RESULTS)
    return fail(`${given.length} results are more than the ${MAX_RESULTS} that can be drawn`);
  const results: BenchResult[] = [];
  for (const [at, one] of given.entries()) {
    const parsed = parseBenchResult(one);
    if (!parsed.ok) {
      const [first] = parsed.issues;
      return fail(
        `"results[${at}]"${first?.path ? `, at ${first.path}` : ''}: ${first?.message ?? 'it cannot be read'}`,
      );
    }
    results.push(parsed.value);
  }
  return { ok: true, value: { machine: run.value.machine, results } };
}

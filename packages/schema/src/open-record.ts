import {
  type BenchEnd,
  type BenchResult,
  type BenchRun,
  parseBenchEnd,
  parseBenchResult,
  parseBenchRun,
} from './bench.ts';
import { type Captures, parseCaptures } from './captures.ts';
import { type Circuit, parseCircuit } from './circuit.ts';
import { type Comparison, parseComparison } from './comparison.ts';
import { type Hypothesis, parseHypothesis } from './hypothesis.ts';
import { type LedgerEntry, parseLedgerEntry } from './hypothesis-ledger.ts';
import { type HypothesisOutcome, parseHypothesisOutcome } from './hypothesis-outcome.ts';
import { type LatentStatistics, parseLatentStatistics } from './latent-statistics.ts';
import type { Parsed } from './parse.ts';
import { type Patching, parsePatching } from './patching.ts';
import { type Plan, parsePlan } from './plan.ts';
import { parseReport, type Report } from './report.ts';
import { parseRunRecord, type RunRecord } from './run-record.ts';
import { parseTask, type Task } from './task.ts';
import { parseZooCheck, type ZooCheck } from './zoo-check.ts';

/** A record that stands in a file of its own. */
export type StoredRecord =
  | BenchRun
  | BenchResult
  | BenchEnd
  | Captures
  | Circuit
  | Comparison
  | ZooCheck
  | Hypothesis
  | HypothesisOutcome
  | LatentStatistics
  | LedgerEntry
  | Patching
  | Plan
  | Report
  | RunRecord
  | Task;

const PARSERS = {
  bench_run: parseBenchRun,
  bench_result: parseBenchResult,
  bench_end: parseBenchEnd,
  captures: parseCaptures,
  circuit: parseCircuit,
  comparison: parseComparison,
  zoo_check: parseZooCheck,
  hypothesis: parseHypothesis,
  hypothesis_outcome: parseHypothesisOutcome,
  latent_statistics: parseLatentStatistics,
  ledger_entry: parseLedgerEntry,
  patching: parsePatching,
  plan: parsePlan,
  report: parseReport,
  run: parseRunRecord,
  task: parseTask,
};

/** Reads a record whose kind is not known beforehand, of any version up to the current one. */
export function openRecord(value: unknown): Parsed<StoredRecord> {
  const kind: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'kind') : undefined;
  for (const [known, parse] of Object.entries(PARSERS)) if (kind === known) return parse(value);
  return { ok: false, issues: [{ path: 'kind', message: `expected one of ${Object.keys(PARSERS).join(', ')}` }] };
}

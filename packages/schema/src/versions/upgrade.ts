import type { Parsed } from '../parse.ts';
import { circuitFrom0 } from './circuit-from-0.ts';
import type { Step } from './step.ts';

/** The version of each record that this program writes. */
export const CURRENT_VERSION = {
  bench_run: 1,
  bench_result: 1,
  bench_end: 1,
  captures: 1,
  circuit: 1,
  comparison: 1,
  zoo_check: 1,
  hypothesis: 1,
  hypothesis_outcome: 1,
  latent_statistics: 1,
  ledger_entry: 1,
  patching: 1,
  plan: 1,
  report: 1,
  run: 1,
  task: 1,
} as const;

export type RecordKind = keyof typeof CURRENT_VERSION;

/** `STEPS[kind][n]` makes version n + 1 of version n. A step that is missing ends the history of that kind. */
const STEPS: { readonly [K in RecordKind]: { readonly [version: number]: Step } } = {
  bench_run: {},
  bench_result: {},
  bench_end: {},
  captures: {},
  circuit: { 0: circuitFrom0 },
  comparison: {},
  zoo_check: {},
  hypothesis: {},
  hypothesis_outcome: {},
  latent_statistics: {},
  ledger_entry: {},
  patching: {},
  plan: {},
  report: {},
  run: {},
  task: {},
};

/**
 * Walks a record from the version it says it has to the current one, one step at a time. It changes the form only;
 * whether the result is valid, the parser of the current version says.
 */
export function upgrade(value: unknown, kind: RecordKind): Parsed<unknown> {
  const current = CURRENT_VERSION[kind];
  const refuse = (path: string, message: string) => ({ ok: false as const, issues: [{ path, message }] });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse(
      '',
      `expected a ${kind} record, got ${Array.isArray(value) ? 'a list' : value === null ? 'null' : typeof value}`,
    );
  }
  let record: Record<string, unknown> = { ...value };
  if (record.kind !== kind) return refuse('kind', `expected "${kind}"`);
  const version = record.version;
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 0) {
    return refuse('version', `expected a version from 0 to ${current}`);
  }
  if (version > current) {
    return refuse(
      'version',
      `version ${version} is newer than ${current}, the newest known here; update Circuitscope to read it`,
    );
  }
  for (let at = version; at < current; at++) {
    const step = STEPS[kind][at];
    if (!step) return refuse('version', `no step leads from version ${at} of a ${kind}`);
    record = { ...step(record), version: at + 1 };
  }
  return { ok: true, value: record };
}

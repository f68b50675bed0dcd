import { hashRecord } from '@circuitscope/core';
import {
  type Circuit,
  CircuitscopeError,
  type Hash,
  type Hypothesis,
  type HypothesisOutcome,
  type Parsed,
  parseCircuit,
  parseHypothesisOutcome,
  parseTask,
  type Task,
} from '@circuitscope/schema';
import {
  getRecord,
  list,
  openWorkspace,
  readLedger,
  readLocked,
  runsOf,
  type Workspace,
  workspaceDir,
} from '@circuitscope/workspace';
import { type CircuitSummary, summarise } from '../circuit-summary.ts';

// The pages read the workspace and never write: results come from the command line.

let opened: Workspace | undefined;

function workspace(): Workspace {
  opened ??= openWorkspace(workspaceDir({ env: process.env, cwd: process.cwd() }));
  return opened;
}

/** Records never change under their hash, so what was parsed once stays true; parsing is what a list spends its time on. */
const MOST_KEPT = 256;
const parsed = new Map<Hash, Circuit>();

/** @throws CircuitscopeError `missing_artefact`, `invalid_record`, `corrupt_artefact` */
export async function readCircuit(hash: Hash): Promise<Circuit> {
  const known = parsed.get(hash);
  if (known) return known;
  const circuit = stored(
    hash,
    parseCircuit,
    'This workspace has no circuit of that hash; the list shows those that it has.',
  );
  const oldest = parsed.size >= MOST_KEPT ? parsed.keys().next().value : undefined;
  if (oldest) parsed.delete(oldest);
  parsed.set(hash, circuit);
  return circuit;
}

/** The task that a circuit was found on. @throws CircuitscopeError `no_task`, `missing_artefact` where the record or the workspace lacks it. */
export async function readTaskOf({ task }: Circuit): Promise<Task> {
  if (task?.hash === undefined) {
    throw new CircuitscopeError(
      'no_task',
      'This circuit does not say on which examples it was found, so nothing can be measured live; find it again.',
    );
  }
  const missing = `The examples of the task ${task.name} are not in this workspace; find the circuit again to bring them back.`;
  return stored(task.hash, parseTask, missing);
}

function stored<T>(hash: Hash, parse: (value: unknown) => Parsed<T>, missing: string): T {
  try {
    return getRecord(workspace(), hash, parse);
  } catch (cause) {
    if (!(cause instanceof CircuitscopeError) || cause.code !== 'missing_artefact') throw cause;
    throw new CircuitscopeError('missing_artefact', missing, { expected: hash, cause });
  }
}

export interface RunFacts {
  /** ISO 8601 */
  readonly startedAt: string;
  readonly wallTimeMs: number;
}

/** When a record was made last, as far as that was recorded. */
export async function readRunOf(hash: Hash): Promise<RunFacts | null> {
  const [run] = runsOf(workspace(), hash);
  return run ? { startedAt: run.startedAt, wallTimeMs: run.wallTimeMs } : null;
}

/** All records of a kind, the last made first, without those that cannot be read. */
export function listRecords<T>(
  kind: string,
  parse: (value: unknown) => Parsed<T>,
): {
  readonly records: readonly { readonly hash: Hash; readonly record: T; readonly madeAt: string | null }[];
  readonly unreadable: number;
  readonly folder: string;
} {
  const records: { hash: Hash; record: T; madeAt: string | null }[] = [];
  let unreadable = 0;
  for (const { hash, lastRunAt } of list(workspace(), { kind })) {
    try {
      records.push({ hash, record: getRecord(workspace(), hash, parse), madeAt: lastRunAt });
    } catch (error) {
      if (!(error instanceof CircuitscopeError)) throw error;
      unreadable += 1;
    }
  }
  return { records, unreadable, folder: workspace().dir };
}

/** The ledger of locked hypotheses with what came of each; a ledger or record that was changed is said to be so. */
export async function readHypotheses(): Promise<HypothesisList> {
  const folder = workspace().dir;
  const tests: LockedTest[] = [];
  try {
    const ledger = readLedger(workspace());
    const outcomes = new Map<Hash, { readonly at: string; readonly outcome: HypothesisOutcome }[]>();
    for (const { at, body } of ledger) {
      if (body.kind !== 'outcome') continue;
      const outcome = getRecord(workspace(), body.outcome, parseHypothesisOutcome);
      outcomes.set(body.lock, [...(outcomes.get(body.lock) ?? []), { at, outcome }]);
    }
    for (const entry of ledger) {
      if (entry.body.kind !== 'lock') continue;
      const lock = hashRecord(entry);
      const { hypothesis } = readLocked(workspace(), lock);
      tests.push({ index: entry.index, at: entry.at, lock, hypothesis, outcomes: outcomes.get(lock) ?? [] });
    }
    return { folder, entries: ledger.length, tests: tests.reverse(), tampered: null };
  } catch (error) {
    if (!(error instanceof CircuitscopeError)) throw error;
    return { folder, entries: 0, tests: tests.reverse(), tampered: error.message };
  }
}

export interface LockedTest {
  readonly index: number;
  /** ISO 8601, as the locking machine's clock said. */
  readonly at: string;
  readonly lock: Hash;
  readonly hypothesis: Hypothesis;
  readonly outcomes: readonly { readonly at: string; readonly outcome: HypothesisOutcome }[];
}

export interface HypothesisList {
  readonly folder: string;
  readonly entries: number;
  /** The last locked first. */
  readonly tests: readonly LockedTest[];
  /** What is wrong with the ledger, if anything is. */
  readonly tampered: string | null;
}

/** Where the models of circuits lay when they were found, each once. */
export function listModelSources(): readonly string[] {
  const { records } = listRecords('circuit', parseCircuit);
  return [...new Set(records.flatMap(({ record }) => record.model.source ?? []))];
}

export interface CircuitList {
  readonly circuits: readonly CircuitSummary[];
  /** Circuits that are listed but whose record cannot be read. */
  readonly unreadable: number;
  readonly folder: string;
}

/** All circuits, the last found first. */
export async function listCircuits(): Promise<CircuitList> {
  const circuits: CircuitSummary[] = [];
  let unreadable = 0;
  for (const { hash, lastRunAt } of list(workspace(), { kind: 'circuit' })) {
    try {
      circuits.push(summarise(hash, await readCircuit(hash), lastRunAt));
    } catch (error) {
      if (!(error instanceof CircuitscopeError)) throw error;
      unreadable += 1;
    }
  }
  return { circuits, unreadable, folder: workspace().dir };
}

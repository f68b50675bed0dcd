import { createHash } from 'node:crypto';
import {
  CircuitscopeError,
  canonicalJson,
  type Hash,
  Hypothesis,
  type HypothesisOutcome,
  LedgerEntry,
  mustParse,
} from '@circuitscope/schema';
import { checkHypothesis, type EstimateRange } from './hypothesis-check.ts';
import { TOOL_VERSION } from './versions.ts';

// A ledger is a list of entries, each naming the hash of the one before. Whoever changes a locked hypothesis, an entry or
// their order changes a hash that something later names. What a ledger cannot show alone: that its last entries were cut
// off, or that times are true; whoever needs that keeps a head hash elsewhere.

export type Ledger = readonly LedgerEntry[];

export interface LockedHypothesis {
  readonly hypothesis: Hypothesis;
  /** Hash of the entry that locked it. Confirmation data follow from it. */
  readonly lock: Hash;
  /** The ledger up to that entry and with it. */
  readonly ledger: Ledger;
}

/** sha256 of the canonical JSON: the identity of a hypothesis, an entry, an outcome. */
export function hashRecord(record: object): Hash {
  return `sha256:${createHash('sha256').update(canonicalJson(record)).digest('hex')}`;
}

/**
 * Fixes a hypothesis before its data exist. `at` is the caller's clock (ISO 8601, UTC).
 * @throws CircuitscopeError what `checkHypothesis` and `verifyLedger` throw
 */
export function lockHypothesis(
  hypothesis: Hypothesis,
  {
    at,
    ledger = [],
    ranges,
  }: { readonly at: string; readonly ledger?: Ledger; readonly ranges: ReadonlyMap<string, EstimateRange> },
): LockedHypothesis {
  const parsed = mustParse(Hypothesis, hypothesis, 'hypothesis');
  checkHypothesis(parsed, ranges);
  if (
    parsed.parent !== undefined &&
    !ledger.some((entry) => entry.body.kind === 'lock' && hashRecord(entry) === parsed.parent)
  ) {
    throw new CircuitscopeError(
      'unknown_parent',
      `${parsed.name} says that it revises ${parsed.parent}, which this ledger never locked.`,
      { at: 'parent', got: parsed.parent },
    );
  }
  const next = append(ledger, at, { kind: 'lock', hypothesis: hashRecord(parsed), name: parsed.name });
  return { hypothesis: parsed, lock: hashRecord(next[next.length - 1] as LedgerEntry), ledger: next };
}

/** The ledger with what came out; nothing is taken back, a failed test least of all. */
export function recordOutcome(ledger: Ledger, outcome: HypothesisOutcome, at: string): Ledger {
  requireLock(ledger, outcome.lock);
  return append(ledger, at, { kind: 'outcome', lock: outcome.lock, outcome: hashRecord(outcome) });
}

/** The ledger with something that went otherwise than locked, and why. */
export function recordDeviation(ledger: Ledger, lock: Hash, what: string, reason: string, at: string): Ledger {
  requireLock(ledger, lock);
  return append(ledger, at, { kind: 'deviation', lock, what, reason });
}

/**
 * The next version of a locked hypothesis: what is given replaces what was, the lock that it revises is named. It has
 * to be locked itself, and its confirmation data are others, as they follow from its own lock.
 * @throws CircuitscopeError `unchanged`
 */
export function reviseHypothesis(
  { hypothesis, lock }: LockedHypothesis,
  changes: Partial<Omit<Hypothesis, 'kind' | 'version' | 'revision' | 'parent'>>,
): Hypothesis {
  const revised = { ...hypothesis, ...changes };
  if (canonicalJson(revised) === canonicalJson(hypothesis))
    throw new CircuitscopeError(
      'unchanged',
      `The revision of ${hypothesis.name} changes nothing; test the locked one instead.`,
    );
  return mustParse(Hypothesis, { ...revised, revision: hypothesis.revision + 1, parent: lock }, 'hypothesis');
}

/**
 * Every entry names the hash of the one before and its own place, and no time runs backwards.
 * @throws CircuitscopeError `broken_ledger`, `invalid_record`
 */
export function verifyLedger(ledger: readonly unknown[]): Ledger {
  const entries = ledger.map((entry, at) => mustParse(LedgerEntry, entry, `ledger entry ${at}`));
  entries.forEach((entry, at) => {
    const before = entries[at - 1];
    const expected = before ? hashRecord(before) : undefined;
    const wrong =
      entry.index !== at
        ? `says it is number ${entry.index}`
        : entry.previous !== expected
          ? 'does not name the entry before it, so that one was changed, moved or removed'
          : before && Date.parse(entry.at) < Date.parse(before.at)
            ? `is dated before the entry that it follows (${entry.at} after ${before.at})`
            : null;
    if (wrong === null) return;
    throw new CircuitscopeError(
      'broken_ledger',
      `Entry ${at} of the ledger ${wrong}; the ledger proves nothing from here on.`,
      {
        at: `ledger[${at}]`,
        expected: expected ?? 'no previous entry',
        got: entry.previous ?? 'no previous entry',
      },
    );
  });
  return entries;
}

/**
 * That a hypothesis is the one that was locked: its hash stands in the entry, the entry's hash is the lock, the ledger is whole.
 * @throws CircuitscopeError `tampered_hypothesis`, `unknown_lock`, `broken_ledger`
 */
export function verifyLock({ hypothesis, lock, ledger }: LockedHypothesis): LedgerEntry {
  const entry = requireLock(verifyLedger(ledger), lock);
  const got = hashRecord(mustParse(Hypothesis, hypothesis, 'hypothesis'));
  if (entry.body.kind === 'lock' && entry.body.hypothesis === got) return entry;
  throw new CircuitscopeError(
    'tampered_hypothesis',
    `The hypothesis ${hypothesis.name} is not the one that was locked: its hash differs. Test the locked record, or revise it and lock the revision.`,
    { at: lock, expected: entry.body.kind === 'lock' ? entry.body.hypothesis : 'a lock', got },
  );
}

/** The seed of data that did not exist before the lock: 52 bits of sha256 over the lock and the stream's name. */
export function seedFromLock(lock: Hash, stream: string): number {
  return Number.parseInt(createHash('sha256').update(`${lock}/${stream}`).digest('hex').slice(0, 13), 16);
}

function append(ledger: Ledger, at: string, body: LedgerEntry['body']): Ledger {
  const entries = verifyLedger(ledger);
  const last = entries[entries.length - 1];
  const next = {
    kind: 'ledger_entry',
    version: 1,
    index: entries.length,
    ...(last ? { previous: hashRecord(last) } : {}),
    at,
    tool: 'circuitscope',
    toolVersion: TOOL_VERSION,
    body,
  };
  return verifyLedger([...entries, next]);
}

function requireLock(ledger: Ledger, lock: Hash): LedgerEntry {
  const entry = ledger.find((one) => one.body.kind === 'lock' && hashRecord(one) === lock);
  if (entry) return entry;
  throw new CircuitscopeError(
    'unknown_lock',
    `The ledger holds no lock ${lock}; a hypothesis is locked before it is tested.`,
    {
      got: lock,
    },
  );
}

import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  hashRecord,
  type Ledger,
  type LockedHypothesis,
  recordOutcome,
  verifyLedger,
  verifyLock,
} from '@circuitscope/core';
import {
  CircuitscopeError,
  canonicalJson,
  type Hash,
  type HypothesisOutcome,
  isHash,
  type LedgerEntry,
  parseHypothesis,
} from '@circuitscope/schema';
import { folders } from './folders.ts';
import { entriesOf } from './list-files.ts';
import { parseJson, readSmallFile } from './read-file.ts';
import { getRecord, putRecord } from './records.ts';
import type { Workspace } from './workspace.ts';
import { syncFolder, UNFINISHED, writeDurably } from './write-durably.ts';

// The ledger is a folder of numbered files, each naming the hash of the one before. An entry is written once, under a
// name that must be free, so two processes cannot both write number 7; nothing here changes or removes one.

/**
 * The whole ledger, verified.
 * @throws CircuitscopeError `broken_ledger` where an entry was changed, moved or removed, `bad_artefact`, `invalid_record`
 */
export function readLedger({ dir }: Workspace): Ledger {
  return verifyLedger(filesOf(dir).map((path) => parseJson(readSmallFile(path), path)));
}

/**
 * Appends the entries by which `ledger` is longer than what is stored.
 * @throws CircuitscopeError `ledger_moved` where what is stored is not the beginning of it: read it again and lock anew
 */
export function extendLedger(workspace: Workspace, ledger: Ledger): void {
  const wanted = verifyLedger(ledger);
  const stored = readLedger(workspace);
  const last = stored[stored.length - 1];
  const there = wanted[stored.length - 1];
  if (last && (!there || hashRecord(there) !== hashRecord(last))) throw moved(stored.length - 1);
  for (const entry of wanted.slice(stored.length)) writeEntry(workspace.dir, entry);
}

/** Keeps a locked hypothesis and its entry; after that it can be tested. @throws CircuitscopeError what `verifyLock` and `extendLedger` throw */
export function storeLocked(workspace: Workspace, locked: LockedHypothesis): Hash {
  verifyLock(locked);
  // The record first: an entry must never name what is not there.
  const { hash } = putRecord(workspace, locked.hypothesis, { keep: true });
  extendLedger(workspace, locked.ledger);
  return hash;
}

/** Keeps what came out of a test, whichever way it went, and enters it. */
export function storeOutcome(workspace: Workspace, outcome: HypothesisOutcome, at: string): Hash {
  const ledger = recordOutcome(readLedger(workspace), outcome, at);
  const { hash } = putRecord(workspace, outcome, { keep: true });
  extendLedger(workspace, ledger);
  return hash;
}

/**
 * A hypothesis as it was locked, with the ledger as it is now.
 * @throws CircuitscopeError `unknown_lock`, `tampered_hypothesis`, `corrupt_artefact`, `broken_ledger`
 */
export function readLocked(workspace: Workspace, lock: Hash): LockedHypothesis {
  const ledger = readLedger(workspace);
  const entry = ledger.find((one) => hashRecord(one) === lock);
  if (entry?.body.kind !== 'lock') {
    throw new CircuitscopeError('unknown_lock', `The ledger of ${workspace.dir} holds no lock ${lock}.`, { got: lock });
  }
  const locked = { hypothesis: getRecord(workspace, entry.body.hypothesis, parseHypothesis), lock, ledger };
  verifyLock(locked);
  return locked;
}

/** Artefacts that entries name; read as text, so that also a damaged ledger spares them. */
export function ledgerHashes(dir: string): readonly Hash[] {
  return filesOf(dir).flatMap((path) =>
    [...new TextDecoder().decode(readSmallFile(path)).matchAll(/sha256:[0-9a-f]{64}/g)]
      .map(([hash]) => hash)
      .filter(isHash),
  );
}

function filesOf(dir: string): readonly string[] {
  const root = join(dir, folders.ledger);
  return entriesOf(root)
    .filter((entry) => entry.isFile() && /^\d{8}\.json$/.test(entry.name))
    .map(({ name }) => join(root, name));
}

function writeEntry(dir: string, entry: LedgerEntry): void {
  const path = join(dir, folders.ledger, `${String(entry.index).padStart(8, '0')}.json`);
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${randomBytes(6).toString('hex')}${UNFINISHED}`;
  writeDurably(draft, new TextEncoder().encode(canonicalJson(entry)));
  try {
    // A link, as renaming would replace an entry that another process has written meanwhile.
    linkSync(draft, path);
    syncFolder(dirname(path));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') throw moved(entry.index);
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function moved(index: number): CircuitscopeError {
  return new CircuitscopeError(
    'ledger_moved',
    `Another process wrote entry ${index} of the ledger meanwhile; read the ledger again and lock anew.`,
    { at: `ledger[${index}]` },
  );
}

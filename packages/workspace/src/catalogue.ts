import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Hash } from '@circuitscope/schema';
import { type ArtefactFacts, factsOfArtefact, readAction, readRun } from './facts.ts';
import { listFiles } from './list-files.ts';

// An index over the files. Every column follows from a file alone, so a rebuilt catalogue has the same rows.

const VERSION = 1;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS artefacts (hash TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT, bytes INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS actions (action_key TEXT PRIMARY KEY, content_digest TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS kept (hash TEXT PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS runs (
    hash TEXT PRIMARY KEY, action_key TEXT NOT NULL, content_digest TEXT NOT NULL, started_at TEXT NOT NULL, wall_time_ms REAL NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS artefacts_by_kind ON artefacts (kind);
  CREATE INDEX IF NOT EXISTS actions_by_result ON actions (content_digest);
  CREATE INDEX IF NOT EXISTS runs_by_result ON runs (content_digest, started_at);
`;

export const catalogueFile = 'catalogue.sqlite';

/** Opens the index of a workspace; one that is new, damaged or of another version is made from the files. */
export function openCatalogue(dir: string): DatabaseSync {
  const path = join(dir, catalogueFile);
  let opened: { readonly db: DatabaseSync; readonly fresh: boolean };
  try {
    opened = connect(path);
  } catch (error) {
    if (!isDamage(error)) throw error;
    for (const ending of ['', '-wal', '-shm']) rmSync(`${path}${ending}`, { force: true });
    opened = connect(path);
  }
  if (opened.fresh) rebuildCatalogue(dir, opened.db);
  return opened.db;
}

/** Makes all rows again from the files, in one transaction: others see the old rows or the new ones. */
export function rebuildCatalogue(
  dir: string,
  db: DatabaseSync,
): { readonly artefacts: number; readonly unreadable: readonly string[] } {
  const unreadable: string[] = [];
  let artefacts = 0;
  const guarded = (path: string, work: () => void): void => {
    try {
      work();
    } catch {
      unreadable.push(path);
    }
  };
  transaction(db, () => {
    db.exec('DELETE FROM artefacts; DELETE FROM actions; DELETE FROM kept; DELETE FROM runs;');
    for (const { path, hash, ending } of listFiles(dir, 'artefacts')) {
      guarded(path, () => {
        addArtefact(db, hash, factsOfArtefact(path, hash, ending));
        artefacts += 1;
      });
    }
    for (const { path, hash } of listFiles(dir, 'actions'))
      guarded(path, () => addAction(db, hash, readAction(path, hash)));
    for (const { hash } of listFiles(dir, 'kept')) addKept(db, hash);
    for (const { path, hash } of listFiles(dir, 'runs')) guarded(path, () => addRun(db, hash, readRun(path, hash)));
    db.exec(`PRAGMA user_version = ${VERSION}`);
  });
  return { artefacts, unreadable };
}

export function addArtefact(db: DatabaseSync, hash: Hash, { kind, name, bytes }: ArtefactFacts): void {
  db.prepare('INSERT OR REPLACE INTO artefacts (hash, kind, name, bytes) VALUES (?, ?, ?, ?)').run(
    hash,
    kind,
    name,
    bytes,
  );
}

export function addAction(db: DatabaseSync, key: Hash, digest: Hash): void {
  db.prepare('INSERT OR REPLACE INTO actions (action_key, content_digest) VALUES (?, ?)').run(key, digest);
}

export function addKept(db: DatabaseSync, hash: Hash): void {
  db.prepare('INSERT OR REPLACE INTO kept (hash) VALUES (?)').run(hash);
}

export function addRun(db: DatabaseSync, hash: Hash, run: ReturnType<typeof readRun>): void {
  const { actionKey, contentDigest, startedAt, wallTimeMs } = run;
  const insert =
    'INSERT OR REPLACE INTO runs (hash, action_key, content_digest, started_at, wall_time_ms) VALUES (?, ?, ?, ?, ?)';
  db.prepare(insert).run(hash, actionKey, contentDigest, startedAt, wallTimeMs);
}

export function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}

function connect(path: string): { readonly db: DatabaseSync; readonly fresh: boolean } {
  // Other processes may hold the lock for as long as one rebuild takes.
  const db = new DatabaseSync(path, { timeout: 30_000 });
  try {
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    const version = versionOf(db);
    if (version !== 0 && version !== VERSION)
      db.exec(
        'DROP TABLE IF EXISTS artefacts; DROP TABLE IF EXISTS actions; DROP TABLE IF EXISTS kept; DROP TABLE IF EXISTS runs;',
      );
    db.exec(SCHEMA);
    return { db, fresh: version !== VERSION };
  } catch (error) {
    db.close();
    throw error;
  }
}

function versionOf(db: DatabaseSync): number {
  const row = db.prepare('PRAGMA user_version').get();
  return Number(row?.user_version ?? 0);
}

/** SQLITE_CORRUPT and SQLITE_NOTADB; runtimes word the code differently, the texts are SQLite's own. */
function isDamage(error: unknown): boolean {
  return error instanceof Error && /malformed|not a database|corrupt/i.test(error.message);
}

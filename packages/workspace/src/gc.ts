import { lstatSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CircuitscopeError, type Hash, isHash } from '@circuitscope/schema';
import { rebuildCatalogue } from './catalogue.ts';
import { readAction, readRun } from './facts.ts';
import { folders } from './folders.ts';
import { ledgerHashes } from './ledger.ts';
import { entriesOf, type FoundFile, listFiles } from './list-files.ts';
import { readSmallFile } from './read-file.ts';
import type { Workspace } from './workspace.ts';
import { UNFINISHED } from './write-durably.ts';

export interface GcOptions {
  /** Spare these and what they refer to, and nothing else. Without it, all results of actions and all that is kept. */
  readonly keep?: readonly Hash[];
  /** Say what would go, remove nothing. */
  readonly dryRun?: boolean;
  /** Files younger than this stay: another process may be about to refer to them. One hour if left out. */
  readonly graceMs?: number;
}

export interface Removed {
  readonly path: string;
  readonly bytes: number;
}

const HOUR = 3_600_000;

/**
 * Removes artefacts that nothing needs: those which no root names, nor the ledger, nor any record that these lead to. Then actions and runs
 * whose result is gone, and files that a killed process left unfinished. A record that cannot be read stops it, since what
 * that record refers to is not known.
 *
 * @throws CircuitscopeError `missing_artefact` if a hash to keep is not there, `bad_artefact`
 */
export function gc({ dir, catalogue }: Workspace, options: GcOptions = {}): Removed[] {
  const { keep, dryRun = false, graceMs = HOUR } = options;
  const artefacts = listFiles(dir, 'artefacts');
  const roots = keep ?? [
    ...listFiles(dir, 'actions').map(({ path, hash }) => readAction(path, hash)),
    ...listFiles(dir, 'kept').map(({ hash }) => hash),
  ];
  // What was locked, and what came of it, stays whatever else goes: a ledger without its records proves nothing.
  const needed = reachable(artefacts, roots, keep !== undefined, ledgerHashes(dir));
  const lost = (hash: Hash) => !needed.has(hash);
  const old = (path: string) => isOld(path, graceMs);
  const doomed = [
    ...artefacts.filter(({ path, hash }) => lost(hash) && old(path)).map(({ path }) => path),
    ...listFiles(dir, 'actions')
      .filter(({ path, hash }) => lost(readAction(path, hash)) && old(path))
      .map(({ path }) => path),
    ...listFiles(dir, 'kept')
      .filter(({ path, hash }) => lost(hash) && old(path))
      .map(({ path }) => path),
    ...listFiles(dir, 'runs')
      .filter(({ path, hash }) => lost(readRun(path, hash).contentDigest) && old(path))
      .map(({ path }) => path),
    ...unfinished(dir).filter(old),
  ];
  const removed = doomed.map((path) => ({ path, bytes: lstatSync(path, { throwIfNoEntry: false })?.size ?? 0 }));
  if (dryRun) return removed;
  // Names before what they lead to: whoever comes in between finds no answer rather than a broken one.
  // Ages are asked once more, as somebody may have come to need a file since.
  for (const { path } of removed.toReversed()) if (old(path)) rmSync(path, { force: true });
  rebuildCatalogue(dir, catalogue);
  return removed;
}

/** Everything that the roots lead to: a record refers to another artefact by writing its hash anywhere inside. */
function reachable(
  artefacts: readonly FoundFile[],
  roots: readonly Hash[],
  strict: boolean,
  recorded: readonly Hash[],
): Set<Hash> {
  const files = new Map<Hash, FoundFile[]>();
  for (const file of artefacts) files.set(file.hash, [...(files.get(file.hash) ?? []), file]);
  const missing = strict ? roots.find((hash) => !files.has(hash)) : undefined;
  if (missing !== undefined) {
    throw new CircuitscopeError(
      'missing_artefact',
      `${missing} is to be kept but is not in the workspace; check the hash.`,
      { got: missing },
    );
  }
  const needed = new Set<Hash>();
  const pending = [...roots, ...recorded];
  for (let hash = pending.pop(); hash !== undefined; hash = pending.pop()) {
    if (needed.has(hash)) continue;
    needed.add(hash);
    for (const { path, ending } of files.get(hash) ?? []) if (ending === '.json') pending.push(...hashesIn(path));
  }
  return needed;
}

/** Also of a damaged record: its references are text, and sparing too much is the safe mistake. */
function hashesIn(path: string): Hash[] {
  const text = new TextDecoder().decode(readSmallFile(path));
  return [...text.matchAll(/sha256:[0-9a-f]{64}/g)].map(([hash]) => hash).filter(isHash);
}

function unfinished(dir: string): string[] {
  return Object.values(folders).flatMap((folder) => {
    const root = join(dir, folder);
    const shelves = entriesOf(root)
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(root, name));
    return [root, ...shelves].flatMap((place) =>
      entriesOf(place)
        .filter((entry) => entry.isFile() && entry.name.endsWith(UNFINISHED))
        .map(({ name }) => join(place, name)),
    );
  });
}

function isOld(path: string, graceMs: number): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found !== undefined && Date.now() - found.mtimeMs >= graceMs;
}

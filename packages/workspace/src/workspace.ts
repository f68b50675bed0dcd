import { mkdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { CircuitscopeError } from '@circuitscope/schema';
import { openCatalogue } from './catalogue.ts';
import { folders } from './folders.ts';

/** A folder of results. The files are the truth; the catalogue is an index over them that can be made again. */
export interface Workspace {
  /** Absolute. */
  readonly dir: string;
  readonly catalogue: DatabaseSync;
}

export interface WorkspaceLocation {
  /** What the user named; wins over the environment. */
  readonly dir?: string | undefined;
  readonly env: { readonly [name: string]: string | undefined };
  readonly cwd: string;
}

/** The folder that is meant: the one named, else $CIRCUITSCOPE_WORKSPACE, else `.circuitscope` where the user stands. */
export function workspaceDir({ dir, env, cwd }: WorkspaceLocation): string {
  return resolve(cwd, dir || env.CIRCUITSCOPE_WORKSPACE || '.circuitscope');
}

/**
 * Opens a workspace, and makes it if it is not there. A catalogue that is missing, damaged or of another version is made
 * again from the files.
 *
 * @throws CircuitscopeError `bad_workspace` where the folder cannot be one.
 */
export function openWorkspace(dir: string): Workspace {
  const root = resolve(dir);
  try {
    for (const folder of Object.values(folders)) mkdirSync(join(root, folder), { recursive: true });
    if (!statSync(root).isDirectory()) throw new Error('not a folder');
  } catch (cause) {
    throw new CircuitscopeError(
      'bad_workspace',
      `${root} cannot hold a workspace; name a folder that you can write to.`,
      { at: root, cause },
    );
  }
  return { dir: root, catalogue: openCatalogue(root) };
}

/** Closes the catalogue. The value is of no use after that. */
export function closeWorkspace({ catalogue }: Workspace): void {
  catalogue.close();
}

import { existsSync } from 'node:fs';
import { CircuitscopeError } from '@circuitscope/schema';
import { closeWorkspace, openWorkspace, type Workspace, workspaceDir } from '@circuitscope/workspace';
import type { Io } from './io.ts';

/** Works with the workspace that `--workspace` or the environment means, making it if need be, and closes it after. */
export async function withWorkspace<T>(
  options: { readonly workspace: string | undefined },
  io: Io,
  work: (workspace: Workspace) => T | Promise<T>,
): Promise<T> {
  const workspace = openWorkspace(workspaceDir({ dir: options.workspace, env: io.env, cwd: io.cwd }));
  try {
    return await work(workspace);
  } finally {
    closeWorkspace(workspace);
  }
}

/** As `withWorkspace`, for commands that look at results: a folder that is not there is a mistake, not a new workspace. */
export function withExistingWorkspace<T>(
  options: { readonly workspace: string | undefined },
  io: Io,
  work: (workspace: Workspace) => T | Promise<T>,
): Promise<T> {
  const dir = workspaceDir({ dir: options.workspace, env: io.env, cwd: io.cwd });
  if (existsSync(dir)) return withWorkspace(options, io, work);
  throw new CircuitscopeError(
    'missing_workspace',
    `There is no workspace at ${dir}; name one with --workspace DIR, or compute something first.`,
    { at: dir },
  );
}

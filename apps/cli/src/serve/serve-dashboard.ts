import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { workspaceDir } from '@circuitscope/workspace';
import type { Io } from '../io.ts';
import { note, print } from '../output/index.ts';
import { freePort } from './free-port.ts';
import { startServer } from './start-server.ts';

export const FIRST_PORT = 4173;

export interface DashboardOptions {
  readonly host?: string;
  readonly port: number | undefined;
  readonly workspace: string | undefined;
  readonly json: boolean;
  /** Folder with trainings; must exist. */
  readonly training?: string | undefined;
}

/** Serves the dashboard over the workspace until the signal aborts; prints the URL of `page` once it listens. */
export async function serveDashboard(
  { host = '127.0.0.1', port: wanted, workspace: named, json, training }: DashboardOptions,
  io: Io,
  page = '',
): Promise<void> {
  const entry = io.env.CIRCUITSCOPE_DASHBOARD ?? join(import.meta.dirname, '../../../web/build/index.js');
  if (!existsSync(entry)) {
    throw new CircuitscopeError(
      'missing_dashboard',
      'The dashboard is not built; run `npm run demo` once, or `npm run setup`.',
      { at: entry },
    );
  }
  const trainings = training === undefined ? undefined : resolve(io.cwd, training);
  if (trainings !== undefined && !existsSync(trainings)) {
    throw new CircuitscopeError('missing_folder', `${training} does not exist; train something into it first.`, {
      at: '--training',
      got: trainings,
    });
  }
  const port = await freePort(host, wanted ?? FIRST_PORT, wanted === undefined ? 20 : 1);
  const workspace = workspaceDir({ dir: named, env: io.env, cwd: io.cwd });
  const server = await startServer({
    entry,
    host,
    port,
    env: {
      ...io.env,
      CIRCUITSCOPE_WORKSPACE: workspace,
      ...(trainings === undefined ? {} : { CIRCUITSCOPE_TRAINING: trainings }),
    },
    signal: io.signal,
    log: (line) => io.stderr.write(line),
  });
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}${page}`;
  print(io, { json }, { kind: 'serving', version: 1, url, workspace }, () => `${url}\n`);
  if (io.stderr.isTerminal) note(io, `Showing ${workspace}; Ctrl-C ends it.`);
  await server.ended;
}

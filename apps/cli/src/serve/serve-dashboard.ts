import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { workspaceDir } from '@circuitscope/workspace';
import { modelSource } from '../examine/model-source.ts';
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
  /** Paths, which must exist, and `zoo:NAME`. */
  readonly models?: readonly string[] | undefined;
  /** Folder with files of benchmark results; must exist. */
  readonly bench?: string | undefined;
}

/** Serves the dashboard over the workspace until the signal aborts; prints the URL of `page` once it listens. */
export async function serveDashboard(
  { host = '127.0.0.1', port: wanted, workspace: named, json, training, bench, models: asked = [] }: DashboardOptions,
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
  const trainings = folderOf('--training', training, 'train something into it first', io);
  const benches = folderOf('--bench', bench, 'measure something into it with bench kernels --out first', io);
  const models = asked.map((given) => modelSource(given, io));
  const missing = models.findIndex((source) => !source.startsWith('zoo:') && !existsSync(source));
  if (missing >= 0) {
    throw new CircuitscopeError('missing_file', `${asked[missing]} does not exist.`, {
      at: '--model',
      got: models[missing] ?? '',
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
      ...(models.length === 0 ? {} : { CIRCUITSCOPE_MODELS: models.join('\n') }),
      ...(trainings === undefined ? {} : { CIRCUITSCOPE_TRAINING: trainings }),
      ...(benches === undefined ? {} : { CIRCUITSCOPE_BENCH: benches }),
    },
    signal: io.signal,
    log: (line) => io.stderr.write(line),
  });
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}${page}`;
  print(io, { json }, { kind: 'serving', version: 1, url, workspace }, () => `${url}\n`);
  if (io.stderr.isTerminal) note(io, `Showing ${workspace}; Ctrl-C ends it.`);
  await server.ended;
}

function folderOf(option: string, given: string | undefined, advice: string, io: Io): string | undefined {
  if (given === undefined) return undefined;
  const folder = resolve(io.cwd, given);
  if (existsSync(folder)) return folder;
  throw new CircuitscopeError('missing_folder', `${given} does not exist; ${advice}.`, { at: option, got: folder });
}

import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';

export interface Served {
  readonly url: string;
  readonly port: number;
  /** Ends the server, and waits until it has. */
  readonly stop: () => Promise<void>;
  /** What it wrote. */
  readonly said: () => string;
}

/** Starts the built pages over a workspace, on a free port, and waits until they answer. */
export async function serve(workspace: string, env: NodeJS.ProcessEnv = {}): Promise<Served> {
  const port = await freePort();
  const { HOST: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [join(import.meta.dirname, '../build/index.js')], {
    env: { ...inherited, PORT: String(port), CIRCUITSCOPE_WORKSPACE: workspace, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      said += text;
    });
  }
  const url = `http://127.0.0.1:${port}`;
  for (let attempt = 0; ; attempt++) {
    if (child.exitCode !== null || attempt > 300) {
      await end(child);
      throw new Error(`the pages did not start:\n${said.slice(-4000)}`);
    }
    if (
      await fetch(`${url}/api/health`).then(
        (response) => response.ok,
        () => false,
      )
    )
      break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { url, port, stop: () => end(child), said: () => said };
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.on('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

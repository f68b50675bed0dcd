import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { CircuitscopeError } from '@circuitscope/schema';

export interface StartServer {
  /** The script that serves; it reads HOST and PORT. */
  readonly entry: string;
  readonly host: string;
  readonly port: number;
  readonly env: { readonly [name: string]: string | undefined };
  /** Ends the server. */
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
}

const PATIENCE_MS = 20_000;

/** Starts the server as a process of its own and waits until it listens. `ended` resolves when it has gone. */
export async function startServer({
  entry,
  host,
  port,
  env,
  signal,
  log,
}: StartServer): Promise<{ readonly ended: Promise<void> }> {
  signal.throwIfAborted();
  const child = spawn(process.execPath, [entry], {
    env: { ...env, HOST: host, PORT: String(port), ORIGIN: undefined },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let listening = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      // What it says while it starts is told only if it fails to.
      if (listening) log(text);
      else said = (said + text).slice(-4000);
    });
  }
  let code: number | string | null = null;
  const gone = new Promise<void>((resolve) => {
    child.on('error', (error) => {
      code = error.message;
      resolve();
    });
    child.on('close', (status, by) => {
      code ??= status ?? by;
      resolve();
    });
  });
  const stop = (): void => {
    child.kill('SIGTERM');
    // A server that waits for open connections is not waited for.
    setTimeout(() => child.kill('SIGKILL'), 3000).unref();
  };
  signal.addEventListener('abort', stop, { once: true });
  const failed = (): CircuitscopeError =>
    new CircuitscopeError(
      'server_ended',
      `The dashboard ended by itself (${code}): ${said.trim().split('\n').at(-1) ?? ''}`,
      { at: entry, got: String(code) },
    );

  const start = performance.now();
  while (code === null && !(await answers(host, port))) {
    if (performance.now() - start > PATIENCE_MS) {
      stop();
      throw new CircuitscopeError(
        'server_silent',
        `The dashboard did not listen on port ${port} within ${PATIENCE_MS / 1000} s.`,
        { at: entry },
      );
    }
    await pause(50);
  }
  if (code !== null) {
    signal.throwIfAborted();
    throw failed();
  }
  listening = true;
  const ended = gone.then(() => {
    signal.removeEventListener('abort', stop);
    if (!signal.aborted) throw failed();
  });
  return { ended };
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

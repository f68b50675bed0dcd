import type { Io, Sink } from './io.ts';

export interface ProcessIo {
  readonly io: Io;
  /** Resolves when everything written has left; a process that exits earlier cuts off what a pipe has not taken yet. */
  readonly flush: () => Promise<void>;
}

/** Exit code of a process that a signal ends: 128 and the signal's number. */
const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** The io of this process. The first signal cancels, a second one ends at once. */
export function processIo(): ProcessIo {
  const controller = new AbortController();
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(codes[signal]);
      controller.abort(new Cancelled(codes[signal]));
    });
  }
  const stdout = sinkOf(process.stdout);
  const stderr = sinkOf(process.stderr);
  return {
    io: { stdout: stdout.sink, stderr: stderr.sink, env: process.env, cwd: process.cwd(), signal: controller.signal },
    flush: async () => {
      await Promise.all([stdout.flush(), stderr.flush()]);
    },
  };
}

/** Why work stopped when the user asked for it. */
export class Cancelled extends Error {
  override readonly name = 'AbortError';
  readonly exitCode: number;

  constructor(exitCode = 130) {
    super('cancelled');
    this.exitCode = exitCode;
  }
}

function sinkOf(stream: NodeJS.WriteStream): { readonly sink: Sink; readonly flush: () => Promise<void> } {
  let pending: Promise<unknown> = Promise.resolve();
  // `circuitscope … | head` closes the pipe early; nobody reads on, so there is nothing left to say.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const write = (text: string | Uint8Array): void => {
    const written = new Promise<void>((resolve) => {
      stream.write(text, () => resolve());
    });
    pending = Promise.all([pending, written]);
  };
  const columns = (stream.isTTY && stream.columns) || 80;
  return {
    sink: { write, isTerminal: stream.isTTY === true, columns },
    flush: async () => {
      await pending;
    },
  };
}

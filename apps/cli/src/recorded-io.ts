import { tree } from './commands/index.ts';
import type { Io, Sink } from './io.ts';
import { runCli } from './run-cli.ts';

// For tests alone: a command line against a world that remembers what was written.

export interface Recorded {
  readonly io: Io;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly bytes: () => Uint8Array;
}

export interface RecordedOptions {
  readonly terminal?: boolean;
  readonly env?: Io['env'];
  readonly cwd?: string;
  readonly signal?: AbortSignal;
}

export function recordedIo({
  terminal = false,
  env = {},
  cwd = '/',
  signal = new AbortController().signal,
}: RecordedOptions = {}): Recorded {
  const sink = (): { readonly sink: Sink; readonly bytes: () => Uint8Array } => {
    const pieces: Uint8Array[] = [];
    const write = (text: string | Uint8Array): void => {
      pieces.push(typeof text === 'string' ? new TextEncoder().encode(text) : text.slice());
    };
    return { sink: { write, isTerminal: terminal, columns: 80 }, bytes: () => new Uint8Array(Buffer.concat(pieces)) };
  };
  const [out, err] = [sink(), sink()];
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return {
    io: { stdout: out.sink, stderr: err.sink, env, cwd, signal },
    stdout: () => text(out.bytes()),
    stderr: () => text(err.bytes()),
    bytes: out.bytes,
  };
}

/** Runs `circuitscope …words` in this process. */
export async function circuitscope(words: readonly string[], options: RecordedOptions = {}) {
  const { io, stdout, stderr, bytes } = recordedIo(options);
  const code = await runCli({ tree, version: '1.2.3' }, words, io);
  return { code, stdout: stdout(), stderr: stderr(), bytes: bytes() };
}

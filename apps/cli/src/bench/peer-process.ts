import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { CircuitscopeError } from '@circuitscope/schema';

/** What a peer says, line by line; `benchmarks/peers/kernels.py` says what each means. */
export interface Answer {
  readonly error?: string;
  readonly version?: string;
  readonly settings?: { readonly [name: string]: string };
  readonly prepared?: boolean;
  /** Outputs that it can only give rounded to this. */
  readonly output?: 'bf16';
  readonly ns?: readonly number[];
  readonly values?: readonly string[];
  readonly indices?: readonly string[];
}

export interface PeerProcess {
  readonly ask: (question: object) => Promise<Answer>;
  readonly stop: () => void;
}

export interface PeerCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** The end of what it says on its own account is all that is kept. */
const MOST_SAID = 400;

/** Starts a program that answers one line of JSON for each that it is given, in order. */
export function startPeer(name: string, { program, args, env }: PeerCommand, signal: AbortSignal): PeerProcess {
  const child = spawn(program, [...args], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const waiting: { readonly resolve: (answer: Answer) => void; readonly reject: (error: Error) => void }[] = [];
  let said = '';
  let ended: string | null = null;
  const failed = (reason: string): CircuitscopeError =>
    new CircuitscopeError('peer_failed', `${name}, run by ${program}, ${reason}.`, { at: name });
  const end = (reason: string): void => {
    ended ??= reason;
    for (const { reject } of waiting.splice(0)) reject(failed(ended));
  };
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    said = (said + text).slice(-MOST_SAID);
  });
  child.on('error', (error) => end(`could not be started: ${error.message}`));
  child.on('close', (code) => {
    const last = said.trim().split('\n').at(-1) ?? '';
    end(`ended with code ${code}${last === '' ? '' : `: ${last.replace(/\.$/, '')}`}`);
  });
  // What it could not be told, its end will explain.
  child.stdin.on('error', () => {});
  createInterface({ input: child.stdout }).on('line', (line) => {
    const next = waiting.shift();
    if (!next) return;
    try {
      const answer: Answer = JSON.parse(line);
      if (answer.error === undefined) next.resolve(answer);
      else next.reject(failed(`said: ${answer.error}`));
    } catch {
      next.reject(failed(`gave what is no JSON: ${line.slice(0, 80)}`));
    }
  });
  const stop = (): void => {
    signal.removeEventListener('abort', stop);
    if (ended === null) child.kill();
  };
  signal.addEventListener('abort', stop, { once: true });
  return {
    ask: (question) =>
      new Promise((resolve, reject) => {
        if (ended !== null) {
          reject(failed(ended));
          return;
        }
        waiting.push({ resolve, reject });
        child.stdin.write(`${JSON.stringify(question)}\n`);
      }),
    stop,
  };
}

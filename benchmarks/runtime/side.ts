import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Values } from './answer.ts';

export interface Answer {
  readonly ms: number;
  /** Of all threads; unknown where a whole process was timed. */
  readonly cpuMs?: number;
  readonly peakRssBytes: number;
  readonly values: Values;
  readonly multiplyAdds?: number;
  /** Of a whole forward pass for every index. */
  readonly dense?: number;
  readonly keptBytes?: number;
}

export interface Ask {
  readonly part: number;
  readonly parts: number;
  readonly way?: string;
}

/** A program that answers, in a process of its own. */
export interface Side {
  readonly version: string;
  readonly torch: string | null;
  readonly sites: readonly string[];
  readonly ask: (what: Ask) => Promise<Answer>;
  readonly stop: () => void;
}

export interface Start {
  readonly command: readonly [program: string, ...args: readonly string[]];
  readonly request: object;
}

/** Its own choice of threads: variables of BLAS libraries would bind it. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/_NUM_THREADS$/.test(name)));
}

function start({ command, request }: Start, options: { readonly input: 'pipe' | 'ignore' }) {
  const [program, ...args] = command;
  const child: ChildProcess = spawn(program, [...args, JSON.stringify(request)], {
    env: environment(),
    stdio: [options.input, 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said = `${said}${chunk}`.slice(-4000);
  });
  if (!child.stdout) throw new Error(`${program} has no output`);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    const line = await Promise.race([lines.next(), failed]);
    if (line.done) throw new Error(`${command.join(' ')} ended without an answer:\n${said}`);
    return JSON.parse(line.value);
  };
  return { child, next };
}

/** Starts a side and waits until it is ready. */
export async function startSide(of: Start): Promise<Side> {
  const { child, next } = start(of, { input: 'pipe' });
  const { version, torch = null, sites = [] } = await next();
  return {
    version,
    torch,
    sites,
    ask: async (what) => {
      child.stdin?.write(`${JSON.stringify(what)}\n`);
      return next();
    },
    stop: () => child.stdin?.end(),
  };
}

/** A process from its start to its answer. */
export async function timeStart(of: Start): Promise<Answer & { readonly version: string; readonly torch?: string }> {
  const began = performance.now();
  const { child, next } = start(of, { input: 'ignore' });
  const answer = await next();
  const ms = performance.now() - began;
  await new Promise((resolve) => (child.exitCode === null ? child.once('exit', resolve) : resolve(null)));
  return { ...answer, ms };
}

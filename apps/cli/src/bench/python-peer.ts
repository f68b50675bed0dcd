import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Contender, type OutputRow, steeringVariables } from '@circuitscope/core/bench';
import { CircuitscopeError } from '@circuitscope/schema';
import type { Io } from '../io.ts';

export const pythonPeers = ['numpy', 'torch', 'torch-onednn'] as const;
export type PythonPeer = (typeof pythonPeers)[number];

type Family = Parameters<Contender['plays']>[0]['family'];

const families: { readonly [peer in PythonPeer]: readonly Family[] } = {
  numpy: ['matmul', 'project', 'softmax', 'layer_norm'],
  torch: ['matmul', 'project', 'attention', 'softmax', 'layer_norm', 'conv2d', 'cross_entropy_grad'],
  'torch-onednn': ['matmul'],
};

/** It lies in a checkout, not in a compiled program. */
const script = join(import.meta.dirname, '../../../../benchmarks/peers/kernels.py');

interface Answer {
  readonly error?: string;
  readonly version?: string;
  readonly settings?: { readonly [name: string]: string };
  readonly prepared?: boolean;
  readonly ns?: readonly number[];
  readonly values?: readonly string[];
  readonly indices?: readonly string[];
}

interface Worker {
  readonly ask: (question: object) => Promise<Answer>;
  readonly stop: () => void;
}

/**
 * The strongest configuration: nothing inherited that pins a slower kernel or a number of threads, as many threads as we
 * have, and threads that sleep when they have nothing to do, since others take turns with them.
 */
function environment(env: Io['env'], threads: number): NodeJS.ProcessEnv {
  const steering = new Set(Object.keys(steeringVariables(env)));
  const count = String(threads);
  return {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => !steering.has(name))),
    OMP_NUM_THREADS: count,
    MKL_NUM_THREADS: count,
    OPENBLAS_NUM_THREADS: count,
    OMP_WAIT_POLICY: 'PASSIVE',
    KMP_BLOCKTIME: '0',
    OPENBLAS_THREAD_TIMEOUT: '4',
  };
}

function startWorker(python: string, peer: PythonPeer, threads: number, io: Io): Worker {
  const child = spawn(python, [script, peer, String(threads)], {
    env: environment(io.env, threads),
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const waiting: { readonly resolve: (answer: Answer) => void; readonly reject: (error: Error) => void }[] = [];
  const fail = (reason: string): void => {
    for (const { reject } of waiting.splice(0))
      reject(new CircuitscopeError('peer_failed', `${peer} in ${python} ${reason}.`, { at: peer }));
  };
  let ended = false;
  const end = (reason: string): void => {
    ended = true;
    fail(reason);
  };
  child.on('error', (error) => end(`could not be started: ${error.message}`));
  child.on('exit', (code) => end(`ended with code ${code}; it may lack the library`));
  child.stdin.on('error', () => end('no longer listens'));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const next = waiting.shift();
    if (!next) return;
    const answer: Answer = JSON.parse(line);
    if (answer.error === undefined) next.resolve(answer);
    else next.reject(new CircuitscopeError('peer_failed', `${peer}: ${answer.error}`, { at: peer }));
  });
  const stop = (): void => {
    if (!ended) child.kill();
  };
  io.signal.addEventListener('abort', stop, { once: true });
  return {
    ask: (question) =>
      new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        if (ended) fail('has ended; it may lack the library');
        else child.stdin.write(`${JSON.stringify(question)}\n`);
      }),
    stop() {
      io.signal.removeEventListener('abort', stop);
      stop();
    },
  };
}

function decoded(text: string): ArrayBuffer {
  return Uint8Array.from(Buffer.from(text, 'base64')).buffer;
}

/**
 * A library of the Python that CIRCUITSCOPE_PYTHON names, one process for each number of threads, driven line by line.
 * @throws CircuitscopeError `peer_failed` where there is no such Python, or not that library
 */
export async function pythonContender(peer: PythonPeer, io: Io): Promise<Contender> {
  const python = io.env.CIRCUITSCOPE_PYTHON;
  if (!python || !existsSync(script)) {
    const reason = python ? 'only a checkout has the program for it' : 'CIRCUITSCOPE_PYTHON must name a Python with it';
    throw new CircuitscopeError('peer_failed', `${peer} cannot take part: ${reason}.`, { at: '--peers' });
  }
  const trial = startWorker(python, peer, 1, io);
  const { version, settings = {} } = await trial.ask({ kind: 'hello' }).finally(trial.stop);
  const { threads: _, ...said } = settings;
  return {
    name: peer,
    ...(version === undefined ? {} : { version }),
    settings: { ...said, timed: 'inside Python' },
    output: 'reused',
    packing: peer === 'torch-onednn' ? 'before' : 'inside',
    plays: ({ dtype, family }, { regime }) => dtype === 'f32' && regime === 'hot' && families[peer].includes(family),
    async prepare(operation, { threads }) {
      const worker = startWorker(python, peer, threads, io);
      try {
        await worker.ask({ kind: 'prepare', family: operation.family, sizes: operation.sizes });
      } catch (error) {
        worker.stop();
        throw error;
      }
      return {
        block: async (samples, warmUp) => (await worker.ask({ kind: 'block', samples, warmUp })).ns ?? [],
        async rows(rows) {
          const { values = [], indices } = await worker.ask({ kind: 'rows', rows });
          return rows.map((row, at): OutputRow => {
            const found = indices?.[at];
            return {
              row,
              values: new Float32Array(decoded(values[at] ?? '')),
              ...(found === undefined ? {} : { indices: new Int32Array(decoded(found)) }),
            };
          });
        },
        release: worker.stop,
      };
    },
  };
}

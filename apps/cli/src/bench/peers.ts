import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Contender, steeringVariables } from '@circuitscope/core/bench';
import type { Io } from '../io.ts';
import type { PeerCommand } from './peer-process.ts';

type Operation = Parameters<Contender['plays']>[0];
type Family = Operation['family'];

/** How a peer is started; or, where it is not here, what to do about that. */
export type Launch =
  | { readonly kind: 'here'; readonly command: PeerCommand }
  | { readonly kind: 'missing'; readonly reason: string };

export interface Peer {
  readonly name: string;
  readonly families: readonly Family[];
  /** Whether it also multiplies a token by weights in bf16. */
  readonly bf16: boolean;
  /** Where its weights are brought into the layout of its kernels. */
  readonly packing: 'inside' | 'before';
  readonly output: 'fresh' | 'reused';
  readonly timed: string;
  readonly launch: (io: Io, threads: number) => Launch;
}

/** Peers lie in a checkout, not in a compiled program. */
const folder = join(import.meta.dirname, '../../../../benchmarks/peers');
const root = join(folder, '../..');

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
    RAYON_NUM_THREADS: count,
    MATMUL_NUM_THREADS: count,
    OMP_WAIT_POLICY: 'PASSIVE',
    KMP_BLOCKTIME: '0',
    OPENBLAS_THREAD_TIMEOUT: '4',
  };
}

const missing = (reason: string): Launch => ({ kind: 'missing', reason });

function python(name: string): Peer['launch'] {
  const script = join(folder, 'kernels.py');
  return ({ env }, threads) => {
    const program = env.CIRCUITSCOPE_PYTHON;
    if (!program) return missing('CIRCUITSCOPE_PYTHON must name a Python with it');
    if (!existsSync(script)) return missing('only a checkout has the program for it');
    return {
      kind: 'here',
      command: { program, args: [script, name, String(threads)], env: environment(env, threads) },
    };
  };
}

function crate(name: string): Peer['launch'] {
  const program = join(
    folder,
    'crates/target/release',
    process.platform === 'win32' ? 'peer-crates.exe' : 'peer-crates',
  );
  return ({ env }, threads) => {
    if (existsSync(program))
      return { kind: 'here', command: { program, args: [name, String(threads)], env: environment(env, threads) } };
    return existsSync(join(folder, 'crates'))
      ? missing('build it with cd benchmarks/peers/crates && cargo build --release --locked')
      : missing('only a checkout has the program for it');
  };
}

function onnxruntime({ env }: Io, threads: number): Launch {
  const script = join(folder, 'onnxruntime.ts');
  if (!existsSync(script)) return missing('only a checkout has the program for it');
  const beside = env.CIRCUITSCOPE_ONNXRUNTIME ?? folder;
  try {
    createRequire(join(beside, 'beside.js')).resolve('onnxruntime-node');
  } catch {
    return missing('CIRCUITSCOPE_ONNXRUNTIME must name a folder where npm install onnxruntime-node was run');
  }
  // Node by preference, which it is made for; a checkout has one.
  const node = join(root, 'node_modules/.bin/node');
  const program = existsSync(node) ? node : process.execPath;
  return {
    kind: 'here',
    command: { program, args: [script, beside, String(threads)], env: environment(env, threads) },
  };
}

const inPython = { output: 'reused', timed: 'inside Python' } as const;
const inRust = { families: ['matmul'], bf16: false, output: 'reused', timed: 'inside its process' } as const;

/** The programs that `bench kernels` can compare with, none of which the product needs. */
export const peers: readonly Peer[] = [
  {
    ...inPython,
    name: 'numpy',
    families: ['matmul', 'project', 'softmax', 'layer_norm'],
    bf16: false,
    packing: 'inside',
    launch: python('numpy'),
  },
  {
    ...inPython,
    name: 'torch',
    families: ['matmul', 'project', 'attention', 'softmax', 'layer_norm', 'conv2d', 'cross_entropy_grad'],
    bf16: true,
    packing: 'inside',
    launch: python('torch'),
  },
  {
    ...inPython,
    name: 'torch-onednn',
    families: ['matmul'],
    bf16: false,
    packing: 'before',
    launch: python('torch-onednn'),
  },
  {
    name: 'onnxruntime',
    families: ['matmul', 'project', 'attention', 'softmax', 'layer_norm', 'conv2d', 'cross_entropy_grad'],
    bf16: false,
    packing: 'before',
    output: 'fresh',
    timed: 'around session.run',
    launch: onnxruntime,
  },
  { ...inRust, name: 'gemm', packing: 'inside', launch: crate('gemm') },
  { ...inRust, name: 'matrixmultiply', packing: 'inside', launch: crate('matrixmultiply') },
  { ...inRust, name: 'gemmkit', packing: 'before', launch: crate('gemmkit') },
  { ...inRust, name: 'gemmkit, packing', packing: 'inside', launch: crate('gemmkit-packing') },
];

export const peerNames = peers.map(({ name }) => name).filter((name) => !name.includes(','));

/** Those that a word of `--peers` means: itself, and itself with its weights packed inside the time. */
export const peersNamed = (word: string): readonly Peer[] =>
  peers.filter(({ name }) => name === word || name.startsWith(`${word}, `));

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { batchRng, chooseExecutor, makeTrainer, tokenBatch, toyTransformer } from '@circuitscope/core';
import { median, saveRun } from '../save-run.ts';

// One step of training (forward, backward, AdamW) here and in PyTorch, in turns. PyTorch is optional: name a Python that
// has it in CIRCUITSCOPE_PYTHON. Both models have the same sizes, biases and norms; start values differ.

const ROUNDS = Number(process.env.ROUNDS ?? 11);
const THREADS = 2;

const shapes = [
  { name: '4 layers with MLPs', layers: 4, width: 256, heads: 4, inner: 1024, vocab: 2048, context: 128, batch: 32 },
  { name: '2 layers, attention only', layers: 2, width: 128, heads: 4, inner: 0, vocab: 2048, context: 64, batch: 64 },
] as const;
type Shape = (typeof shapes)[number];

const { executor } = await chooseExecutor();
const lines: string[] = [];
process.stdout.write(`${executor.info.cpu}, ${executor.info.path}, ${THREADS} threads, median of ${ROUNDS} steps\n`);

for (const shape of shapes) {
  const ours = makeOurs(shape);
  const torch = await startTorch(shape);
  const times = { circuitscope: [] as number[], torch: [] as number[] };
  let peak = 0;
  for (let round = -2; round < ROUNDS; round++) {
    const own = await ours.step();
    const peer = torch ? await torch.step() : null;
    // The first steps pack weights and fault pages in.
    if (round < 0) continue;
    times.circuitscope.push(own);
    lines.push(
      JSON.stringify({ question: 'training', shape, way: 'circuitscope', round, ms: own, executor: executor.info }),
    );
    if (!peer) continue;
    times.torch.push(peer.ms);
    peak = peer.peakRssBytes;
    lines.push(JSON.stringify({ question: 'training', shape, way: 'torch', round, ...peer, version: torch?.version }));
  }
  torch?.stop();
  const own = median(times.circuitscope);
  const rss = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  const peer = torch
    ? `torch ${torch.version} eager ${median(times.torch).toFixed(1)} ms (${rss(peak)}), ratio ${(own / median(times.torch)).toFixed(3)} = 1/${(median(times.torch) / own).toFixed(2)}`
    : 'no torch (CIRCUITSCOPE_PYTHON names a Python that has it)';
  process.stdout.write(
    `${shape.name}: ${own.toFixed(1)} ms (peak of this process so far ${rss(process.resourceUsage().maxRSS * 1024)}); ${peer}\n`,
  );
}
saveRun(import.meta.dirname, lines);

function makeOurs({ layers, width, heads, inner, vocab, context, batch }: Shape) {
  const toy = toyTransformer({
    config: {
      n_layers: layers,
      n_heads: heads,
      d_model: width,
      d_head: width / heads,
      d_vocab: vocab,
      n_ctx: context,
      ...(inner > 0 ? { d_mlp: inner, act_fn: 'gelu_new', normalization_type: 'LN' } : {}),
    },
    biases: inner > 0 ? ['qkv', 'out', 'mlp'] : [],
    initial: (name) => (/ln.*\.w$/.test(name) ? { kind: 'constant', value: 1 } : { kind: 'normal', deviation: 0.02 }),
  });
  const trainer = makeTrainer(toy.model(0), {
    executor,
    optimiser: {
      kind: 'adamw',
      learningRate: 1e-4,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0.01,
      decays: 'all',
      clip: null,
    },
    schedule: { kind: 'constant' },
    steps: 1000,
  });
  const rng = batchRng(0, 0);
  const rows = Array.from({ length: batch }, () => Array.from({ length: context }, () => rng.below(vocab)));
  const data = tokenBatch(rows);
  return {
    step: async (): Promise<number> => {
      const start = performance.now();
      await trainer.step(data, { threads: THREADS });
      return performance.now() - start;
    },
  };
}

interface Peer {
  readonly version: string;
  readonly step: () => Promise<{ readonly ms: number; readonly peakRssBytes: number }>;
  readonly stop: () => void;
}

async function startTorch(shape: Shape): Promise<Peer | null> {
  const python = process.env.CIRCUITSCOPE_PYTHON;
  if (!python) return null;
  const script = join(import.meta.dirname, '../peers/torch_step.py');
  // Its own choice of threads: variables of BLAS libraries would bind it.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/_NUM_THREADS$/.test(name)));
  const child: ChildProcess = spawn(python, [script, JSON.stringify({ ...shape, threads: THREADS })], {
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const answers = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const next = async () => JSON.parse(String((await answers.next()).value));
  const { version } = await next();
  return {
    version,
    step: async () => {
      child.stdin?.write('\n');
      return next();
    },
    stop: () => child.stdin?.end(),
  };
}

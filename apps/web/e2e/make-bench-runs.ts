import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BenchMachine, BenchResult, BenchRun, mustParse } from '@circuitscope/schema';

const machine: BenchMachine = {
  fingerprint: 'here',
  cpu: { model: 'A processor', flags: ['avx2'] },
  isa: 'avx2',
  isas: ['portable', 'avx2'],
  caches: [{ level: 2, kind: 'unified', bytes: 1 << 20, sharedBy: '0' }],
  onlineCpus: 2,
  kernel: '6.1',
  platform: 'linux-x64',
  runtime: 'bun',
  peaks: [1, 2].map((threads) => ({ isa: 'avx2', threads, flops: threads * 1e11, medianFlops: threads * 9e10 })),
  bandwidths: [1, 2].map((threads) => ({
    kind: 'read' as const,
    bytes: 512 << 20,
    threads,
    bytesPerSecond: 1e10,
    medianBytesPerSecond: 9e9,
  })),
  environment: {},
};

interface Given {
  readonly operation: string;
  readonly by: string;
  readonly ms: number;
  readonly threads?: number;
}

function result({ operation, by, ms, threads = 1 }: Given): BenchResult {
  const [flops, bytes] = [5e7, 5e5];
  return mustParse(
    BenchResult,
    {
      kind: 'bench_result',
      version: 1,
      operation,
      shape: '8×8×8',
      dtype: 'f32',
      implementation: { name: by, settings: {} },
      threads,
      regime: 'hot',
      packing: 'before',
      output: 'reused',
      flops,
      bytes,
      outcome: {
        kind: 'timed',
        maxError: 1e-6,
        ofBound: 0.02,
        checked: 64,
        samplesNs: [ms * 1e6],
        medianNs: ms * 1e6,
        iqrNs: ms * 1e4,
        minNs: ms * 1e6,
        flopsPerSecond: (flops / ms) * 1e3,
        bytesPerSecond: (bytes / ms) * 1e3,
        shareOfPeak: flops / ms / 1e8 / threads,
        ratios: by === 'circuitscope' ? [{ against: 'torch', estimate: { value: 2 } }] : [],
      },
      discarded: { steal: 0, clock: 0 },
    },
    'result of a benchmark',
  );
}

const run = (startedAt: string, changed: Partial<BenchMachine> = {}): BenchRun =>
  mustParse(
    BenchRun,
    {
      kind: 'bench_run',
      version: 1,
      startedAt,
      tool: { version: '0.1.0' },
      machine: { ...machine, ...changed },
      before: { loadAverage: 0.5 },
      seed: 0,
      rounds: 12,
      command: ['circuitscope', 'bench', 'kernels'],
    },
    'run of a benchmark',
  );

/** Two runs of different machines that a workspace keeps, the later with a name of an operation that would act as markup; one broken file; one that is no run. */
export function makeBenchRuns(workspace: string, hostile: string): void {
  const folder = join(workspace, 'bench');
  mkdirSync(folder, { recursive: true });
  const write = (name: string, records: readonly object[]): void =>
    writeFileSync(join(folder, name), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  const both = (ms: number): readonly BenchResult[] => [
    result({ operation: 'sgemm-8', by: 'circuitscope', ms }),
    result({ operation: 'sgemm-8', by: 'torch', ms: 2 * ms }),
    result({ operation: 'sgemm-8', by: 'circuitscope', ms: ms / 2, threads: 2 }),
  ];
  write('older.jsonl', [run('2026-11-19T12:00:00.000Z', { fingerprint: 'elsewhere' }), ...both(2)]);
  write('newer.jsonl', [
    run('2026-11-20T12:00:00.000Z'),
    ...both(1),
    result({ operation: hostile, by: hostile, ms: 3, threads: 2 }),
  ]);
  writeFileSync(join(folder, 'broken.jsonl'), '{"kind":"bench_run","version":1}\n');
  writeFileSync(join(folder, 'raw.jsonl'), '{"kind":"something else"}\n');
}

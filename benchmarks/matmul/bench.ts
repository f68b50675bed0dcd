import { spawnSync } from 'node:child_process';
import { saveRun } from '../save-run.ts';

// Asks the kernels' own bench, which measures the peak of this CPU by a loop of fused multiply-adds and then the packed
// product in the same process, and prints one JSON line per figure.

const wanted = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const kernels = new URL('../../native/kernels/', import.meta.url).pathname;
const bench = spawnSync('cargo', ['bench', '--quiet', '--bench', 'peak', '--', ...wanted], {
  cwd: kernels,
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
  maxBuffer: 1 << 26,
});
if (bench.error) {
  process.stderr.write(`cargo could not be started (${bench.error.message}); this question needs Rust\n`);
  process.exit(1);
}
process.stdout.write(bench.stdout);
if (bench.status !== 0) process.exit(bench.status ?? 1);
saveRun(
  import.meta.dirname,
  bench.stdout.split('\n').filter((line) => line.startsWith('{')),
);

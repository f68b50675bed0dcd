import { rateText } from '@circuitscope/schema';
import { benchAddon, startRun, threadCounts } from '../../bench/prepare-bench.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { list } from '../../options/index.ts';
import { print, progress, properties, styleFor, table } from '../../output/index.ts';

export const peak = command({
  summary: 'what this machine can do at most: multiply-adds, clock, bytes from each cache and memory',
  details:
    'A loop of fused multiply-adds in registers for each instruction set, a chain of additions for the clock, and reading and triad over 16 KiB to 512 MiB, each between two readings of the clock that agree. Results of kernels are held against these, never against what the processor is said to do.',
  options: { threads: list('N,N', 'numbers of threads (default: 1, and one per core)') },
  examples: [
    { line: 'circuitscope bench peak', about: 'this machine' },
    { line: 'circuitscope bench peak --threads 1 --json > machine.json', about: 'one thread, for another program' },
  ],
  run: async (options, io, line) => {
    const addon = await benchAddon(io);
    const threads = threadCounts(options.threads, addon);
    const run = await (async () => {
      using bar = progress(io, 'measuring');
      return await startRun(io, {
        addon,
        threads,
        full: true,
        seed: 0,
        rounds: 0,
        line,
        onProgress: (share, what) => bar.update(share, what),
      });
    })();
    print(io, options, documentOf(run), () => {
      const { machine } = run;
      const style = styleFor(io);
      const right = (title: string) => ({ title, align: 'right' as const });
      const facts = properties([
        ['processor', `${machine.cpu.model}, ${machine.onlineCpus} online`],
        ['kernels', `${machine.isa} of ${machine.isas.join(', ')}`],
        ['clock', machine.clockHz === undefined ? 'not measured' : `${(machine.clockHz / 1e9).toFixed(2)} GHz`],
        ['fingerprint', machine.fingerprint],
      ]);
      const peaks = machine.peaks.map(({ isa, threads, flops, medianFlops }) => [
        `f32 ${isa}`,
        String(threads),
        rateText(flops, 'FLOP'),
        rateText(medianFlops, 'FLOP'),
      ]);
      const traffic = machine.bandwidths.map(({ kind, bytes, threads, bytesPerSecond, medianBytesPerSecond }) => [
        `${kind} ${bytes >= 1 << 20 ? `${bytes >> 20} MiB` : `${bytes >> 10} KiB`}`,
        String(threads),
        rateText(bytesPerSecond, 'B'),
        rateText(medianBytesPerSecond, 'B'),
      ]);
      const columns = [{ title: 'measured' }, right('threads'), right('best'), right('median')];
      return `${facts}\n${table(columns, [...peaks, ...traffic], style)}`;
    });
  },
});

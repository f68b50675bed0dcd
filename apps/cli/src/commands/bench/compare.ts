import { type ComparedRow, compareRuns } from '@circuitscope/core/bench';
import { percentText, timeText } from '@circuitscope/schema';
import { readBenchFile } from '../../bench/bench-file.ts';
import { command } from '../../command.ts';
import { argument, required, text } from '../../options/index.ts';
import { note, numbers, print, styleFor, table } from '../../output/index.ts';

export const compare = command({
  summary: 'two runs beside each other, also of different machines',
  details:
    'Machines differ in clock, width and memory, so runs are compared by the share of what each machine was measured to do and by the ratio to a reference that took turns with the kernel. Times are compared only where the fingerprints of the machines are equal.',
  options: {
    a: argument(required(text('A', 'a file of bench kernels --out'))),
    b: argument(required(text('B', 'another one'))),
    reference: text('NAME', 'the implementation that ratios are to (default: the first that both hold)'),
  },
  examples: [
    { line: 'circuitscope bench compare before.jsonl after.jsonl', about: 'the same machine, two commits' },
    { line: 'circuitscope bench compare here.jsonl there.jsonl --json', about: 'two machines, for another program' },
  ],
  run: async (options, io) => {
    const compared = compareRuns(readBenchFile(options.a, io), readBenchFile(options.b, io), options.reference);
    const document = {
      kind: 'bench_comparison',
      version: 1,
      ...compared,
      rows: compared.rows.map((row) => ({ ...row })),
    };
    const { onlyA, onlyB, rows, sameMachine } = compared;
    print(io, options, { ...document, onlyA: [...onlyA], onlyB: [...onlyB] }, () => {
      if (rows.length === 0) return 'The two runs have no operation in common.\n';
      const right = (title: string) => ({ title, align: 'right' as const });
      const columns = [
        { title: 'operation' },
        { title: 'by' },
        right('threads'),
        { title: 'caches' },
        { title: 'share of' },
        right('A'),
        right('B'),
        { title: 'ratio to' },
        right('A'),
        right('B'),
        ...(sameMachine ? [right('A'), right('B'), right('speedup')] : []),
      ];
      const said = sameMachine
        ? 'Both ran on one kind of machine: times are compared too.'
        : 'The machines differ: times are not compared.';
      return `${said}\n\n${table(
        columns,
        rows.map((row) => cellsOf(row, sameMachine)),
        styleFor(io),
      )}`;
    });
    if (!options.json && onlyA.length + onlyB.length > 0)
      note(io, `Measured in one alone: ${onlyA.length} in A, ${onlyB.length} in B.`);
  },
});

function cellsOf(
  { operation, implementation, threads, regime, shares, ratios, times }: ComparedRow,
  all: boolean,
): string[] {
  return [
    operation,
    implementation,
    String(threads),
    regime,
    shares?.of ?? '',
    percentText(shares?.a),
    percentText(shares?.b),
    ratios?.to ?? '',
    ratios ? numbers.fixed(ratios.a, 2) : '',
    ratios ? numbers.fixed(ratios.b, 2) : '',
    ...(all && times ? [timeText(times.aNs), timeText(times.bNs), numbers.fixed(times.speedup, 2)] : []),
  ];
}

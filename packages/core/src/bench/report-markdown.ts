import {
  type BenchLoad,
  type BenchMachine,
  type BenchResult,
  type BenchSection,
  percentText,
  rateText,
  timeText,
} from '@circuitscope/schema';

/** A cell of a table: text from files may hold bars and markup. */
const cell = (text: string): string => text.replace(/[|\\`*_<>[\]]/g, (mark) => `\\${mark}`).replace(/\s+/g, ' ');

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

function machineLines(machine: BenchMachine): string[] {
  const { cpu, caches, environment } = machine;
  const identity = [
    ['family', cpu.family],
    ['model', cpu.modelNumber],
    ['stepping', cpu.stepping],
  ].flatMap(([name, number]) => (number === undefined ? [] : [`${name} ${number}`]));
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return [
    `- processor: ${cell(cpu.model)}${identity.length > 0 ? ` (${identity.join(', ')})` : ''}, ${machine.onlineCpus} online, kernels for ${machine.isa}`,
    `- caches: ${caches.map(({ level, kind, bytes }) => `L${level} ${kind} ${bytes >> 10} KiB`).join(', ') || 'not told'}`,
    `- clock as measured: ${machine.clockHz === undefined ? 'not measured' : `${(machine.clockHz / 1e9).toFixed(2)} GHz`}`,
    `- system: ${cell(machine.platform)}, kernel ${cell(machine.kernel)}${machine.libc ? `, ${cell(machine.libc)}` : ''}, ${cell(machine.runtime)}, huge pages ${machine.hugePages ?? 'not told'}, hypervisor ${cell(machine.hypervisor ?? 'none told')}`,
    `- variables that steer libraries: ${variables.length > 0 ? cell(variables.join(', ')) : 'none'}`,
    `- fingerprint: ${machine.fingerprint}`,
  ];
}

function peakTable(machine: BenchMachine): string[] {
  const memory = machine.bandwidths.reduce((most, { bytes }) => Math.max(most, bytes), 0);
  const lines = [row(['measured peak', 'threads', 'best', 'median']), row(['---', '---:', '---:', '---:'])];
  for (const { isa, threads, flops, medianFlops } of machine.peaks)
    lines.push(row([`f32 ${isa}`, String(threads), rateText(flops, 'FLOP'), rateText(medianFlops, 'FLOP')]));
  for (const { kind, bytes, threads, bytesPerSecond, medianBytesPerSecond } of machine.bandwidths) {
    if (bytes !== memory) continue;
    lines.push(
      row([
        `${kind}, ${bytes >> 20} MiB`,
        String(threads),
        rateText(bytesPerSecond, 'B'),
        rateText(medianBytesPerSecond, 'B'),
      ]),
    );
  }
  return lines;
}

function resultRow(result: BenchResult): string {
  const { operation, shape, dtype, implementation, threads, regime, outcome, discarded } = result;
  const lost = discarded.steal + discarded.clock;
  const start = [
    cell(operation),
    cell(shape),
    dtype,
    cell(`${implementation.name}${implementation.version ? ` ${implementation.version}` : ''}`),
    String(threads),
    regime,
  ];
  if (outcome.kind === 'wrong')
    return row([...start, `wrong result, ${outcome.ofBound.toPrecision(3)} × the bound: no time`, '', '', '', '', '']);
  if (outcome.kind === 'failed') return row([...start, cell(outcome.reason), '', '', '', '', '']);
  const loop = outcome.shareOfLoop;
  return row([
    ...start,
    `${timeText(outcome.medianNs)} (${timeText(outcome.iqrNs)})`,
    timeText(outcome.minNs),
    rateText(outcome.flopsPerSecond, 'FLOP'),
    loop
      ? `${percentText(loop.value)}${loop.interval ? ` (${percentText(loop.interval[0])} to ${percentText(loop.interval[1])})` : ''}`
      : percentText(outcome.shareOfPeak),
    percentText(outcome.shareOfBandwidth),
    `${outcome.samplesNs.length}${lost > 0 ? `, ${lost} blocks left out` : ''}`,
  ]);
}

/** A whole file of results as Markdown: machine, peaks, one row for each result, ratios, losses included. */
export function reportMarkdown(sections: readonly BenchSection[]): string {
  const lines: string[] = ['# Benchmark', ''];
  for (const { run, results, end } of sections) {
    const { commit, dirty, version } = run.tool;
    lines.push(
      `## ${run.startedAt}`,
      '',
      `circuitscope ${version}${commit ? `, commit ${commit.slice(0, 12)}${dirty ? ' with changes' : ''}` : ''}, ${run.rounds} rounds, seed ${run.seed}`,
      '',
      ...machineLines(run.machine),
      `- load average ${run.before.loadAverage ?? 'not told'} before, ${end?.after.loadAverage ?? 'not told'} after; stolen by the hypervisor meanwhile: ${stolen(run.before.stealSeconds, end?.after.stealSeconds)}`,
      `- others computing meanwhile, in processors: ${foreign(end?.after.foreign ?? run.before.foreign)}`,
      `- tied to processors: ${[...new Set(results.flatMap(({ cpus }) => cpus ?? []))].map(cell).join('; ') || 'not tied'}`,
      '',
      ...peakTable(run.machine),
      '',
    );
    if (results.length === 0) continue;
    lines.push(
      row([
        'operation',
        'shape',
        'type',
        'by',
        'threads',
        'caches',
        'median (IQR)',
        'least',
        'rate',
        'of the multiply-add loop',
        'of memory bandwidth',
        'samples',
      ]),
      row(['---', '---', '---', '---', '---:', '---', '---:', '---:', '---:', '---:', '---:', '---']),
      ...results.map(resultRow),
      '',
    );
    const ratios = ratioRows(results);
    if (ratios.length > 0)
      lines.push(
        'Time of the other over the time of the first, in the same rounds, with 95 % intervals; above 1 the first is faster.',
        '',
        row(['operation', 'threads', 'caches', 'first', 'other', 'ratio']),
        row(['---', '---:', '---', '---', '---', '---:']),
        ...ratios,
        '',
      );
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

function stolen(before: number | undefined, after: number | undefined): string {
  return before === undefined || after === undefined ? 'not told' : `${(after - before).toFixed(2)} s`;
}

function foreign(others: BenchLoad['foreign']): string {
  if (!others) return 'not told';
  return others.map(({ name, processors }) => `${cell(name)} ${processors.toFixed(2)}`).join(', ') || 'none';
}

/** Each pair once, from the side of the kernels of this repository. */
function ratioRows(results: readonly BenchResult[]): string[] {
  return results.flatMap(({ operation, threads, regime, implementation, outcome }) =>
    outcome.kind === 'timed' && implementation.name === 'circuitscope'
      ? outcome.ratios.map(({ against, estimate: { value, interval } }) =>
          row([
            cell(operation),
            String(threads),
            regime,
            cell(implementation.name),
            cell(against),
            `${value.toFixed(2)}${interval ? ` (${interval[0].toFixed(2)} to ${interval[1].toFixed(2)})` : ''}`,
          ]),
        )
      : [],
  );
}

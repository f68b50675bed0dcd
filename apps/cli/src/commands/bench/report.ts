import { existsSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { exportBencher, exportGithub, joinSections, reportMarkdown } from '@circuitscope/core/bench';
import { type BenchSection, CircuitscopeError } from '@circuitscope/schema';
import { rooflineOf, rooflineSvg, threadsOf } from '@circuitscope/views/figures';
import { readBenchFile } from '../../bench/bench-file.ts';
import { command } from '../../command.ts';
import type { Io } from '../../io.ts';
import { argument, badOption, choice, integer, required, shared, text, withDefault } from '../../options/index.ts';
import { note, print } from '../../output/index.ts';

const forms: { readonly [form in 'markdown' | 'github' | 'bencher']: (sections: readonly BenchSection[]) => string } = {
  markdown: reportMarkdown,
  github: (sections) => `${JSON.stringify(exportGithub(sections), null, 2)}\n`,
  bencher: (sections) => `${JSON.stringify(exportBencher(sections), null, 2)}\n`,
};

export const report = command({
  summary: 'a file of results as Markdown, or for a service that keeps histories',
  details:
    'markdown: the machine, its peaks, every result with its losses. github: for github-action-benchmark, customSmallerIsBetter. bencher: Bencher Metric Format. Give each machine a history of its own.\n\nWith --svg a roofline: operations a second over operations a byte, under what multiply-adds, memory and, after bench kernels --roofs, each cache and instruction set allow.',
  options: {
    file: argument(required(text('FILE', 'a file of bench kernels --out'))),
    as: withDefault(choice(['markdown', 'github', 'bencher'], 'the form'), 'markdown'),
    out: text('PATH', 'write there instead of to the terminal'),
    svg: text('FILE', 'draw the roofline into this file, and write no report unless --out asks for it'),
    threads: integer('N', 'for the roofline: results with so many threads (default: the most there are)', { min: 1 }),
    force: shared.force,
  },
  examples: [
    { line: 'circuitscope bench report run.jsonl --out run.md', about: 'to read' },
    { line: 'circuitscope bench report run.jsonl --svg roofline.svg', about: 'to look at, light or dark' },
    { line: 'circuitscope bench report run.jsonl --as bencher', about: 'for bencher run --adapter json' },
  ],
  run: async (options, io) => {
    const sections = readBenchFile(options.file, io);
    if (options.svg === undefined && options.threads !== undefined)
      throw badOption('--threads', 'with --svg, which it belongs to', String(options.threads));
    if (options.svg !== undefined) {
      write(options.svg, picture(sections, options.threads), '--svg', options.force, io);
      if (!options.json) note(io, `Written: ${options.svg}`);
      else if (options.out === undefined)
        print(io, options, { kind: 'bench_report', version: 1, form: 'svg', file: options.svg }, () => '');
      if (options.out === undefined) return;
    }
    const content = forms[options.as](sections);
    if (options.out === undefined) {
      print(io, options, { kind: 'bench_report', version: 1, form: options.as, content }, () => content);
      return;
    }
    write(options.out, content, '--out', options.force, io);
    if (options.json)
      print(io, options, { kind: 'bench_report', version: 1, form: options.as, file: options.out }, () => '');
    else note(io, `Written: ${options.out}`);
  },
});

function picture(sections: readonly BenchSection[], threads: number | undefined): string {
  const { run, results } = joinSections(sections);
  const record = { machine: run.machine, results };
  const known = threadsOf(record);
  if (threads !== undefined && !known.includes(threads))
    throw badOption(
      '--threads',
      `one of those that were measured, ${known.join(', ') || 'of which there are none'}`,
      String(threads),
    );
  return rooflineSvg(rooflineOf(record, threads));
}

function write(name: string, content: string, option: string, force: boolean, io: Io): void {
  const path = resolve(io.cwd, name);
  if (existsSync(path) && !force)
    throw new CircuitscopeError('file_exists', `${name} exists; choose another ${option} or overwrite with --force.`, {
      at: name,
    });
  writeFileSync(path, content);
}

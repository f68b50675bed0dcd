import { existsSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { exportBencher, exportGithub, reportMarkdown } from '@circuitscope/core/bench';
import { type BenchSection, CircuitscopeError } from '@circuitscope/schema';
import { readBenchFile } from '../../bench/bench-file.ts';
import { command } from '../../command.ts';
import { argument, choice, required, shared, text, withDefault } from '../../options/index.ts';
import { note, print } from '../../output/index.ts';

const forms: { readonly [form in 'markdown' | 'github' | 'bencher']: (sections: readonly BenchSection[]) => string } = {
  markdown: reportMarkdown,
  github: (sections) => `${JSON.stringify(exportGithub(sections), null, 2)}\n`,
  bencher: (sections) => `${JSON.stringify(exportBencher(sections), null, 2)}\n`,
};

export const report = command({
  summary: 'a file of results as Markdown, or for a service that keeps histories',
  details:
    'markdown: the machine, its peaks, every result with its losses. github: for github-action-benchmark, customSmallerIsBetter. bencher: Bencher Metric Format. Give each machine a history of its own.',
  options: {
    file: argument(required(text('FILE', 'a file of bench kernels --out'))),
    as: withDefault(choice(['markdown', 'github', 'bencher'], 'the form'), 'markdown'),
    out: text('PATH', 'write there instead of to the terminal'),
    force: shared.force,
  },
  examples: [
    { line: 'circuitscope bench report run.jsonl --out run.md', about: 'to read' },
    { line: 'circuitscope bench report run.jsonl --as bencher', about: 'for bencher run --adapter json' },
  ],
  run: async (options, io) => {
    const content = forms[options.as](readBenchFile(options.file, io));
    if (options.out === undefined) {
      print(io, options, { kind: 'bench_report', version: 1, form: options.as, content }, () => content);
      return;
    }
    const path = resolve(io.cwd, options.out);
    if (existsSync(path) && !options.force)
      throw new CircuitscopeError(
        'file_exists',
        `${options.out} exists; choose another --out or overwrite with --force.`,
        {
          at: options.out,
        },
      );
    writeFileSync(path, content);
    if (options.json)
      print(io, options, { kind: 'bench_report', version: 1, form: options.as, file: options.out }, () => '');
    else note(io, `Written: ${options.out}`);
  },
});

import { extname } from 'node:path';
import { hashTask, namedGrids, numericsVersion, patchTask, TOOL_VERSION } from '@circuitscope/core';
import { modelRef } from '@circuitscope/core/architectures';
import { writeSafetensors } from '@circuitscope/core/checkpoints';
import { CircuitscopeError, type Patching, PatchMetric, parsePatching, patchShare } from '@circuitscope/schema';
import { actionKey, findByAction, getRecord, putRecord, runRecord, saveRun } from '@circuitscope/workspace';
import { chooseEngine } from '../../choose-engine.ts';
import { command } from '../../command.ts';
import { documentOf } from '../../examine/document-of.ts';
import { openSource, runSettings } from '../../examine/open-source.ts';
import { promptTask } from '../../examine/prompt-task.ts';
import { readTask } from '../../examine/read-task.ts';
import { questionFor } from '../../examine/task-for-model.ts';
import { withWorkspace } from '../../open-workspace.ts';
import { choice, flag, integer, shared, text, withDefault } from '../../options/index.ts';
import { numbers, print, progress, styleFor } from '../../output/index.ts';
import { csvLine, outPath, writeText } from '../../output/write-once.ts';
import { modelOption } from '../../resolve-model.ts';
import { viewed, viewOption } from '../../view-option.ts';
import { patchText, placeOf } from './patch-text.ts';

const grids = ['resid', 'block', 'head', 'head-position', 'ports', 'ports-position', 'pattern'] as const;

export const patch = command({
  summary: 'activation patching: which places carry the difference between clean and corrupt prompts',
  details:
    'Runs the corrupt prompts and gives one place at a time the value that it has on the clean ones (denoise), or the other way round (noise), and reads the metric. Places are those of a grid: resid takes the stream before each layer at each position; block that, attn_out and mlp_out; head each head at all positions, head-position at each; ports z, q, k, v and the pattern of each head (k and v: of each key/value head), ports-position the same at each position, pattern every cell of every pattern. A grid is one sweep: what lies before a place is computed once, and each cell has the bits of a run of its own.\n\nThe share of a cell is (cell − run) / (other − run): 0 changes nothing, 1 brings all of the difference. Metrics: logit_diff, that of the answer less that of the wrong one; log_prob and prob of the answer; kl, the divergence of the whole distribution from that of the clean prompts, in nats. The record goes to the workspace, and the same question is not computed twice. --out writes every cell as .csv, as .safetensors or as the .json record.',
  options: {
    model: modelOption,
    task: text(
      'FILE.json',
      'clean and corrupt prompts with answers (default: induction, or the task of a member of the zoo)',
    ),
    clean: text('TEXT', 'instead of --task: the prompt after which --answer is right'),
    corrupt: text('TEXT', 'as many tokens, after which --wrong is'),
    answer: text('TEXT|#ID', 'one token'),
    wrong: text('TEXT|#ID', 'one token'),
    grid: withDefault(choice(grids, 'which places'), 'resid'),
    direction: withDefault(
      choice(['denoise', 'noise'] as const, 'which prompts run, and which give values'),
      'denoise',
    ),
    metric: withDefault(choice(PatchMetric.options, 'what is read at the end'), 'logit_diff'),
    view: viewOption,
    out: text('FILE', 'where to write the cells: .csv, .safetensors or .json'),
    examples: withDefault(
      integer('N', 'examples that are generated where no task is given', { min: 2, max: 4096 }),
      16,
    ),
    again: flag('compute even if the workspace has the answer'),
    force: shared.force,
    seed: shared.seed,
    threads: shared.threads,
    workspace: shared.workspace,
  },
  examples: [
    {
      line: 'circuitscope model patch --model ./gpt2 --task ioi.json --grid block',
      about: 'where the stream, attention and MLPs carry the answer, by layer and position',
    },
    {
      line: "circuitscope model patch --model stories260K.bin --clean 'Lily saw a dog' --corrupt 'Timmy saw a dog' --answer ' She' --wrong ' He'",
      about: 'one pair of prompts, in words',
    },
    {
      line: 'circuitscope model patch --model ./gpt2 --task ioi.json --grid pattern --metric kl --direction noise',
      about: 'which cells of which patterns the whole distribution rests on',
    },
    {
      line: 'circuitscope model patch --model zoo:induction-attn-2l/seed-0 --grid head --out heads.csv',
      about: 'which heads do, as a table for another program',
    },
  ],
  run: async (options, io, line) => {
    const { direction, grid, metric, seed, view } = options;
    const out = options.out === undefined ? null : outPath(options.out, options.force, io);
    const format = out === null ? null : formatOf(options.out ?? '');
    const start = performance.now();
    const startedAt = Date.now();
    const { model: raw, member, source } = await openSource(options.model, io);
    const model = viewed(raw, view);
    const written = promptTask(options, { model: raw, member, given: options.model }, io);
    if (written && options.task !== undefined) {
      throw new CircuitscopeError('bad_option', 'Give either --task or prompts in words, not both.', { at: '--task' });
    }
    const task =
      written ??
      (options.task === undefined
        ? questionFor(raw, member).task({ seed, examples: options.examples })
        : readTask(options.task, raw, io));
    const how = written === null && options.task === undefined ? 'generated' : 'given';
    const engine = await chooseEngine(model, io);
    const { contentHash, graphHash } = await modelRef(model);
    const key = actionKey({
      kind: 'model_patch',
      models: [contentHash],
      ...(graphHash ? { graph: graphHash } : {}),
      parameters: { view, direction, grid, metric, how, source },
      data: [hashTask(task)],
      numericsVersion: numericsVersion(engine.executor.info),
      toolVersion: TOOL_VERSION,
    });
    const kept = await withWorkspace(options, io, async (workspace) => {
      const known = options.again ? null : findByAction(workspace, key);
      if (known)
        return { patching: getRecord(workspace, known, parsePatching), hash: known, found: true, dir: workspace.dir };
      using bar = progress(io, 'patching');
      const patching = await patchTask(engine, model, {
        task,
        how,
        seeds: how === 'generated' ? [seed] : [],
        source,
        grids: namedGrids(model.graph, grid),
        direction,
        metric,
        run: { ...runSettings(options, io), onProgress: (share) => bar.update(share) },
      });
      const { hash } = putRecord(workspace, patching, { actionKey: key, keep: true });
      saveRun(
        workspace,
        runRecord({
          actionKey: key,
          contentDigest: hash,
          startedAt,
          wallTimeMs: performance.now() - start,
          executor: engine.executor.info,
          command: line,
        }),
      );
      return { patching, hash, found: false, dir: workspace.dir };
    });
    const { patching, hash, found, dir } = kept;
    if (out !== null && format !== null) writeGrids(out, format, patching);
    const document = { kind: 'model_patch', version: 1, workspace: dir, hash, found, out, patching };
    print(io, options, documentOf(document), () => {
      const time = found
        ? 'found in the workspace (--again computes anew)'
        : numbers.duration(performance.now() - start);
      const file = out === null ? '' : `Written: ${options.out}\n`;
      return `${patchText(patching, styleFor(io))}\n${file}Kept: patching ${hash}\nTime: ${time}\n`;
    });
  },
});

const formats = ['.csv', '.safetensors', '.json'] as const;
type Format = (typeof formats)[number];

function formatOf(given: string): Format {
  const ending = extname(given);
  const known = formats.find((format) => format === ending);
  if (known) return known;
  throw new CircuitscopeError('bad_option', `--out must end in ${formats.join(', ')}; ${given} does not.`, {
    at: '--out',
    expected: formats.join(', '),
    got: ending,
  });
}

function writeGrids(out: string, format: Format, patching: Patching): void {
  const { direction, base, source } = patching;
  switch (format) {
    case '.json':
      writeText(out, `${JSON.stringify(documentOf(patching), null, 2)}\n`);
      return;
    case '.safetensors':
      writeSafetensors(
        out,
        patching.grids.map(({ site, axes, shape, values }) => ({
          name: `${direction}/${site}[${axes.join(',')}]`,
          dtype: 'f64' as const,
          shape,
          data: Float64Array.from(values),
        })),
        { direction, base: String(base), source: String(source), metric: patching.metric },
      );
      return;
    case '.csv': {
      const axes = ['layer', 'position', 'head', 'query', 'key'] as const;
      const lines = patching.grids.flatMap((grid) =>
        grid.values.map((value, cell) => {
          const place = placeOf(grid, cell);
          const cells = axes.map((axis) => place[grid.axes.indexOf(axis)] ?? '');
          return csvLine([direction, grid.site, ...cells, value, patchShare(patching, value) ?? '']);
        }),
      );
      writeText(out, csvLine(['direction', 'site', ...axes, patching.metric, 'share']) + lines.join(''));
    }
  }
}

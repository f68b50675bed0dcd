import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import {
  type LogLine,
  type Recipe,
  readTrainingFolder,
  readTrainingLog,
  trainingFiles,
  train as trainRecipe,
} from '@circuitscope/core';
import { chooseExecutor } from '@circuitscope/core/plan';
import { CircuitscopeError } from '@circuitscope/schema';
import { zooRecipe, zooRecipes } from '@circuitscope/zoo';
import { command } from '../../command.ts';
import type { Io } from '../../io.ts';
import { argument, flag, integer, shared, text } from '../../options/index.ts';
import { note, numbers, print, properties, styleFor, table } from '../../output/index.ts';
import { liveView } from './live-view.ts';
import { trainingCurves } from './training-curves.ts';

export const train = command({
  summary: 'train a small model from a recipe, with live curves; every byte follows from the seed',
  details: `Makes a model whose circuit or geometry is known, in the folder --out: the model as ${trainingFiles.config} and ${trainingFiles.weights}, its curves as ${trainingFiles.log}, all settings as ${trainingFiles.recipe}. Equal seeds give equal bytes, with any number of threads and however often the training was interrupted.

Ctrl-C stops after the step at hand and keeps a checkpoint; --resume goes on from there, also after a crash. On a terminal curves are drawn while it runs; in a pipe each line of the log is printed; with --json as one JSON object a line.`,
  options: {
    recipe: argument(text('RECIPE', 'what to train; --list shows all (with --resume: as the folder says)')),
    list: flag('list the recipes and what each shows'),
    seed: integer('N', 'seed of everything random (default: 0; with --resume: as the folder says)'),
    out: text('DIR', 'folder of the training (default: trained/RECIPE/seed-N)'),
    steps: integer('N', 'train so many steps (default: as the recipe says)', { min: 1, max: 1e9 }),
    resume: flag('go on where the training in --out was interrupted'),
    threads: shared.threads,
  },
  examples: [
    { line: 'circuitscope train --list', about: 'what can be trained' },
    { line: 'circuitscope train toy-superposition', about: 'five features as a pentagon, in seconds' },
    {
      line: 'circuitscope train toy-superposition --seed 3 --out ./toy --json > log.jsonl',
      about: 'another seed, its log as JSON lines',
    },
    { line: 'circuitscope train --resume --out ./toy', about: 'after Ctrl-C or a crash' },
  ],
  run: async (options, io) => {
    if (options.list) return listRecipes(options, io);
    const { recipe, seed, steps, out } = requested(options, io);
    const { executor, fallbackReason } = await chooseExecutor();
    if (fallbackReason !== null) note(io, `The reference executor computes, slowly: ${fallbackReason}.`);
    const log = join(out, trainingFiles.log);
    const lineOnly = !options.json && !io.stdout.isTerminal;
    const start = performance.now();
    let stoppedAt: number | undefined;
    try {
      using view = liveView(io, `${recipe.title} (${recipe.name}, seed ${seed})`, () => readTrainingLog(log).lines);
      await trainRecipe(recipe, {
        executor,
        seed,
        steps,
        out,
        resume: options.resume,
        signal: io.signal,
        ...(options.threads ? { threads: options.threads } : {}),
        onProgress: (done) => {
          stoppedAt = done;
          view.progress(done, steps);
        },
        onLine: (line) => {
          view.line(line);
          if (options.json) io.stdout.write(`${JSON.stringify({ kind: 'training_step', ...line })}\n`);
          else if (lineOnly) io.stdout.write(`${plainLine(line, steps)}\n`);
        },
      });
    } catch (error) {
      if (io.signal.aborted && stoppedAt !== undefined && existsSync(join(out, trainingFiles.checkpoint))) {
        const folder = shellWord(relative(io.cwd, out) || '.');
        note(
          io,
          `Stopped after step ${stoppedAt} of ${steps}. Go on with: circuitscope train --resume --out ${folder}`,
        );
      }
      throw error;
    }
    const wallTimeMs = Math.round(performance.now() - start);
    finished(options, io, { recipe, seed, steps, out, wallTimeMs, lines: readTrainingLog(log).lines });
  },
});

interface Requested {
  readonly recipe: Recipe;
  readonly seed: number;
  readonly steps: number;
  readonly out: string;
}

/** What to train where; a folder that is resumed says what is left out. */
function requested(
  options: {
    readonly recipe: string | undefined;
    readonly seed: number | undefined;
    readonly steps: number | undefined;
    readonly out: string | undefined;
    readonly resume: boolean;
  },
  io: Io,
): Requested {
  const folder = (recipe: string, seed: number): string =>
    resolve(io.cwd, options.out ?? join('trained', recipe, `seed-${seed}`));
  if (options.recipe === undefined && !(options.resume && options.out !== undefined)) {
    const known = zooRecipes.map(({ name }) => name).join(', ');
    const sentence = options.resume
      ? 'train --resume needs --out DIR, the folder to go on in.'
      : `train needs RECIPE, one of ${known}; circuitscope train --list says what each shows.`;
    throw new CircuitscopeError('missing_option', sentence, {
      at: options.resume ? '--out' : 'RECIPE',
      expected: known,
    });
  }
  const named = options.recipe === undefined ? undefined : zooRecipe(options.recipe);
  const found = options.resume ? readTrainingFolder(folder(named?.name ?? '', options.seed ?? 0)) : undefined;
  const recipe = named ?? zooRecipe(found?.recipe ?? '');
  const seed = options.seed ?? found?.seed ?? 0;
  return { recipe, seed, steps: options.steps ?? found?.steps ?? recipe.steps, out: folder(recipe.name, seed) };
}

function listRecipes(options: { readonly json: boolean }, io: Io): void {
  const document = {
    kind: 'recipes',
    version: 1,
    recipes: zooRecipes.map(({ name, title, shows, steps, config }) => ({ name, title, shows, steps, config })),
  };
  print(io, options, document, () => {
    const style = styleFor(io);
    const rows = zooRecipes.map(({ name, title, steps }) => [name, numbers.count(steps), title]);
    const shows = zooRecipes.map((recipe) => `${style.bold(recipe.name)}: ${recipe.shows}`).join('\n');
    return `${table([{ title: 'recipe' }, { title: 'steps', align: 'right' }, { title: 'what' }], rows, style)}\n${shows}\n`;
  });
}

function finished(
  options: { readonly json: boolean },
  io: Io,
  training: Requested & { readonly wallTimeMs: number; readonly lines: readonly LogLine[] },
): void {
  const { recipe, seed, steps, out, wallTimeMs, lines } = training;
  const last = lines.at(-1);
  const folder = relative(io.cwd, out) || '.';
  if (options.json) {
    const document = {
      kind: 'trained_model',
      version: 1,
      recipe: recipe.name,
      seed,
      steps,
      folder,
      wallTimeMs,
      ...last,
    };
    io.stdout.write(`${JSON.stringify(document)}\n`);
    return;
  }
  const style = styleFor(io);
  const curves = io.stdout.isTerminal ? [...trainingCurves(lines, io.stdout.columns - 1, style), ''] : [];
  const facts = properties([
    ['recipe', `${recipe.name}: ${recipe.title}`],
    ['seed', String(seed)],
    ['steps', `${numbers.count(steps)} in ${numbers.duration(wallTimeMs)}`],
    ['loss', numbers.number(last?.loss ?? Number.NaN)],
    ['shows', recipe.shows],
    ['model', folder],
  ]);
  io.stdout.write(`${[...curves, facts].join('\n')}`);
}

function plainLine({ step, loss, learningRate, gradientNorm, metrics = {} }: LogLine, steps: number): string {
  const parts = [
    `step ${step}/${steps}`,
    `loss ${numbers.number(loss)}`,
    ...(learningRate === undefined ? [] : [`rate ${numbers.number(learningRate, 3)}`]),
    ...(gradientNorm === undefined ? [] : [`gradient ${numbers.number(gradientNorm, 3)}`]),
    ...Object.entries(metrics).map(([name, value]) => `${name} ${numbers.number(value)}`),
  ];
  return parts.join('  ');
}

function shellWord(path: string): string {
  return /^[\w./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

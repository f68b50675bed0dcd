import { appendFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { writeSafetensors } from '../checkpoints/index.ts';
import { parseJson } from '../checkpoints/parse-json.ts';
import { readWhole } from '../checkpoints/read-bytes.ts';
import { TOOL_VERSION } from '../experiments/index.ts';
import type { ExportedModel, Recipe, TrainableModel } from './recipe.ts';
import type { Trainer } from './trainer.ts';
import { readTrainingCheckpoint, type TrainingState, writeTrainingCheckpoint } from './training-checkpoint.ts';
import type { TrainingIdentity } from './training-identity.ts';
import { type LogLine, openLog } from './training-log.ts';

/** The files of a training; the README of this folder says what each holds. */
export const trainingFiles = {
  recipe: 'recipe.json',
  log: 'log.jsonl',
  runs: 'runs.jsonl',
  checkpoint: 'checkpoint.safetensors',
  config: 'config.json',
  weights: 'model.safetensors',
} as const;

export interface TrainingFolder {
  /** Where an interrupted training stood; undefined for one that begins. */
  readonly state: TrainingState | undefined;
  readonly append: (line: LogLine) => void;
  readonly checkpoint: (trainer: Trainer) => void;
  readonly export: (model: ExportedModel) => void;
  /** One line on this run: times and machine, which the log leaves out. */
  readonly ended: (run: object) => void;
}

/**
 * Opens the folder of a training: a fresh one, or with `resume` one that was interrupted, whose log is cut to what its
 * checkpoint knows of.
 *
 * @throws CircuitscopeError `folder_in_use` where something would be overwritten, `nothing_to_resume`, and what a damaged
 *   checkpoint or log gives
 */
export function openTrainingFolder(
  path: string,
  recipe: Recipe,
  identity: TrainingIdentity,
  model: TrainableModel,
  resume: boolean,
): TrainingFolder {
  const at = (file: keyof typeof trainingFiles): string => join(path, trainingFiles[file]);
  const shapes = new Map([...model.weights].map(([name, { shape }]) => [name, shape]));
  checkUse(path, at, resume);
  const state = resume ? readTrainingCheckpoint(at('checkpoint'), identity, shapes) : undefined;
  mkdirSync(path, { recursive: true });
  removeTemporary(path);
  const log = openLog(at('log'), state?.logBytes ?? 0);
  if (!state) {
    const { title, shows } = recipe;
    const record = { kind: 'training', version: 1, tool: TOOL_VERSION, title, shows, ...identity };
    writeFileWhole(at('recipe'), `${JSON.stringify(record, null, 2)}\n`);
    const { recipe: name, seed, steps } = identity;
    log.append({ kind: 'training', version: 1, recipe: name, seed, steps });
  }
  return {
    state,
    append: log.append,
    checkpoint: (trainer) =>
      writeTrainingCheckpoint(at('checkpoint'), identity, {
        done: trainer.done(),
        // First the lines, then the state that counts them.
        logBytes: log.sync(),
        weights: trainer.trained,
        moments: trainer.moments,
      }),
    export: ({ config, tensors }) => {
      writeSafetensors(
        at('weights'),
        [...tensors].map(([name, { shape, data }]) => ({ name, dtype: 'f32', shape, data: Float32Array.from(data) })),
      );
      // Last, so that a folder with a configuration has its weights too.
      writeFileWhole(at('config'), `${JSON.stringify(config, null, 2)}\n`);
      log.sync();
    },
    ended: (run) => {
      log.close();
      appendFileSync(at('runs'), `${JSON.stringify(run)}\n`);
    },
  };
}

/** Which training a folder holds, as its recipe.json says. @throws CircuitscopeError `nothing_to_resume`, `bad_training` */
export function readTrainingFolder(path: string): {
  readonly recipe: string;
  readonly seed: number;
  readonly steps: number;
} {
  const file = join(path, trainingFiles.recipe);
  if (!existsSync(file)) throw nothingToResume(path);
  const value = parseJson(readWhole(file, 4_000_000), { code: 'bad_training', at: file });
  const { recipe, seed, steps } =
    typeof value === 'object' && value !== null ? (value as { [key: string]: unknown }) : {};
  if (typeof recipe === 'string' && typeof seed === 'number' && typeof steps === 'number')
    return { recipe, seed, steps };
  throw new CircuitscopeError(
    'bad_training',
    `${file} does not name a recipe, a seed and steps; train anew elsewhere.`,
    {
      at: file,
      expected: 'recipe, seed, steps',
    },
  );
}

function checkUse(path: string, at: (file: keyof typeof trainingFiles) => string, resume: boolean): void {
  if (resume) {
    if (!existsSync(at('checkpoint'))) throw nothingToResume(path);
    return;
  }
  const taken = (['checkpoint', 'weights', 'config'] as const).find((file) => existsSync(at(file)));
  if (!taken) return;
  throw new CircuitscopeError(
    'folder_in_use',
    `${path} already holds a ${taken === 'checkpoint' ? 'training; go on with --resume, or' : 'model;'} choose another folder.`,
    { at: at(taken) },
  );
}

function nothingToResume(path: string): CircuitscopeError {
  return new CircuitscopeError(
    'nothing_to_resume',
    `${path} holds no training to resume; start one without --resume.`,
    {
      at: path,
    },
  );
}

/** What a process that was killed while it wrote has left. */
function removeTemporary(path: string): void {
  for (const name of readdirSync(path)) {
    if (/^(checkpoint|model)\.safetensors\.[0-9a-f]{12}\.tmp$/.test(name)) rmSync(join(path, name), { force: true });
  }
}

function writeFileWhole(path: string, text: string): void {
  writeFileSync(`${path}.part`, text);
  renameSync(`${path}.part`, path);
}

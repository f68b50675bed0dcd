import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { readTrainingLog, trainingFiles } from '@circuitscope/core';
import { CircuitscopeError } from '@circuitscope/schema';
import { keptTrainings } from '@circuitscope/zoo';

export interface TrainingCurve {
  /** Which training of its recipe: `seed 3`, with its folder where it is not the zoo's. */
  readonly label: string;
  readonly recipe: string;
  readonly seed: number;
  readonly steps: number;
  readonly finished: boolean;
  /** By name of what was measured, `loss` among them: pairs of step and value, steps ascending. */
  readonly series: { readonly [name: string]: readonly (readonly [number, number])[] };
}

export interface TrainingList {
  readonly trainings: readonly TrainingCurve[];
  readonly unreadable: number;
  /** The folder that is looked through for trainings of one's own; null if none was named. */
  readonly folder: string | null;
}

/** A curve has more points than a screen has pixels soon enough. */
const MOST_POINTS = 600;
const DEEPEST = 4;

/** Trainings in the folder that the server was started with, as they are now, and those of the zoo. */
export function listTrainings(): TrainingList {
  const folder = process.env.CIRCUITSCOPE_TRAINING ?? null;
  const own = folder !== null && existsSync(folder) ? trainingsIn(folder, 0) : [];
  const trainings: TrainingCurve[] = [];
  let unreadable = 0;
  for (const path of [...own, ...keptTrainings()]) {
    try {
      trainings.push(curveOf(path, own.includes(path) && folder !== null ? relative(folder, path) || '.' : null));
    } catch (error) {
      if (!(error instanceof CircuitscopeError)) throw error;
      unreadable += 1;
    }
  }
  return { trainings, unreadable, folder };
}

function trainingsIn(folder: string, depth: number): string[] {
  if (existsSync(join(folder, trainingFiles.log))) return [folder];
  if (depth >= DEEPEST) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !/^(\.|node_modules$)/.test(entry.name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => trainingsIn(join(folder, entry.name), depth + 1));
}

function curveOf(path: string, shown: string | null): TrainingCurve {
  const { head, lines } = readTrainingLog(join(path, trainingFiles.log));
  const series: { [name: string]: [number, number][] } = { loss: [] };
  for (const { step, loss, metrics = {} } of lines) {
    for (const [name, value] of [['loss', loss] as const, ...Object.entries(metrics)]) {
      series[name] = series[name] ?? [];
      series[name].push([step, value]);
    }
  }
  return {
    label: `seed ${head.seed}${shown === null ? '' : ` (${shown})`}`,
    recipe: head.recipe,
    seed: head.seed,
    steps: head.steps,
    finished: (lines.at(-1)?.step ?? 0) >= head.steps,
    series: Object.fromEntries(Object.entries(series).map(([name, points]) => [name, thinned(points)])),
  };
}

/** Every so manyth point, the last always. */
function thinned(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  const stride = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, at) => at % stride === 0 || at === points.length - 1);
}

import { CircuitscopeError, type Json } from '@circuitscope/schema';
import { numericsVersion } from '../experiments/index.ts';
import type { ExecutorInfo } from '../plan/index.ts';
import type { Recipe } from './recipe.ts';

/** Everything that decides the bytes of a training. Equal identities give equal weights and equal logs. */
export interface TrainingIdentity {
  readonly recipe: string;
  readonly seed: number;
  readonly steps: number;
  readonly config: Json;
  readonly optimiser: Json;
  readonly schedule: Json;
  /** Lines of the log and measurements, each so many steps. */
  readonly every: { readonly log: number; readonly evaluate: number };
  /** Whose bits: the native kernels agree everywhere, the reference is another. */
  readonly numerics: string;
}

export function trainingIdentity(recipe: Recipe, seed: number, steps: number, info: ExecutorInfo): TrainingIdentity {
  if (!Number.isSafeInteger(steps) || steps < 1) {
    throw new CircuitscopeError('bad_steps', `A training has at least one step, not ${steps}.`, {
      expected: 'a whole number from 1',
      got: String(steps),
    });
  }
  const { optimiser, schedule, every } = recipe;
  return {
    recipe: recipe.name,
    seed,
    steps,
    config: recipe.config,
    optimiser: { ...optimiser },
    schedule: { ...schedule },
    every: { log: every.log, evaluate: every.evaluate },
    numerics: numericsVersion(info),
  };
}

import { CircuitscopeError } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import type { TokenChoice } from '../features/index.ts';
import type { Executor, RunOptions } from '../plan/index.ts';
import { type MeasuredModel, measureModel } from './measured-model.ts';
import type { Unit } from './score-over-models.ts';
import { type Initialiser, untrainedModel } from './untrained-model.ts';

/** Models of one shape. */
export interface ModelGroup {
  readonly name: string;
  readonly models: readonly { readonly id: string; readonly model: Model; readonly seed?: number }[];
  /** First token and allowed tokens of generated prompts. */
  readonly tokens: TokenChoice;
  /** How models of this group begin, for the untrained ones. */
  readonly initialiser: Initialiser;
  /** Models trained on something else, which the subjects must be unlike; shown as another null, `wrong_training`. */
  readonly trainedOtherwise?: readonly { readonly id: string; readonly model: Model; readonly seed?: number }[];
}

/** A model under comparison with all that was measured of it. */
export interface ComparedUnit extends Unit {
  readonly as: 'subject' | 'control';
  readonly control?: string;
  readonly seed?: number;
  readonly model: MeasuredModel;
}

export interface MeasureGroupsOptions {
  readonly groups: readonly ModelGroup[];
  readonly executor: Executor;
  readonly seed: number;
  readonly examples: number;
  readonly questions: number;
  /** Untrained models per group. */
  readonly untrained?: number;
  readonly run?: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>;
}

/** Subjects in their order, then each group's controls: models of other training, untrained ones. All run the same stimuli. */
export async function measureGroups({
  groups,
  executor,
  seed,
  examples,
  questions,
  untrained,
  run = {},
}: MeasureGroupsOptions): Promise<readonly ComparedUnit[]> {
  const wanted = groups.flatMap(({ name: group, models, tokens, initialiser, trainedOtherwise = [] }) => {
    const [first] = models;
    const count = untrained ?? Math.max(8, models.length);
    return [
      ...models.map((one) => ({ ...one, group, tokens, as: 'subject' as const })),
      ...trainedOtherwise.map((one) => ({ ...one, group, tokens, as: 'control' as const, control: 'wrong_training' })),
      ...Array.from({ length: first ? count : 0 }, (_, draw) => ({
        id: `${group} untrained ${draw}`,
        model: untrainedModel((first as { readonly model: Model }).model, initialiser, drawSeed(seed, draw)),
        seed: drawSeed(seed, draw),
        group,
        tokens,
        as: 'control' as const,
        control: 'untrained',
      })),
    ];
  });
  const measured: ComparedUnit[] = [];
  for (const [index, { model, tokens, as, ...rest }] of wanted.entries()) {
    const found = await measureModel(model, executor, {
      ...tokens,
      seed,
      examples,
      questions: as === 'subject' ? questions : 0,
      run: { ...run, onProgress: (share) => run.onProgress?.((0.95 * (index + share)) / wanted.length) },
    });
    measured.push({ ...rest, as, model: found });
  }
  return measured;
}

/** Untrained models of other comparisons are other draws. */
function drawSeed(seed: number, draw: number): number {
  return seed * 1000 + draw;
}

/** @throws CircuitscopeError `too_few_models` */
export function requireModels(groups: readonly ModelGroup[]): void {
  const [only] = groups;
  const enough = groups.length > 1 ? groups.every(({ models }) => models.length > 0) : (only?.models.length ?? 0) > 1;
  if (enough) return;
  throw new CircuitscopeError(
    'too_few_models',
    'A comparison needs two models of one group, or one of each of several groups; give more seeds.',
    { expected: 'at least 2 models', got: String(only?.models.length ?? 0) },
  );
}

import { CircuitscopeError, type DirectionFinding, type Pos, type Site } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import { repeatedRandomTask, taskData } from '../circuits/index.ts';
import {
  collectActivations,
  directionEffect,
  type FeatureData,
  type FeatureProperty,
  featureData,
  findDirection,
  type HeadScores,
  type ModelSize,
  measureDirection,
  type NullEffects,
  recallPrompts,
} from '../features/index.ts';
import { findSite } from '../graph/index.ts';
import type { Engine, RunOptions } from '../plan/index.ts';
import { toEstimate } from '../statistics/index.ts';
import { Rng } from '../tensor/index.ts';

export interface ExamineDirectionOptions {
  readonly seed: number;
  readonly bos: number | null;
  readonly run?: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>;
}

const PAIRS = 200;
const EFFECT_EXAMPLES = 32;

/**
 * Claim 1 on one property: "the token before is t". The direction is looked for in the stream right after the best
 * previous-token head. Null if the model is too small for the data.
 */
export async function examineDirection(
  engine: Engine,
  model: Model,
  heads: readonly HeadScores[],
  options: ExamineDirectionOptions,
): Promise<DirectionFinding | null> {
  const { vocab, context } = model.spec;
  const { seed, bos } = options;
  const best = [...heads].sort((a, b) => b.previousToken.value - a.previousToken.value)[0];
  if (!best || taskHalf(vocab, context, bos) === null) return null;
  const words = Array.from({ length: vocab }, (_, id) => id).filter((id) => id !== bos);
  const token = new Rng(seed, 'experiments/direction/token').choice(words);
  const site = `blocks.${best.layer}.hook_resid_post`;
  return examineProperty(engine, model, { ...options, site, property: { kind: 'previousIs', token } });
}

export interface ExaminePropertyOptions extends ExamineDirectionOptions {
  readonly site: Site;
  readonly property: FeatureProperty;
  /** Positives, and as many near-misses, that find the direction, and as many that test it; 200 if left out. */
  readonly pairs?: number;
}

/**
 * The direction of a property at a site: found from generated positives and near-misses, judged on fresh ones, and
 * projected out of prompts whose answer rests on the property.
 * @throws CircuitscopeError `unsupported_site`, and what making the data throws
 */
export async function examineProperty(
  engine: Engine,
  model: Model,
  { seed, bos, run = {}, site, property, pairs = PAIRS }: ExaminePropertyOptions,
): Promise<DirectionFinding> {
  const { vocab, context } = model.spec;
  requireVectorSite(engine, site);
  const words = vocab - (bos === null ? 0 : 1);
  const length = Math.min(12, words, context - 1);
  const found = featureData({ vocab, context }, property, { seed, pairs, length, bos });
  const fresh = featureData({ vocab, context }, property, { seed: seed + 1, pairs, length, bos, exclude: [found] });
  const { onProgress, ...quiet } = run;
  const activations = async (data: FeatureData) => ({
    positives: await collectActivations(engine, site, { tokens: data.positives, at: data.at }, quiet),
    negatives: await collectActivations(engine, site, { tokens: data.nearMisses, at: data.at }, quiet),
  });
  const train = await activations(found);
  onProgress?.(0.2);
  const test = await activations(fresh);
  onProgress?.(0.4);
  const { direction, estimator } = findDirection(train);
  const measured = measureDirection(direction, train, test);
  const { prompt, ...asked } = effectPrompts({ vocab, context }, bos, seed, fresh);
  const effect = await directionEffect(engine, {
    at: { site },
    direction,
    prompt,
    readout: { kind: 'logitDiff', ...asked },
    seed,
    run: { ...quiet, ...(onProgress ? { onProgress: (share: number) => onProgress(0.4 + 0.6 * share) } : {}) },
  });
  return {
    site,
    predicate: property.kind === 'previousIs' ? `the token before is ${property.token}` : 'the token occurred before',
    estimator,
    vector: Array.from(direction.data),
    auroc: toEstimate(measured.auroc),
    bestCoordinate: { unit: measured.bestCoordinate.unit, auroc: toEstimate(measured.bestCoordinate.auroc) },
    effect: {
      metric: 'logit_diff',
      before: effect.before,
      after: effect.after,
      change: toEstimate(effect.effect),
      random: [effect.haar, effect.covariance].map(nullRecord),
    },
  };
}

/**
 * Prompts whose answer rests on the property: repeated random tokens that end in t, or anywhere; where vocabulary or
 * context are too small for those, the fresh positives themselves, asked for what followed before.
 */
function effectPrompts(
  { vocab, context }: Pick<ModelSize, 'vocab' | 'context'>,
  bos: number | null,
  seed: number,
  fresh: FeatureData,
) {
  const { property } = fresh;
  const half = taskHalf(vocab, context, bos);
  if (half === null) {
    const { tokens, at, answer, wrong } = recallPrompts(fresh);
    const some = <T>(list: readonly T[]): T[] => list.slice(0, EFFECT_EXAMPLES);
    const where: Pos = { kind: 'perExample', positions: some(at) };
    return { prompt: { tokens: some(tokens) }, at: where, answer: some(answer), wrong: some(wrong) };
  }
  const end = property.kind === 'previousIs' ? { endToken: property.token } : {};
  const task = { name: 'direction', vocab, bos, half, seed: seed + 2, examples: EFFECT_EXAMPLES, ...end };
  const { clean, at, answer, wrong } = taskData(repeatedRandomTask(task));
  return { prompt: clean, at, answer: [...answer], wrong: [...wrong] };
}

/** The width of a site that holds one vector per position. @throws CircuitscopeError `unknown_site`, `unsupported_site` */
export function requireVectorSite({ graph }: Engine, site: Site): number {
  const { shape } = findSite(graph, site);
  const width = shape[2];
  if (shape.length === 3 && typeof width === 'number') return width;
  throw new CircuitscopeError(
    'unsupported_site',
    `${site} does not hold one vector per position but [${shape.join(', ')}]; choose a site such as blocks.0.hook_resid_post.`,
    { at: site, expected: '[batch, pos, width]', got: `[${shape.join(', ')}]` },
  );
}

/** The longest repeated half, up to 20, that vocabulary and context leave room for. */
export function taskHalf(vocab: number, context: number, bos: number | null): number | null {
  const words = vocab - (bos === null ? 0 : 1) - 1;
  const half = Math.min(20, Math.floor(words / 3), Math.floor((context - 1) / 2));
  return half >= 3 ? half : null;
}

function nullRecord({ kind, n, mean, range, p }: NullEffects) {
  return { kind, count: n, mean, interval: range, p };
}

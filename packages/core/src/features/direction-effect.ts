import { CircuitscopeError, type Hash, type Intervention, type Readout, type Scope } from '@circuitscope/schema';
import { type Engine, makePlan, type Prompt, type RunOptions, readoutTensor, runPlan } from '../plan/index.ts';
import {
  bootstrapStandardError,
  drawResamples,
  type Measured,
  meanInterval,
  type PermutationResult,
  permutationP,
  quantile,
} from '../statistics/index.ts';
import { digestTensor, type Tensor } from '../tensor/index.ts';
import { type ExampleMetric, perExample } from './per-example.ts';
import { type RandomKind, randomDirections, removedSquare, unit } from './random-directions.ts';

export interface DirectionEffectSpec {
  /** Where the direction is projected out: a site with a vector per position, or per position and named head. */
  readonly at: Scope;
  /** [width]; any length above zero. */
  readonly direction: Tensor;
  readonly prompt: Prompt;
  /** A logit difference or a loss is read as its mean per example; anything else needs a metric. */
  readonly readout: Readout;
  readonly metric?: ExampleMetric;
  readonly seed: number;
  /** Random directions of each kind; 100 if left out, which is also the least. */
  readonly randoms?: number;
  readonly resamples?: number;
  /** Labels of examples that belong together, one per example. */
  readonly clusters?: readonly number[];
  readonly run?: RunOptions;
}

export interface NullEffects extends PermutationResult {
  readonly kind: RandomKind;
  /** Of the null effects: mean, standard deviation, and the middle 95 %. */
  readonly mean: number;
  readonly deviation: number;
  readonly range: readonly [number, number];
  /** Effect of the direction minus the mean effect of these, per example, with its interval over examples. */
  readonly excess: Measured;
  /** Mean square of what a random direction took away at the site, to be compared with the direction's own. */
  readonly removedSquare: number;
  /** Mean squared cosine with the direction: 1/width for `haar`; a null that resembles the direction is conservative. */
  readonly squaredCosine: number;
}

export interface DirectionEffect {
  readonly before: number;
  readonly after: number;
  /** before − after, over examples: what the projection took away. For a loss, harm is negative. */
  readonly effect: Measured;
  /** Mean over the changed positions of (x·u)². */
  readonly removedSquare: number;
  readonly haar: NullEffects;
  readonly covariance: NullEffects;
}

const leastRandoms = 100;

/**
 * What happens to a readout when x ← x − (x·u)u at a site, against random directions that are projected out at the same
 * place, all as one sweep. p is two-sided, (1 + #{|T*| ≥ |T|}) / (1 + B), with T the mean effect over examples.
 */
export async function directionEffect(engine: Engine, spec: DirectionEffectSpec): Promise<DirectionEffect> {
  const { at, prompt, readout, seed, randoms = leastRandoms, resamples = 2000, run = {} } = spec;
  if (!(Number.isInteger(randoms) && randoms >= leastRandoms)) {
    throw new CircuitscopeError(
      'out_of_range',
      `A null of random directions needs at least ${leastRandoms} of them; got ${randoms}.`,
      { expected: `at least ${leastRandoms}`, got: String(randoms) },
    );
  }
  const direction: Tensor = { shape: spec.direction.shape, data: unit(spec.direction.data) };
  const width = direction.data.length;
  const site = await runPlan(engine, makePlan(engine.graph, { readouts: [{ kind: 'capture', at }] }), prompt, run);
  const activations = asRows(readoutTensor(site, 0), prompt, at, width);
  const kinds = ['haar', 'covariance'] as const;
  const nulls = kinds.map((kind) => randomDirections(kind, activations, randoms, seed));
  const all = [direction, ...nulls.flat()];

  const artefacts = new Map<Hash, Tensor>(run.artefacts ?? []);
  const sweep: Intervention[][] = [[]];
  for (const each of all) {
    const hash = digestTensor(each);
    artefacts.set(hash, each);
    sweep.push([{ kind: 'direction', at, op: 'project_out', direction: hash }]);
  }
  const swept = await runPlan(engine, makePlan(engine.graph, { readouts: [readout], sweep }), prompt, {
    ...run,
    artefacts,
  });
  const effects = effectsOf(perExample(swept, 0, prompt, spec.metric), all.length);

  const draws = drawResamples(
    { size: effects.base.length, ...(spec.clusters ? { clusters: spec.clusters } : {}) },
    seed,
    resamples,
  );
  const bootstrap = { seed, draws, ...(spec.clusters ? { clusters: spec.clusters } : {}) };
  const effect = meanInterval(effects.of(0), bootstrap);
  const [haar, covariance] = kinds.map((kind, of): NullEffects => {
    const members = Array.from({ length: randoms }, (_, index) => effects.of(1 + of * randoms + index));
    const means = Float64Array.from(members, meanOf);
    const excess = effects
      .of(0)
      .map((value, example) => value - meanOf(members.map((member) => member[example] as number)));
    const vectors = nulls[of] as readonly Tensor[];
    return {
      kind,
      ...permutationP(effect.value, means, 'two_sided'),
      mean: meanOf(means),
      deviation: bootstrapStandardError(means) ?? 0,
      range: [quantile(means, 0.025), quantile(means, 0.975)],
      excess: meanInterval(excess, bootstrap),
      removedSquare: meanOf(vectors.map((vector) => removedSquare(activations, vector))),
      squaredCosine: meanOf(
        vectors.map((vector) => removedSquare({ shape: [1, width], data: direction.data }, vector)),
      ),
    };
  });
  const before = meanOf(effects.base);
  return {
    before,
    after: before - effect.value,
    effect,
    removedSquare: removedSquare(activations, direction),
    haar: haar as NullEffects,
    covariance: covariance as NullEffects,
  };
}

/** base: the untouched run, per example; of(i): base minus the run without direction i. */
function effectsOf(
  values: readonly Float64Array[],
  count: number,
): { readonly base: Float64Array; readonly of: (index: number) => Float64Array } {
  const base = values[0] as Float64Array;
  const effects = Array.from({ length: count }, (_, index) =>
    base.map((value, example) => value - (values[index + 1]?.[example] as number)),
  );
  return { base, of: (index) => effects[index] as Float64Array };
}

/** The captured vectors as rows [row, width]; positions under padding are left out. */
function asRows({ shape, data }: Tensor, prompt: Prompt, at: Scope, width: number): Tensor {
  if (shape[shape.length - 1] !== width) {
    throw new CircuitscopeError(
      'shape_mismatch',
      `A direction of length ${width} does not fit ${at.site}, whose vectors have ${shape[shape.length - 1]}.`,
      {
        at: at.site,
        expected: String(shape[shape.length - 1]),
        got: String(width),
      },
    );
  }
  const whole = !at.at || at.at.kind === 'all';
  if (!prompt.mask || !whole) return { shape: [data.length / width, width], data };
  const [, , heads = 1] = shape.length === 4 ? shape : [0, 0, 1];
  const real = prompt.mask.flat();
  const kept: number[] = [];
  for (let row = 0; row < data.length / width; row++) {
    if (real[Math.floor(row / heads)] !== 0)
      for (let unitAt = 0; unitAt < width; unitAt++) kept.push(data[row * width + unitAt] as number);
  }
  return { shape: [kept.length / width, width], data: Float64Array.from(kept) };
}

function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < values.length; at++) sum += values[at] as number;
  return sum / values.length;
}

import { CircuitscopeError } from '@circuitscope/schema';
import { type Auroc, auroc, aurocBootstrap, aurocDifference, dPrime } from '../statistics/index.ts';
import type { Tensor } from '../tensor/index.ts';

/** Activations at one site, [example, width], of examples with and without a property. */
export interface LabelledActivations {
  readonly positives: Tensor;
  readonly negatives: Tensor;
}

export interface FoundDirection {
  readonly estimator: 'difference_of_means';
  /** Unit length, [width], float32. */
  readonly direction: Tensor;
  /** Distance between the class means, in the units of the activations. */
  readonly distance: number;
  readonly positives: number;
  readonly negatives: number;
}

/**
 * The unit vector from the mean of the negatives to the mean of the positives. It ignores the covariance within classes (a
 * linear discriminant would divide by it), so it is the direction in which the classes move, not the best separator; with
 * fewer examples than coordinates it is the one of the two that has a stable estimate.
 * @throws CircuitscopeError `no_difference` if the means are equal
 */
export function findDirection({ positives, negatives }: LabelledActivations): FoundDirection {
  const [up, down] = [meanRow(positives), meanRow(negatives)];
  const width = widthOf(positives, negatives);
  const difference = Float64Array.from({ length: width }, (_, at) => (up[at] as number) - (down[at] as number));
  const distance = Math.sqrt(difference.reduce((sum, value) => sum + value * value, 0));
  if (!(distance > 0)) {
    throw new CircuitscopeError(
      'no_difference',
      'The class means are equal here, so no direction leads from one to the other; choose another site or other examples.',
      { got: String(distance) },
    );
  }
  return {
    estimator: 'difference_of_means',
    direction: { shape: [width], data: Float32Array.from(difference, (value) => value / distance) },
    distance,
    positives: rows(positives),
    negatives: rows(negatives),
  };
}

/** The dot product of each row with a direction. */
export function projectOnto(activations: Tensor, direction: Tensor): Float64Array {
  const width = widthOf(activations, { shape: [1, direction.data.length], data: direction.data });
  const scores = new Float64Array(rows(activations));
  for (let row = 0; row < scores.length; row++) {
    let sum = 0;
    for (let at = 0; at < width; at++)
      sum += (activations.data[row * width + at] as number) * (direction.data[at] as number);
    scores[row] = sum;
  }
  return scores;
}

export interface Separation {
  readonly auroc: Auroc;
  /** null where both classes hold a single value. */
  readonly dPrime: number | null;
}

export interface BestUnit extends Separation {
  readonly unit: number;
  /** −1 where the unit is lower for positives; its values were turned round. */
  readonly sign: 1 | -1;
  /** What it had on the examples that it was chosen on: too high by that choice. */
  readonly trainAuroc: number;
}

export interface DirectionMeasure extends Separation {
  /** On the examples that the direction was found on: too high by that. */
  readonly trainAuroc: number;
  /** The one coordinate that separates best on the training examples, measured on the fresh ones. */
  readonly bestCoordinate: BestUnit;
  /** AUROC of the direction minus that of the best coordinate, on the same fresh examples. */
  readonly advantage: ReturnType<typeof aurocDifference>;
}

export interface SeparationOptions {
  /** `delong` if left out; `bootstrap` draws positives and negatives apart, or pairs of equal index where `paired`. */
  readonly interval?:
    | 'delong'
    | { readonly kind: 'bootstrap'; readonly seed: number; readonly resamples?: number; readonly paired?: boolean };
}

/** How well a direction tells fresh positives from fresh negatives, beside the best single coordinate of the same site. */
export function measureDirection(
  direction: Tensor,
  train: LabelledActivations,
  fresh: LabelledActivations,
  options: SeparationOptions = {},
): DirectionMeasure {
  const score = {
    positives: projectOnto(fresh.positives, direction),
    negatives: projectOnto(fresh.negatives, direction),
  };
  const trained = auroc(projectOnto(train.positives, direction), projectOnto(train.negatives, direction));
  const best = bestUnit(train, fresh, options);
  const rival = {
    positives: column(fresh.positives, best.unit, best.sign),
    negatives: column(fresh.negatives, best.unit, best.sign),
  };
  return {
    ...separation(score, options),
    trainAuroc: trained.value,
    bestCoordinate: best,
    advantage: aurocDifference(score, rival),
  };
}

/** The unit (column) with the largest AUROC, in either sign, on the training examples, and what it does on fresh ones. */
export function bestUnit(
  train: LabelledActivations,
  fresh: LabelledActivations,
  options: SeparationOptions = {},
): BestUnit {
  let best = { unit: 0, sign: 1 as 1 | -1, trainAuroc: Number.NEGATIVE_INFINITY };
  for (let unit = 0; unit < widthOf(train.positives, train.negatives); unit++) {
    const { value } = auroc(column(train.positives, unit, 1), column(train.negatives, unit, 1));
    const sign = value >= 0.5 ? 1 : -1;
    const trainAuroc = Math.max(value, 1 - value);
    if (trainAuroc > best.trainAuroc) best = { unit, sign, trainAuroc };
  }
  const of = (tensor: Tensor): Float64Array => column(tensor, best.unit, best.sign);
  return { ...best, ...separation({ positives: of(fresh.positives), negatives: of(fresh.negatives) }, options) };
}

function separation(
  { positives, negatives }: { readonly positives: Float64Array; readonly negatives: Float64Array },
  { interval = 'delong' }: SeparationOptions,
): Separation {
  const varies = [positives, negatives].some((values) => values.some((value) => value !== values[0]));
  const prime = varies && positives.length > 1 && negatives.length > 1 ? dPrime(positives, negatives).value : null;
  if (interval === 'delong') return { auroc: auroc(positives, negatives), dPrime: prime };
  const { seed, resamples, paired } = interval;
  const clusters = paired ? { clusters: [...positives.keys(), ...negatives.keys()] } : {};
  return {
    auroc: aurocBootstrap(positives, negatives, { seed, ...(resamples ? { resamples } : {}), ...clusters }),
    dPrime: prime,
  };
}

function rows({ shape }: Tensor): number {
  return shape[0] ?? 0;
}

function widthOf(a: Tensor, b: Tensor): number {
  const [countA = 0, width = 0] = a.shape;
  const [countB = 0, other = 0] = b.shape;
  if (a.shape.length !== 2 || b.shape.length !== 2 || width !== other) {
    throw new CircuitscopeError(
      'shape_mismatch',
      `Activations are [example, width] with equal widths; got [${a.shape.join(', ')}] and [${b.shape.join(', ')}].`,
      { expected: String(width), got: String(other) },
    );
  }
  if (countA === 0 || countB === 0 || width === 0)
    throw new CircuitscopeError('too_few', 'A direction needs at least one positive and one negative example.');
  return width;
}

function column({ shape, data }: Tensor, unit: number, sign: 1 | -1): Float64Array {
  const width = shape[1] ?? 0;
  return Float64Array.from({ length: shape[0] ?? 0 }, (_, row) => sign * (data[row * width + unit] as number));
}

function meanRow({ shape, data }: Tensor): Float64Array {
  const [count = 0, width = 0] = shape;
  const sum = new Float64Array(width);
  for (let at = 0; at < data.length; at++) sum[at % width] = (sum[at % width] as number) + (data[at] as number);
  return sum.map((value) => value / count);
}

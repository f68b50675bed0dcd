import { CircuitscopeError } from '@circuitscope/schema';
import { Rng, type Tensor } from '../tensor/index.ts';

/**
 * How a random unit vector is drawn. `haar`: every direction equally likely, so it removes 1/width of the variance on the
 * average. `covariance`: x/‖x‖ with x ~ N(0, Σ), Σ the covariance of given activations, so it lies where the data vary and
 * what it removes is comparable with what a direction that was found in those data removes.
 */
export type RandomKind = 'haar' | 'covariance';

/** Unit vectors, each [width]. `activations` [row, width] give the width, and the covariance where it is asked for. */
export function randomDirections(
  kind: RandomKind,
  activations: Tensor,
  count: number,
  seed: number,
): readonly Tensor[] {
  const [rows = 0, width = 0] = activations.shape;
  const rng = new Rng(seed, `features.random-directions.${kind}`);
  const centred = kind === 'covariance' ? centredRows(activations) : undefined;
  return Array.from({ length: count }, () => {
    const vector = new Float64Array(width);
    // x = Σ gᵢ (aᵢ − mean) with standard normal gᵢ has covariance proportional to Σ, without Σ being formed.
    if (centred) {
      for (let row = 0; row < rows; row++) {
        const weight = rng.normal();
        for (let at = 0; at < width; at++)
          vector[at] = (vector[at] as number) + weight * (centred[row * width + at] as number);
      }
    } else for (let at = 0; at < width; at++) vector[at] = rng.normal();
    return { shape: [width], data: Float32Array.from(unit(vector)) };
  });
}

/** Mean over the rows of (a·u)²: what projecting u out takes from the squared length. */
export function removedSquare(activations: Tensor, direction: Tensor): number {
  const [rows = 0, width = 0] = activations.shape;
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    let dot = 0;
    for (let at = 0; at < width; at++)
      dot += (activations.data[row * width + at] as number) * (direction.data[at] as number);
    sum += dot * dot;
  }
  return sum / rows;
}

/** A copy of unit length, in float64. @throws CircuitscopeError `zero_direction` */
export function unit(vector: ArrayLike<number>): Float64Array {
  let square = 0;
  for (let at = 0; at < vector.length; at++) square += (vector[at] as number) * (vector[at] as number);
  if (!(square > 0 && Number.isFinite(square))) {
    throw new CircuitscopeError(
      'zero_direction',
      'A direction needs a finite length above zero; these activations do not vary, or are not finite.',
      { got: String(square) },
    );
  }
  const length = Math.sqrt(square);
  return Float64Array.from(vector, (value) => value / length);
}

function centredRows({ shape, data }: Tensor): Float64Array {
  const [rows = 0, width = 0] = shape;
  const means = new Float64Array(width);
  for (let at = 0; at < data.length; at++)
    means[at % width] = (means[at % width] as number) + (data[at] as number) / rows;
  return Float64Array.from(data, (value, at) => value - (means[at % width] as number));
}

import { Rng, type Tensor } from '@circuitscope/core';
import type { Shape } from './shape.ts';
import { drawAll } from './tuning-stimuli.ts';

export interface CurveTestOptions {
  readonly seed: number;
  /** What the unit is claimed to prefer. */
  readonly direction: number;
  readonly radius: number;
  /** Of the lines; filled shapes if left out. */
  readonly width?: number;
  /** Examples of each group. */
  readonly count: number;
  /** Directions vary by this much to either side; a tuning's half-width at half its maximum. */
  readonly jitter: number;
  readonly size?: number;
}

/** One group of images for each question that a claim about a curve detector raises, from one list of nuisances. */
export interface CurveTestImages {
  readonly curves: Tensor;
  /** The same directions, offsets and widths: straight, sharply bent, bent the other way; and grey noise. */
  readonly nearMisses: { readonly [name in 'straight' | 'corner' | 'opposing' | 'noise']: Tensor };
  /** For each example a corner whose meeting is rounded step by step: [example][step], radii from 0 to the preferred one. */
  readonly rounding: Tensor;
  readonly roundingSteps: number;
}

const ROUNDING = [0, 0.25, 0.5, 0.75, 1] as const;

export function curveTestImages(options: CurveTestOptions): CurveTestImages {
  const { seed, radius, width, count, jitter, size = 32 } = options;
  const border = width === undefined ? { filled: true } : { width };
  const examples = Array.from({ length: count }, (_, at) => {
    const rng = new Rng(seed, `shapes/curve-test/${at}`);
    const direction = options.direction + jitter * (2 * rng.float() - 1);
    return { direction, offset: 2 * rng.float() - 1, noise: rng.below(2 ** 31) };
  });
  const all = (shape: (example: (typeof examples)[number]) => Shape): Tensor => drawAll(examples.map(shape), size);
  // Its middle has the curve's tangent; its sides leave the circle an eighth of a turn from there.
  const opening = Math.PI / 2;
  const corner = ({ direction, offset }: { direction: number; offset: number }, share: number): Shape => ({
    kind: 'corner',
    direction,
    opening,
    radius: share * radius,
    offset,
    ...border,
  });
  return {
    curves: all(({ direction, offset }) => ({ kind: 'curve', direction, radius, offset, ...border })),
    nearMisses: {
      straight: all(({ direction, offset }) =>
        width === undefined ? { kind: 'edge', direction, offset } : { kind: 'bar', direction, offset, width },
      ),
      corner: all((example) => corner(example, 0)),
      opposing: all(({ direction, offset }) => ({
        kind: 'curve',
        direction: direction + Math.PI,
        radius,
        offset: -offset,
        ...border,
      })),
      noise: all(({ noise }) => ({ kind: 'noise', seed: noise })),
    },
    rounding: drawAll(
      examples.flatMap((example) => ROUNDING.map((share) => corner(example, share))),
      size,
    ),
    roundingSteps: ROUNDING.length,
  };
}

import { CircuitscopeError } from '@circuitscope/schema';
import { atan2, cos, sin } from '../../statistics/index.ts';
import { Rng } from '../../tensor/index.ts';
import { type PlaneKernel, planeOf } from './plane-kernel.ts';

// Families of units that are turned copies of each other, such as curves read from edges: the kernel between two members
// depends on the difference of their angles, turned along (C. Olah et al., Naturally Occurring Equivariance in Neural
// Networks, 2020; N. Cammarata et al., Curve Circuits, 2021).

export interface Equivariance {
  /** 1 − ‖W − PW‖²/‖W‖², P the mean over the four quarter turns: 1 where turning changes nothing, 0 where all is lost. */
  readonly value: number;
  /** The same for members in random order. */
  readonly shuffled: readonly number[];
  /** (1 + how many shuffled ones reach the value) / (1 + their number). */
  readonly p: number;
}

export interface EquivarianceOptions {
  readonly seed: number;
  /** Random orders; 200 if left out. */
  readonly shuffles?: number;
}

export interface FamilyOptions extends EquivarianceOptions {
  /** How many members lie within a quarter turn; a fourth of each family, as of one around the full circle, if left out. */
  readonly quarter?: { readonly out: number; readonly into: number };
}

/**
 * @param kernel from `into` members to `out` members, each list by angle, evenly around the circle (or half of it, for
 * bars); the kernel is square, as quarter turns are the only ones that map pixels on pixels
 */
export function rotationalEquivariance(kernel: PlaneKernel, options: FamilyOptions): Equivariance {
  const { out, into, size } = kernel;
  const { seed, shuffles = 200, quarter = { out: out / 4, into: into / 4 } } = options;
  const fits = (step: number, count: number): boolean =>
    Number.isInteger(step) && step > 0 && count > 0 && (4 * step) % count === 0;
  if (!fits(quarter.out, out) || !fits(quarter.into, into) || size[0] !== size[1]) {
    throw new CircuitscopeError(
      'bad_shape',
      'Equivariance is measured by quarter turns: it needs square kernels, and families that four of them lead back to themselves.',
      { expected: '4n × 4m members', got: `${out} × ${into}, ${size.join(' × ')}` },
    );
  }
  const members = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
  const value = shared(kernel, quarter, members(out), members(into));
  const rng = new Rng(seed, 'equivariance');
  const shuffled = Array.from({ length: shuffles }, () =>
    shared(kernel, quarter, rng.shuffle(members(out)), rng.shuffle(members(into))),
  );
  const reach = shuffled.filter((other) => other >= value).length;
  return { value, shuffled, p: (1 + reach) / (1 + shuffles) };
}

/** ‖PW‖²/‖W‖², which is 1 − ‖W − PW‖²/‖W‖² as P projects. */
function shared(
  kernel: PlaneKernel,
  quarter: { readonly out: number; readonly into: number },
  out: readonly number[],
  into: readonly number[],
): number {
  const side = kernel.size[0];
  let whole = 0;
  let kept = 0;
  for (let o = 0; o < out.length; o++) {
    for (let i = 0; i < into.length; i++) {
      const mean = new Float64Array(side * side);
      for (let turns = 0; turns < 4; turns++) {
        const from = out[(o + turns * quarter.out) % out.length] ?? 0;
        const to = into[(i + turns * quarter.into) % into.length] ?? 0;
        const plane = planeOf(kernel, from, to);
        if (turns === 0) for (const value of plane) whole += value * value;
        mean.forEach((sum, at) => {
          mean[at] = sum + (plane[turned(at, side, turns)] ?? 0) / 4;
        });
      }
      for (const value of mean) kept += value * value;
    }
  }
  return whole === 0 ? 0 : kept / whole;
}

/** Where a pixel comes to lie after so many quarter turns counter-clockwise. */
function turned(at: number, side: number, turns: number): number {
  let [row, column] = [Math.floor(at / side), at % side];
  for (let turn = 0; turn < turns; turn++) [row, column] = [side - 1 - column, row];
  return row * side + column;
}

export interface TangentProfile {
  /** Mean weight where an edge lies along the curve (within 22.5°) and across it (more than 67.5°). */
  readonly along: number;
  readonly across: number;
  /** Σ w·cos 2Δ over the pixels of all curves and edges, by √(Σ w²·Σ cos² 2Δ): from −1 to 1. */
  readonly alignment: number;
  /** The share of random orders of the edges that are aligned as much. */
  readonly p: number;
}

export interface TangentOptions extends EquivarianceOptions {
  /** Of each curve (row of the kernel), the direction it bends to; of each edge (column), that of its normal. */
  readonly curves: readonly number[];
  readonly edges: readonly number[];
  /** Of the curves, in pixels of the kernel, and how far from the curve a pixel counts. */
  readonly radius: number;
  readonly reach?: number;
}

/**
 * Whether curves are read from the edges that are their tangents: Δ is the angle between an edge and the tangent that the
 * curve has next to the pixel. Excitation along and inhibition across is a positive alignment.
 */
export function tangentProfile(kernel: PlaneKernel, options: TangentOptions): TangentProfile {
  const { curves, edges, radius, reach = 1, seed, shuffles = 200 } = options;
  if (curves.length !== kernel.out || edges.length !== kernel.into) {
    throw new CircuitscopeError('bad_shape', 'Every curve and every edge of the kernel needs its direction.', {
      expected: `${kernel.out} curves, ${kernel.into} edges`,
      got: `${curves.length} curves, ${edges.length} edges`,
    });
  }
  const [height, width] = kernel.size;
  const cells: { readonly curve: number; readonly at: number; readonly normal: number }[] = [];
  curves.forEach((direction, curve) => {
    const [cx, cy] = [radius * cos(direction), radius * sin(direction)];
    for (let at = 0; at < height * width; at++) {
      const x = (at % width) - (width - 1) / 2 - cx;
      const y = (height - 1) / 2 - Math.floor(at / width) - cy;
      if (Math.abs(Math.sqrt(x * x + y * y) - radius) <= reach) cells.push({ curve, at, normal: atan2(y, x) });
    }
  });
  const measure = (order: readonly number[]): Omit<TangentProfile, 'p'> => {
    const sums = { product: 0, weights: 0, cosines: 0, along: 0, alongCount: 0, across: 0, acrossCount: 0 };
    edges.forEach((edge, place) => {
      const into = order[place] ?? 0;
      for (const { curve, at, normal } of cells) {
        const w = kernel.data[(curve * kernel.into + into) * height * width + at] ?? 0;
        // An edge and its opposite lie along the same tangent.
        const fit = cos(2 * (edge - normal));
        sums.product += w * fit;
        sums.weights += w * w;
        sums.cosines += fit * fit;
        if (fit >= Math.SQRT1_2) {
          sums.along += w;
          sums.alongCount++;
        } else if (fit <= -Math.SQRT1_2) {
          sums.across += w;
          sums.acrossCount++;
        }
      }
    });
    const size = Math.sqrt(sums.weights * sums.cosines);
    return {
      along: sums.along / Math.max(sums.alongCount, 1),
      across: sums.across / Math.max(sums.acrossCount, 1),
      alignment: size === 0 ? 0 : sums.product / size,
    };
  };
  const own = measure(edges.map((_, at) => at));
  const rng = new Rng(seed, 'tangents');
  const order = edges.map((_, at) => at);
  let reached = 0;
  for (let time = 0; time < shuffles; time++) if (measure(rng.shuffle(order)).alignment >= own.alignment) reached++;
  return { ...own, p: (1 + reached) / (1 + shuffles) };
}

import { CircuitscopeError } from '@circuitscope/schema';
import { atan2, cos, sin } from '../../statistics/index.ts';

// What a unit prefers among directions that lie evenly on the circle. Circular statistics: K. Mardia, P. Jupp,
// Directional Statistics, 2000, §2. The operational questions: N. Cammarata et al., Curve Detectors, 2020.

/** `direction`: a full turn, opposite directions differ (edges, curves). `orientation`: half a turn (bars). */
export type TuningPeriod = 'direction' | 'orientation';

export interface TuningOptions {
  /** Which period the responses cover, evenly, from angle 0; its end is not repeated. */
  readonly over: TuningPeriod;
}

export interface Tuning {
  /** Index and angle of the largest response (the first of equal ones), and that response. */
  readonly peak: { readonly index: number; readonly angle: number; readonly response: number };
  /**
   * |Σ r·e^{imt}| / Σ r and the angle of that sum by m, m = 1 for directions and 2 for orientations: 0 where all angles are
   * alike, 1 where one alone counts. Only responses that are nowhere negative have one: with both signs it is no share of
   * anything and may exceed 1.
   */
  readonly vector:
    | { readonly kind: 'measured'; readonly strength: number; readonly preferred: number }
    | { readonly kind: 'undefined'; readonly because: string };
  /** How far from the peak the response falls to half of it, the mean of both sides, between samples on a straight line. */
  readonly halfWidth: number | null;
  /** Stretches of the circle above half the peak. */
  readonly lobes: number;
  /** Response half a turn from the peak over that at the peak; only of directions. */
  readonly echo: number | null;
}

/**
 * @param responses by angle; at least 4, of which some are above 0 for half-widths, lobes and echo to mean something
 * @throws CircuitscopeError `bad_attribute`
 */
export function describeTuning(responses: ArrayLike<number>, { over }: TuningOptions): Tuning {
  const r = Float64Array.from(responses);
  if (r.length < 4 || !r.every(Number.isFinite)) {
    throw new CircuitscopeError('bad_attribute', 'A tuning curve has at least 4 finite responses.', {
      expected: '4 or more finite numbers',
      got: `${r.length}`,
    });
  }
  const index = r.reduce((best, value, at) => (value > (r[best] ?? 0) ? at : best), 0);
  const response = r[index] ?? 0;
  const step = (over === 'direction' ? 2 * Math.PI : Math.PI) / r.length;
  const positive = response > 0;
  return {
    peak: { index, angle: index * step, response },
    vector: circularMean(r, over),
    halfWidth: positive ? halfWidth(r, index, step) : null,
    lobes: positive ? lobesAbove(r, response / 2) : 0,
    echo: positive && over === 'direction' ? interpolate(r, index + r.length / 2) / response : null,
  };
}

function circularMean(r: Float64Array, over: TuningPeriod): Tuning['vector'] {
  if (r.some((value) => value < 0)) {
    return { kind: 'undefined', because: 'a selectivity index is a share of responses, and some are negative' };
  }
  const total = r.reduce((sum, value) => sum + value, 0);
  if (total === 0) return { kind: 'undefined', because: 'the unit responds to nothing' };
  // Over half a turn the doubled angle runs through the whole circle, as the angle itself does over a full one.
  const turn = (2 * Math.PI) / r.length;
  const x = r.reduce((sum, value, at) => sum + value * cos(turn * at), 0);
  const y = r.reduce((sum, value, at) => sum + value * sin(turn * at), 0);
  const angle = atan2(y, x);
  const whole = angle < 0 ? angle + 2 * Math.PI : angle;
  return {
    kind: 'measured',
    strength: Math.sqrt(x * x + y * y) / total,
    preferred: over === 'direction' ? whole : whole / 2,
  };
}

function halfWidth(r: Float64Array, peak: number, step: number): number | null {
  const half = (r[peak] ?? 0) / 2;
  const reach = (sign: 1 | -1): number | null => {
    for (let away = 1; away < r.length; away++) {
      const [before, here] = [at(r, peak + sign * (away - 1)), at(r, peak + sign * away)];
      if (here <= half) return away - 1 + (before - half) / (before - here);
    }
    return null;
  };
  const [up, down] = [reach(1), reach(-1)];
  return up === null || down === null ? null : ((up + down) / 2) * step;
}

function lobesAbove(r: Float64Array, level: number): number {
  const above = r.reduce((count, value, i) => count + (value > level && at(r, i - 1) <= level ? 1 : 0), 0);
  return above === 0 && r.every((value) => value > level) ? 1 : above;
}

function interpolate(r: Float64Array, place: number): number {
  const low = Math.floor(place);
  return at(r, low) + (place - low) * (at(r, low + 1) - at(r, low));
}

function at(r: Float64Array, index: number): number {
  return r[((index % r.length) + r.length) % r.length] ?? 0;
}

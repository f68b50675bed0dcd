import { assign } from '../kernels/index.ts';
import type { HeadRole } from './head-roles.ts';

/** `matched[i]` is the head of b that stands for head i of a, −1 where b has fewer heads. */
export type Match = readonly number[];

/**
 * How much a difference of relative depth counts beside roles. Roles run over 2 (−1 … 1); first layer against last then
 * costs as much as one role that is there in one head and absent in the other.
 */
const DEPTH_WEIGHT = 1;

/**
 * The heads of two models matched one to one so that the sum of squared differences of roles, and of relative depth, is
 * least. Nothing names a head of one model to the other but what it does on fixed stimuli. `withAblation: false` leaves
 * the ablation profiles out, so that what they say can test the match.
 */
export function matchHeads(a: readonly HeadRole[], b: readonly HeadRole[], withAblation = true): Match {
  const costs = new Float64Array(a.length * b.length);
  a.forEach((one, i) => {
    b.forEach((other, j) => {
      costs[i * b.length + j] =
        apart(vectorOf(one, withAblation), vectorOf(other, withAblation)) +
        DEPTH_WEIGHT * (one.depth - other.depth) ** 2;
    });
  });
  return assign(costs, a.length, b.length).columns;
}

export function vectorOf({ roles, ablation }: HeadRole, withAblation = true): Float64Array {
  return withAblation ? Float64Array.of(...roles, ...ablation) : roles;
}

/** 1 − |u − v|² / (|u|² + |v|²): 1 for equal vectors, 0 for orthogonal ones, less if one is the other's opposite. */
export function identityCoefficient(u: Float64Array, v: Float64Array): number {
  const size = square(u) + square(v);
  return size > 0 ? 1 - apart(u, v) / size : 1;
}

function apart(u: Float64Array, v: Float64Array): number {
  return u.reduce((sum, value, at) => sum + (value - (v[at] as number)) ** 2, 0);
}

function square(u: Float64Array): number {
  return u.reduce((sum, value) => sum + value * value, 0);
}

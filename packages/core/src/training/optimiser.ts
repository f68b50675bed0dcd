import { CircuitscopeError } from '@circuitscope/schema';
import type { AdamWFactors } from '../kernels/index.ts';
import type { Executor } from '../plan/index.ts';
import { type Floats, type Tensor, zeros } from '../tensor/index.ts';

/** AdamW and the clipping before it, as plain data. */
export interface OptimiserSettings {
  readonly kind: 'adamw';
  /** Peak; the schedule multiplies it. */
  readonly learningRate: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  /** Which weights decay: all, matrices alone (no biases, no gains), or those named. */
  readonly decays: 'all' | 'matrices' | readonly string[];
  /** Largest global norm of a gradient; null leaves it as it is. */
  readonly clip: number | null;
}

export type Gradients = ReadonlyMap<string, Floats>;

/** Running means of gradients and of their squares, in the precision of the weights. */
export interface Moments {
  readonly first: Floats;
  readonly second: Floats;
}

export interface AdamW {
  readonly moments: ReadonlyMap<string, Moments>;
  /**
   * Changes every weight in place; nothing where the gradient is not finite.
   * @returns the global norm of the gradient before clipping
   */
  readonly update: (gradients: Gradients, learningRate: number) => number;
}

export interface AdamWStart {
  readonly done?: number;
  readonly moments?: ReadonlyMap<string, Moments>;
  readonly executor?: Pick<Executor, 'adamw'>;
}

/**
 * AdamW (Loshchilov & Hutter, Decoupled weight decay regularization, 2019), in PyTorch's order: with the clipped gradient g,
 *
 *   w ← w·(1 − rate·decay);  m ← m + (1 − β₁)(g − m);  v ← β₂v + (1 − β₂)g²;
 *   w ← w − rate/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + eps)
 *
 * All in float64, rounded where weights and moments are stored. βᵗ is a product repeated t times, and nothing but + − × ÷ √
 * is used, so every runtime makes the same bits.
 *
 * @param done updates that were made already, for a training that goes on
 * @param executor whose own loop over float32 weights is used, if it has one; the bits are the same
 * @throws CircuitscopeError `bad_optimiser` for settings out of range or a decaying weight that does not exist
 */
export function adamW(
  settings: OptimiserSettings,
  weights: ReadonlyMap<string, Tensor>,
  { done = 0, moments, executor }: AdamWStart = {},
): AdamW {
  check(settings, weights);
  const [beta1, beta2] = settings.betas;
  let [power1, power2] = [1, 1];
  const turn = (): void => {
    power1 *= beta1;
    power2 *= beta2;
  };
  for (let t = 0; t < done; t++) turn();
  const state = new Map([...weights].map(([name, weight]) => [name, moments?.get(name) ?? still(weight)]));
  return {
    moments: state,
    update: (gradients, learningRate) => {
      const norm = globalNorm([...weights.keys()].map((name) => gradientOf(gradients, name)));
      if (!Number.isFinite(norm)) return norm;
      const factor = clipFactor(norm, settings.clip);
      turn();
      const size = learningRate / (1 - power1);
      const root = Math.sqrt(1 - power2);
      for (const [name, { data, shape }] of weights) {
        const gradient = gradientOf(gradients, name);
        const { first, second } = state.get(name) ?? still({ data, shape });
        const keep = decays(settings, name, shape) ? 1 - learningRate * settings.weightDecay : 1;
        const entries = { data, gradient, first, second };
        const factors = { factor, beta1, beta2, keep, size, root, eps: settings.eps };
        if (executor?.adamw && areSingle(entries)) executor.adamw(entries, factors);
        else updateEntries(entries, factors);
      }
      return norm;
    },
  };
}

interface Entries {
  readonly data: Floats;
  readonly gradient: Floats;
  readonly first: Floats;
  readonly second: Floats;
}

function areSingle(entries: Entries): entries is { readonly [name in keyof Entries]: Float32Array } {
  return Object.values(entries).every((entry) => entry instanceof Float32Array);
}

/** Millions of entries a step: a plain loop over arrays of equal length. */
function updateEntries(
  { data, gradient, first, second }: Entries,
  { factor, beta1, beta2, keep, size, root, eps }: AdamWFactors,
): void {
  const [rest1, rest2] = [1 - beta1, 1 - beta2];
  for (let at = 0; at < data.length; at++) {
    const g = gradient[at]! * factor;
    const before = first[at]!;
    const m = before + (g - before) * rest1;
    const v = second[at]! * beta2 + g * g * rest2;
    first[at] = m;
    second[at] = v;
    data[at] = data[at]! * keep - size * (m / (Math.sqrt(v) / root + eps));
  }
}

/** √Σg² over all entries, one chain in float64 in the order given. */
export function globalNorm(gradients: Iterable<Floats>): number {
  let sum = 0;
  for (const gradient of gradients) sum = addSquares(sum, gradient);
  return Math.sqrt(sum);
}

/** By index, in a function of its own: iterating over a typed array costs ten times as much. */
function addSquares(before: number, gradient: Floats): number {
  let sum = before;
  for (let at = 0; at < gradient.length; at++) sum += gradient[at]! * gradient[at]!;
  return sum;
}

/** min(1, clip/(norm + 1e-6)), as PyTorch's clip_grad_norm_. */
export function clipFactor(norm: number, clip: number | null): number {
  return clip === null ? 1 : Math.min(1, clip / (norm + 1e-6));
}

export function decays({ decays: which }: OptimiserSettings, name: string, shape: readonly number[]): boolean {
  if (which === 'all') return true;
  return which === 'matrices' ? shape.length > 1 : which.includes(name);
}

function still({ shape, data }: Tensor): Moments {
  const precision = data instanceof Float64Array ? 'f64' : 'f32';
  return { first: zeros(shape, precision).data, second: zeros(shape, precision).data };
}

function gradientOf(gradients: Gradients, name: string): Floats {
  const found = gradients.get(name);
  if (found) return found;
  throw new CircuitscopeError('no_gradient', `There is no gradient for the weight ${name}.`, { at: name });
}

function check(settings: OptimiserSettings, weights: ReadonlyMap<string, Tensor>): void {
  const { learningRate, betas, eps, weightDecay, clip, decays: which } = settings;
  const bad = (at: string, expected: string, got: unknown): CircuitscopeError =>
    new CircuitscopeError('bad_optimiser', `The optimiser's ${at} must be ${expected}, not ${String(got)}.`, {
      at,
      expected,
      got: String(got),
    });
  if (!(learningRate > 0 && learningRate < Number.POSITIVE_INFINITY))
    throw bad('learningRate', 'above 0', learningRate);
  for (const beta of betas) if (!(beta >= 0 && beta < 1)) throw bad('betas', 'from 0 to below 1', beta);
  if (!(eps > 0)) throw bad('eps', 'above 0', eps);
  if (!(weightDecay >= 0 && weightDecay < Number.POSITIVE_INFINITY)) throw bad('weightDecay', 'from 0', weightDecay);
  if (clip !== null && !(clip > 0)) throw bad('clip', 'above 0 or null', clip);
  const unknown = typeof which === 'string' ? undefined : which.find((name) => !weights.has(name));
  if (unknown !== undefined) throw bad('decays', 'a list of weights that are trained', unknown);
}

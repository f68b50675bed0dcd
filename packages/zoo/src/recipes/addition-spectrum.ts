import type { Floats } from '@circuitscope/core';

// Fourier analysis over a prime p; frequencies are 1 … (p − 1)/2. Cosines are rounded to float32, so that every runtime has
// the same.

function waves(p: number, frequency: number): { readonly cos: Float64Array; readonly sin: Float64Array } {
  const angle = (at: number): number => (2 * Math.PI * ((frequency * at) % p)) / p;
  return {
    cos: Float64Array.from({ length: p }, (_, at) => Math.fround(Math.cos(angle(at)))),
    sin: Float64Array.from({ length: p }, (_, at) => Math.fround(Math.sin(angle(at)))),
  };
}

/** Power of each frequency along the rows of a table [≥ p, width], added over its columns. */
export function tableSpectrum(table: Floats, p: number, width: number): Float64Array {
  return Float64Array.from({ length: (p - 1) / 2 }, (_, index) => {
    const { cos, sin } = waves(p, index + 1);
    let power = 0;
    for (let column = 0; column < width; column++) {
      let [c, s] = [0, 0];
      for (let row = 0; row < p; row++) {
        const value = table[row * width + column] ?? 0;
        c += value * (cos[row] ?? 0);
        s += value * (sin[row] ?? 0);
      }
      power += (2 / p) * (c * c + s * s);
    }
    return power;
  });
}

/** [sum, output]: the mean of the logits [a, b, output] over all pairs with that sum. */
function meanOverSums(logits: Floats, p: number): Float64Array {
  const mean = new Float64Array(p * p);
  for (let pair = 0; pair < p * p; pair++) {
    const sum = (Math.floor(pair / p) + (pair % p)) % p;
    for (let out = 0; out < p; out++) {
      mean[sum * p + out] = (mean[sum * p + out] ?? 0) + (logits[pair * p + out] ?? 0) / p;
    }
  }
  return mean;
}

/** Power of each frequency of a + b in the logits [p², p]. */
export function sumSpectrum(logits: Floats, p: number): Float64Array {
  return tableSpectrum(meanOverSums(logits, p), p, p);
}

/** What the given frequencies of a + b contribute to the logits [p², p]. */
export function wavesOfSum(logits: Floats, p: number, frequencies: readonly number[]): Float64Array {
  const mean = meanOverSums(logits, p);
  const kept = new Float64Array(p * p);
  for (const frequency of frequencies) {
    const { cos, sin } = waves(p, frequency);
    for (let out = 0; out < p; out++) {
      let [c, s] = [0, 0];
      for (let sum = 0; sum < p; sum++) {
        c += (mean[sum * p + out] ?? 0) * (cos[sum] ?? 0);
        s += (mean[sum * p + out] ?? 0) * (sin[sum] ?? 0);
      }
      for (let sum = 0; sum < p; sum++) {
        const part = (2 / p) * (c * (cos[sum] ?? 0) + s * (sin[sum] ?? 0));
        kept[sum * p + out] = (kept[sum * p + out] ?? 0) + part;
      }
    }
  }
  const all = new Float64Array(p * p * p);
  for (let pair = 0; pair < p * p; pair++) {
    const sum = (Math.floor(pair / p) + (pair % p)) % p;
    all.set(kept.subarray(sum * p, (sum + 1) * p), pair * p);
  }
  return all;
}

/** Mean logits [p] over all pairs: what stays when every wave is left out. */
export function meanLogits(logits: Floats, p: number): Float64Array {
  const mean = new Float64Array(p);
  for (let at = 0; at < p * p * p; at++) mean[at % p] = (mean[at % p] ?? 0) + (logits[at] ?? 0) / (p * p);
  return mean;
}

/**
 * Share of each neuron's variance over all pairs that one frequency explains: [frequency, neuron], of activations [p², neurons].
 * Of a frequency there are eight waves in a and b: cos and sin of w·a, of w·b, and their four products. A neuron of no
 * variance has shares of 0.
 */
export function neuronShares(activations: Floats, p: number, neurons: number): Float64Array {
  const shares = new Float64Array(((p - 1) / 2) * neurons);
  const table = new Float64Array(p * p);
  const everyWave = Array.from({ length: (p - 1) / 2 }, (_, index) => waves(p, index + 1));
  for (let neuron = 0; neuron < neurons; neuron++) {
    let mean = 0;
    for (let pair = 0; pair < p * p; pair++) mean += (activations[pair * neurons + neuron] ?? 0) / (p * p);
    let variance = 0;
    for (let pair = 0; pair < p * p; pair++) {
      table[pair] = (activations[pair * neurons + neuron] ?? 0) - mean;
      variance += (table[pair] ?? 0) ** 2;
    }
    if (variance < 1e-6) continue;
    everyWave.forEach(({ cos, sin }, index) => {
      const power = powerInBoth(table, p, cos, sin);
      shares[index * neurons + neuron] = power / variance;
    });
  }
  return shares;
}

/** Sum of squares of what the eight waves of a frequency explain of a table [a, b]. They are orthogonal. */
function powerInBoth(table: Float64Array, p: number, cos: Float64Array, sin: Float64Array): number {
  const sums = { a: [0, 0], b: [0, 0], both: [0, 0, 0, 0] };
  const add = (to: number[], at: number, value: number): void => {
    to[at] = (to[at] ?? 0) + value;
  };
  for (let a = 0; a < p; a++) {
    let [all, c, s] = [0, 0, 0];
    for (let b = 0; b < p; b++) {
      const value = table[a * p + b] ?? 0;
      all += value;
      c += value * (cos[b] ?? 0);
      s += value * (sin[b] ?? 0);
    }
    const [ca, sa] = [cos[a] ?? 0, sin[a] ?? 0];
    add(sums.a, 0, all * ca);
    add(sums.a, 1, all * sa);
    add(sums.b, 0, c);
    add(sums.b, 1, s);
    [c * ca, c * sa, s * ca, s * sa].forEach((value, at) => {
      add(sums.both, at, value);
    });
  }
  const squares = (values: readonly number[]): number => values.reduce((sum, value) => sum + value * value, 0);
  return (2 / (p * p)) * (squares(sums.a) + squares(sums.b)) + (4 / (p * p)) * squares(sums.both);
}

/** Mean cross entropy in nats, and the share of right answers, of logits [p², p] at the given pairs. */
export function lossesOf(
  logits: Floats,
  p: number,
  pairs: readonly number[],
): { readonly loss: number; readonly accuracy: number } {
  let [loss, right] = [0, 0];
  for (const pair of pairs) {
    const answer = (Math.floor(pair / p) + (pair % p)) % p;
    let [max, best] = [Number.NEGATIVE_INFINITY, -1];
    for (let out = 0; out < p; out++) {
      const value = logits[pair * p + out] ?? 0;
      if (value > max) [max, best] = [value, out];
    }
    let total = 0;
    for (let out = 0; out < p; out++) total += Math.exp((logits[pair * p + out] ?? 0) - max);
    loss += Math.log(total) + max - (logits[pair * p + answer] ?? 0);
    if (best === answer) right += 1;
  }
  return { loss: loss / pairs.length, accuracy: right / pairs.length };
}

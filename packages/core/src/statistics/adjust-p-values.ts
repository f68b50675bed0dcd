import { CircuitscopeError } from '@circuitscope/schema';

// Adjusted p-values of one family, in the order given: reject where the adjusted value is at most the level.

/** Family-wise error, under any dependence: running maximum of (m − i + 1) p₍ᵢ₎ (Holm 1979). */
export function holm(pValues: ArrayLike<number>): Float64Array {
  return adjust(pValues, 'up', (p, rank, count) => (count - rank + 1) * p);
}

/** Family-wise error: m p. Never better than Holm. */
export function bonferroni(pValues: ArrayLike<number>): Float64Array {
  return adjust(pValues, 'up', (p, _, count) => count * p);
}

/** False discovery rate, independent or positively dependent tests: running minimum from the largest of p₍ᵢ₎ m / i (1995). */
export function benjaminiHochberg(pValues: ArrayLike<number>): Float64Array {
  return adjust(pValues, 'down', (p, rank, count) => (p * count) / rank);
}

/** False discovery rate under any dependence: Benjamini and Hochberg's times 1 + 1/2 + … + 1/m (Benjamini and Yekutieli 2001). */
export function benjaminiYekutieli(pValues: ArrayLike<number>): Float64Array {
  let harmonic = 0;
  for (let i = 1; i <= pValues.length; i++) harmonic += 1 / i;
  return adjust(pValues, 'down', (p, rank, count) => (p * count * harmonic) / rank);
}

function adjust(
  pValues: ArrayLike<number>,
  run: 'up' | 'down',
  scaled: (p: number, rank: number, count: number) => number,
): Float64Array {
  const values = Float64Array.from(pValues);
  const bad = values.findIndex((p) => !(p >= 0 && p <= 1));
  if (bad >= 0) {
    throw new CircuitscopeError('out_of_range', `A p-value lies from 0 to 1; number ${bad} is ${values[bad]}.`, {
      at: `p[${bad}]`,
      expected: '0 … 1',
      got: String(values[bad]),
    });
  }
  const count = values.length;
  const order = Array.from(values, (_, at) => at).sort((a, b) => (values[a] as number) - (values[b] as number));
  const result = new Float64Array(count);
  let running = run === 'up' ? 0 : 1;
  for (let step = 0; step < count; step++) {
    const rank = run === 'up' ? step + 1 : count - step;
    const at = order[rank - 1] as number;
    const value = scaled(values[at] as number, rank, count);
    running = run === 'up' ? Math.max(running, value) : Math.min(running, value);
    result[at] = Math.min(running, 1);
  }
  return result;
}

import { CircuitscopeError } from '@circuitscope/schema';
import { interval, type Measured } from './interval.ts';
import { normalQuantile } from './normal.ts';

/** A share of successes with Wilson's score interval (1927), which stays inside [0, 1] by construction. */
export function wilson(successes: number, trials: number, level = 0.95): Measured {
  checkCounts(successes, trials, 1);
  const z = normalQuantile((1 + level) / 2);
  const share = successes / trials;
  const scale = 1 + (z * z) / trials;
  const middle = (share + (z * z) / (2 * trials)) / scale;
  const reach = (z * Math.sqrt((share * (1 - share)) / trials + (z * z) / (4 * trials * trials))) / scale;
  // At 0 and n of n one end is exactly the share; rounding must not put it beside.
  const low = successes === 0 ? 0 : middle - reach;
  const high = successes === trials ? 1 : middle + reach;
  return {
    value: share,
    standardError: Math.sqrt((share * (1 - share)) / trials),
    ...interval(low, high),
    method: 'wilson',
    level,
    n: trials,
  };
}

/**
 * P(X ≥ k) of a binomial, summed term by term outwards from the largest one. Relative error about n·1e-16, also where the
 * tail is as small as 1e-300.
 */
export function binomialTail(k: number, trials: number, probability: number): number {
  checkCounts(Math.max(0, k), trials, 0);
  if (!(probability >= 0 && probability <= 1)) {
    throw new CircuitscopeError('out_of_range', `A probability lies from 0 to 1; got ${probability}.`, {
      expected: '0 … 1',
      got: String(probability),
    });
  }
  if (k <= 0) return 1;
  if (probability === 0 || probability === 1) return probability;
  const start = Math.max(k, Math.min(trials, Math.floor((trials + 1) * probability)));
  const first = binomialTerm(start, trials, probability);
  const odds = probability / (1 - probability);
  let sum = first;
  for (let at = start, term = first; at < trials && term > 0; at++) {
    term *= ((trials - at) / (at + 1)) * odds;
    sum += term;
  }
  for (let at = start, term = first; at > k && term > 0; at--) {
    term *= at / ((trials - at + 1) * odds);
    sum += term;
  }
  return Math.min(sum, 1);
}

/** C(n, k) pᵏ qⁿ⁻ᵏ as one product whose factors are taken in the order that keeps it near 1. */
function binomialTerm(k: number, trials: number, p: number): number {
  const small = Math.min(k, trials - k);
  let product = 1;
  let choices = 0;
  let successes = 0;
  let failures = 0;
  while (choices < small || successes < k || failures < trials - k) {
    if (choices < small && (product <= 1 || (successes === k && failures === trials - k))) {
      choices += 1;
      product *= (trials - small + choices) / choices;
    } else if (successes < k) {
      successes += 1;
      product *= p;
    } else {
      failures += 1;
      product *= 1 - p;
    }
  }
  return product;
}

function checkCounts(successes: number, trials: number, least: number): void {
  if (
    Number.isInteger(trials) &&
    trials >= least &&
    trials <= 1e7 &&
    Number.isInteger(successes) &&
    successes >= 0 &&
    successes <= trials
  )
    return;
  throw new CircuitscopeError(
    'out_of_range',
    `${successes} of ${trials} is no count of successes; give whole numbers with ${least} ≤ trials ≤ 10 million.`,
    {
      expected: `0 … ${trials}`,
      got: String(successes),
    },
  );
}

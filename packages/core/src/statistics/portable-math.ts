// exp and log from + − × ÷ alone. The runtimes' own differ in the last bit (Math.exp in 9.7 % of doubles), and a bound of
// an interval is stored: with these, equal data give equal bytes in Bun, Node, Deno and browsers.

// ln 2 in two parts; the first has 21 trailing zero bits, so that k × ln2High is exact for |k| < 2^20.
const ln2High = 0.6931471803691238;
const ln2Low = 1.9082149292705877e-10;

const view = new DataView(new ArrayBuffer(8));

/** 2^k for −1022 ≤ k ≤ 1023, exact. */
function powerOfTwo(k: number): number {
  view.setBigUint64(0, BigInt(k + 1023) << 52n);
  return view.getFloat64(0);
}

/** e^x within 2 units in the last place: x = k·ln 2 + r, |r| ≤ ln 2 / 2, and Taylor's polynomial of degree 14 in r. */
export function exp(x: number): number {
  if (Number.isNaN(x)) return Number.NaN;
  if (x > 709.78) return x > 709.782712893384 ? Number.POSITIVE_INFINITY : exp(x - ln2High) * 2;
  if (x < -745.2) return 0;
  const k = Math.round(x / (ln2High + ln2Low));
  const r = x - k * ln2High - k * ln2Low;
  let sum = 1;
  for (let term = 14; term >= 1; term--) sum = 1 + (r / term) * sum;
  // In two steps, so that results below the normal range are rounded once.
  return k < -1000 ? sum * powerOfTwo(k + 200) * powerOfTwo(-200) : sum * powerOfTwo(k);
}

/** ln x within 2 units in the last place away from 1: x = 2^k·m, ln m = 2 artanh((m − 1) / (m + 1)), √½ ≤ m < √2. */
export function log(x: number): number {
  if (!(x > 0)) return x === 0 ? Number.NEGATIVE_INFINITY : Number.NaN;
  if (x === Number.POSITIVE_INFINITY) return x;
  if (x < 2.3e-308) return log(x * powerOfTwo(60)) - 60 * (ln2High + ln2Low);
  view.setFloat64(0, x);
  let k = ((view.getUint16(0) >> 4) & 0x7ff) - 1023;
  let m = x * powerOfTwo(-Math.min(k, 1022));
  if (k === 1023) m /= 2;
  if (m >= Math.SQRT2) {
    m /= 2;
    k += 1;
  }
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let sum = 0;
  for (let odd = 27; odd >= 1; odd -= 2) sum = 1 / odd + square * sum;
  return k * ln2High + (2 * s * sum + k * ln2Low);
}

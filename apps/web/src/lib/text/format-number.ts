// Numbers as the pages print them: three significant digits, a true minus sign, exact small integers as they are.

export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'not a number' : value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  const digits = digitsOf(size);
  return value < 0 && Number(digits) !== 0 ? `−${digits}` : digits;
}

function digitsOf(size: number): string {
  if (Number.isInteger(size) && size < 10_000) return String(size);
  if (size >= 10_000 || size < 0.0005) return size.toExponential(1).replace('e+', 'e').replace('e-', 'e−');
  if (size >= 100) return size.toFixed(1);
  return trimZeros(size >= 0.1 ? size.toPrecision(3) : size.toFixed(3));
}

const trimZeros = (digits: string) => (digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits);

/** With a sign, for a change. */
export function formatChange(value: number): string {
  const text = formatNumber(value);
  return value > 0 && text !== '0' ? `+${text}` : text;
}

export function formatInterval([low, high]: readonly [number, number]): string {
  return `[${formatNumber(low)}, ${formatNumber(high)}]`;
}

/** A p value, never printed as 0. */
export function formatP(p: number): string {
  return p < 0.001 ? '< 0.001' : `= ${formatNumber(p)}`;
}

/** 4096 → 4,096 */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** 98304 → 98.3k, 124439808 → 124M */
export function formatSize(count: number): string {
  const step = [1e9, 1e6, 1e3].find((size) => count >= size);
  if (step === undefined) return String(count);
  const suffix = step === 1e9 ? 'B' : step === 1e6 ? 'M' : 'k';
  return `${trimZeros((count / step).toPrecision(3))}${suffix}`;
}

/** `logit_diff` → `logit diff`: the words of records, for reading. */
export const words = (name: string) => name.replaceAll('_', ' ');

export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** `2026-01-31T12:00:00.000Z` → `31 Jan 2026, 12:00 UTC`; the same on the server and in the page. */
export function formatInstant(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const month = MONTHS[date.getUTCMonth()];
  return `${date.getUTCDate()} ${month} ${date.getUTCFullYear()}, ${date.toISOString().slice(11, 16)} UTC`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

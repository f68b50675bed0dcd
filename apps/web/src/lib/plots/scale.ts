// Positions along an axis in percent of its width, so that a figure drawn on the server fits any screen.

export interface Axis {
  readonly low: number;
  readonly high: number;
  /** Round numbers inside. */
  readonly ticks: readonly number[];
}

/** An axis from the least to the greatest value, with round numbers about `wanted` steps apart on it. */
export function axisFor(values: readonly number[], wanted = 4): Axis {
  const finite = values.filter(Number.isFinite);
  const low = finite.length === 0 ? 0 : Math.min(...finite);
  const most = finite.length === 0 ? 1 : Math.max(...finite);
  const high = most > low ? most : low + (Math.abs(low) || 1);
  const step = roundStep((high - low) / wanted);
  // Sums of tenths drift; a number of steps does not.
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => clean((first + index) * step));
  return { low, high, ticks };
}

/** Percent from the left, between `margin` and 100 − `margin`; what lies outside stands at the end. */
export function place({ low, high }: Axis, value: number, margin = 3): number {
  const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return Math.round((margin + share * (100 - 2 * margin)) * 100) / 100;
}

/** The smallest of 1, 2, 5 × 10ⁿ that is no less. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= step * (1 - 1e-9)) ?? 10;
  return factor * power;
}

const clean = (value: number) => Number(value.toPrecision(12));

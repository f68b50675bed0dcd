// Curves of characters: one row of eighth blocks, or a small plot of braille dots.

const blocks = '▁▂▃▄▅▆▇█';

/** One row, higher blocks for higher values; all in the middle where the values are equal. */
export function sparkline(values: readonly number[], width: number): string {
  const points = resampled(values, width);
  const { low, high } = rangeOf(points);
  return points
    .map((value) => {
      const share = high > low ? (value - low) / (high - low) : 0.5;
      return blocks[Math.min(blocks.length - 1, Math.floor(share * blocks.length))] ?? ' ';
    })
    .join('');
}

/** Dots of a braille cell, left column then right, from the top: U+2800 plus these bits. */
const dots = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const;

export interface Plot {
  readonly rows: readonly string[];
  /** What the last and the first row stand for. */
  readonly low: number;
  readonly high: number;
}

/** `height` rows of `width` cells, each 2 × 4 dots; neighbouring points are joined. */
export function plot(values: readonly number[], width: number, height: number): Plot {
  const cells = Array.from({ length: height }, () => new Array<number>(width).fill(0));
  const points = resampled(values, 2 * width);
  const { low, high } = rangeOf(points);
  const bottom = 4 * height - 1;
  const rowOf = (value: number): number =>
    high > low ? Math.round(((high - value) / (high - low)) * bottom) : Math.round(bottom / 2);
  let last: number | undefined;
  points.forEach((value, column) => {
    const row = rowOf(value);
    const from = last ?? row;
    // The stroke towards a point belongs to its own column, without the dot where the last one ended.
    const start = from < row ? from + 1 : from > row ? from - 1 : row;
    for (let y = Math.min(start, row); y <= Math.max(start, row); y++) {
      const cell = cells[Math.floor(y / 4)];
      const x = Math.floor(column / 2);
      if (cell) cell[x] = (cell[x] ?? 0) | (dots[column % 2 === 0 ? 0 : 1][y % 4] ?? 0);
    }
    last = row;
  });
  return { rows: cells.map((row) => row.map((bits) => String.fromCharCode(0x2800 + bits)).join('')), low, high };
}

/** At most `count` values: means of even stretches where there are more. */
function resampled(values: readonly number[], count: number): readonly number[] {
  if (values.length <= count) return values;
  return Array.from({ length: count }, (_, at) => {
    const from = Math.floor((at * values.length) / count);
    const stretch = values.slice(from, Math.floor(((at + 1) * values.length) / count));
    return stretch.reduce((a, b) => a + b, 0) / stretch.length;
  });
}

/** (∞, −∞) where there are no values. */
export function rangeOf(values: readonly number[]): { readonly low: number; readonly high: number } {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return { low, high };
}

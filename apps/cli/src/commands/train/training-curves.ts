import type { LogLine } from '@circuitscope/core';
import { numbers, oneLine, type Style } from '../../output/index.ts';
import { plot, rangeOf, sparkline } from './curves.ts';

const PLOT_ROWS = 5;
const MOST_METRICS = 12;

/** The loss as a plot (its logarithm where it spans more than one power of ten), then a row for each measurement. */
export function trainingCurves(lines: readonly LogLine[], columns: number, style: Style): string[] {
  const losses = lines.map(({ loss }) => loss);
  const last = losses.at(-1);
  if (last === undefined) return [];
  const names = [...new Set(lines.flatMap(({ metrics = {} }) => Object.keys(metrics)))];
  const shown = names.slice(0, MOST_METRICS);
  const left = Math.min(28, Math.max('loss'.length, ...shown.map((name) => name.length)));
  const [head, value] = [(name: string) => oneLine(name).slice(0, left).padEnd(left), 9];
  const room = Math.max(8, Math.min(72, columns - left - value - 6));

  const { low, high } = rangeOf(losses);
  const logarithmic = low > 0 && high > 10 * low;
  const drawn = plot(logarithmic ? losses.map(Math.log10) : losses, room, PLOT_ROWS);
  const label = (row: number): string => {
    const shownAs = (end: number): string => numbers.number(logarithmic ? 10 ** end : end, 3);
    return row === 0 ? shownAs(drawn.high) : row === PLOT_ROWS - 1 ? shownAs(drawn.low) : '';
  };
  const rows = drawn.rows.map((dots, row) => {
    const name = row === 0 ? style.bold(head('loss')) : row === 1 && logarithmic ? style.dim(head('log')) : head('');
    return `${name}  ${label(row).padStart(value)}  ${dots}`.trimEnd();
  });
  for (const name of shown) {
    const values = lines.flatMap(({ metrics }) => metrics?.[name] ?? []);
    const now = numbers.number(values.at(-1) ?? Number.NaN, 4);
    rows.push(`${style.bold(head(name))}  ${now.padStart(value)}  ${sparkline(values, room)}`);
  }
  if (names.length > shown.length) rows.push(style.dim(`and ${names.length - shown.length} more in the log`));
  return rows;
}

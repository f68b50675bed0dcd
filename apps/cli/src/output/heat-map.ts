import { oneLine } from './report-error.ts';
import type { Style } from './style.ts';
import { widthOf } from './table.ts';

export interface HeatMap {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** What goes down and what across. */
  readonly corner: string;
  /** Row-major; null stands for nothing measured. */
  readonly values: readonly (number | null)[];
  /** The value that is as red as can be. */
  readonly full: number;
  readonly cell: (value: number) => string;
}

/** The longest label of a column, in characters. */
const LABEL = 8;

/** Numbers in cells whose ground says how large they are; numbers alone where there is no colour. */
export function heatMap({ rows, columns, corner, values, full, cell }: HeatMap, style: Style): string {
  const cells = values.map((value) => (value === null ? '·' : cell(value)));
  const heads = columns.map((label) => shortened(oneLine(label)));
  const left = Math.max(...[corner, ...rows].map(widthOf));
  const wide = Math.max(3, ...[...cells, ...heads].map(widthOf));
  const padded = (text: string): string => ` ${' '.repeat(wide - widthOf(text))}${text}`;
  const label = (text: string): string => text + ' '.repeat(left - widthOf(text));
  const lines = rows.map((row, at) => {
    const line = columns.map((_, column) => {
      const index = at * columns.length + column;
      return style.heat((values[index] ?? 0) / (full || 1), padded(cells[index] ?? ''));
    });
    return `${style.dim(label(row))}${line.join('')}`;
  });
  return `${[style.dim(`${label(corner)}${heads.map(padded).join('')}`), ...lines].join('\n')}\n`;
}

function shortened(label: string): string {
  const all = [...label];
  return all.length <= LABEL ? label : `${all.slice(0, LABEL - 1).join('')}…`;
}

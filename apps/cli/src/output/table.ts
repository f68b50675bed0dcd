import { oneLine } from './report-error.ts';
import { plain, type Style } from './style.ts';

export interface Column {
  readonly title: string;
  /** Numbers stand at the right so that their digits meet; words at the left. */
  readonly align?: 'left' | 'right';
}

/** Aligned columns with two spaces between. Cells are text for people: control characters in them are replaced. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style = plain): string {
  const cells = rows.map((row) => columns.map((_, at) => oneLine(row[at] ?? '')));
  const widths = columns.map(({ title }, at) =>
    Math.max(widthOf(title), ...cells.map((row) => widthOf(row[at] ?? ''))),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, at) => {
        const space = ' '.repeat((widths[at] ?? 0) - widthOf(cell));
        return columns[at]?.align === 'right' ? space + cell : cell + space;
      })
      .join('  ')
      .trimEnd();
  const head = style.dim(line(columns.map(({ title }) => title)));
  return `${[head, ...cells.map(line)].join('\n')}\n`;
}

/** `name  value` lines, for the properties of one thing. */
export function properties(rows: readonly (readonly [string, string])[]): string {
  const left = Math.max(...rows.map(([name]) => widthOf(name)));
  return `${rows.map(([name, value]) => `${name}${' '.repeat(left - widthOf(name))}  ${oneLine(value)}`).join('\n')}\n`;
}

/** Columns of the terminal: code points, wide ones counted twice. */
export function widthOf(text: string): number {
  let columns = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    columns += /\p{Mn}/u.test(character) ? 0 : isWide(code) ? 2 : 1;
  }
  return columns;
}

const isWide = (code: number) =>
  (code >= 0x1100 && code <= 0x115f) ||
  (code >= 0x2e80 && code <= 0xa4cf) ||
  (code >= 0xac00 && code <= 0xd7a3) ||
  (code >= 0xf900 && code <= 0xfaff) ||
  (code >= 0xff00 && code <= 0xff60) ||
  (code >= 0x1f300 && code <= 0x1faff) ||
  (code >= 0x20000 && code <= 0x3fffd);

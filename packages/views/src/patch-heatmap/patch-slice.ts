// A grid of patched places as rows and columns. Two axes are the picture; of three, the one behind the first two is chosen or
// the strongest cell over it is shown; a pattern's [layer, head, query, key] chooses layer and head together.

import { type PatchAxis, type PatchGrid, type Patching, patchShare } from '@circuitscope/schema';

export interface PatchCell {
  readonly site: string;
  readonly at: { readonly [axis in PatchAxis]?: number };
  /** The metric with this place patched. */
  readonly value: number;
  /** Of the whole difference; null where there is none. */
  readonly share: number | null;
}

export interface PatchSlice {
  readonly down: string;
  readonly across: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** The share that has the full colour: 1, or more where a cell passes it. */
  readonly scale: number;
  readonly cell: (row: number, column: number) => PatchCell | undefined;
}

interface Layout {
  readonly down: number;
  readonly across: number;
  /** Axes that are neither rows nor columns. */
  readonly others: readonly number[];
}

function layoutOf({ axes }: PatchGrid): Layout {
  const query = axes.indexOf('query');
  const key = axes.indexOf('key');
  const down = query >= 0 && key >= 0 ? query : 0;
  const position = axes.indexOf('position');
  const across = query >= 0 && key >= 0 ? key : position > 0 ? position : axes.length - 1;
  return { down, across, others: axes.map((_, axis) => axis).filter((axis) => axis !== down && axis !== across) };
}

/** What can be chosen besides rows and columns, or null. */
export function sliceChoices(grid: PatchGrid): { readonly axis: string; readonly count: number } | null {
  const { others } = layoutOf(grid);
  if (others.length === 0) return null;
  return {
    axis: others.map((axis) => grid.axes[axis]).join(' · '),
    count: others.reduce((count, axis) => count * (grid.shape[axis] ?? 1), 1),
  };
}

/** @param chosen place along the axes that are not drawn; null takes the strongest cell over them */
export function patchSlice(patching: Patching, grid: PatchGrid, chosen: number | null): PatchSlice {
  const { axes, shape } = grid;
  const { down, across, others } = layoutOf(grid);
  const count = others.reduce((product, axis) => product * (shape[axis] ?? 1), 1);
  const read = (row: number, column: number, other: number): PatchCell | undefined => {
    const place = axes.map(() => 0);
    place[down] = row;
    if (across !== down) place[across] = column;
    let left = other;
    for (const axis of [...others].reverse()) {
      place[axis] = left % (shape[axis] ?? 1);
      left = Math.floor(left / (shape[axis] ?? 1));
    }
    const value = grid.values[place.reduce((flat, index, axis) => flat * (shape[axis] ?? 1) + index, 0)];
    if (value === undefined) return undefined;
    const at = Object.fromEntries(axes.map((axis, i) => [axis, place[i] ?? 0]));
    return { site: grid.site, at, value, share: patchShare(patching, value) };
  };
  const cell = (row: number, column: number): PatchCell | undefined => {
    if (chosen !== null) return read(row, column, chosen);
    let best: PatchCell | undefined;
    for (let other = 0; other < count; other++) {
      const one = read(row, column, other);
      if (!best || Math.abs(one?.share ?? 0) > Math.abs(best.share ?? 0)) best = one;
    }
    return best;
  };
  const shares = grid.values.map((value) => Math.abs(patchShare(patching, value) ?? 0));
  const names = (axis: number): string[] =>
    Array.from({ length: shape[axis] ?? 0 }, (_, index) => {
      const ofTokens = axes[axis] === 'position' || axes[axis] === 'query' || axes[axis] === 'key';
      return (ofTokens ? patching.tokens?.base[index] : undefined) ?? String(index);
    });
  return {
    down: axes[down] ?? '',
    across: across === down ? grid.site : (axes[across] ?? ''),
    rows: names(down),
    columns: across === down ? [grid.site] : names(across),
    scale: shares.reduce((most, share) => Math.max(most, share), 1),
    cell,
  };
}

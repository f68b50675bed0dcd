import { type PatchGrid, type Patching, patchMetricNames, patchShare } from '@circuitscope/schema';
import { heatMap, numbers, type Style, table } from '../../output/index.ts';

/** Each grid as a heat map of shares in percent, then the cells that do most. */
export function patchText(patching: Patching, style: Style): string {
  const { base, source, direction, examples, work } = patching;
  const [run, from] = direction === 'denoise' ? ['corrupt', 'clean'] : ['clean', 'corrupt'];
  const maps = patching.grids.map((grid) => gridText(grid, patching, style));
  const counted = work.multiplyAdds / 1e9;
  return [
    `${patchMetricNames[patching.metric]}: ${numbers.fixed(base)} on the ${run} prompts, ${numbers.fixed(source)} on the ${from} ones; ${examples} examples`,
    `cells: how much of that difference one place brings, in percent (${run} prompts run, the place comes from ${from})`,
    '',
    ...maps,
    topText(patching, style),
    `${numbers.number(counted, 3)} billion multiply-adds; a forward pass per cell takes ${numbers.number(work.dense / 1e9, 3)} (${numbers.number(work.dense / Math.max(work.multiplyAdds, 1), 3)} times as many)`,
  ].join('\n');
}

function gridText(grid: PatchGrid, patching: Patching, style: Style): string {
  const { site, axes, shape } = grid;
  const shares = grid.values.map((value) => patchShare(patching, value));
  const [layers = 0, columns = 1] = [shape[0], shape.at(-1)];
  const between = shape.slice(1, -1).reduce((a, b) => a * b, 1);
  // With more than two axes a cell shows the largest share over those in the middle, with its sign.
  const values = Array.from({ length: layers * columns }, (_, at) => {
    let best: number | null = null;
    for (let middle = 0; middle < between; middle++) {
      const share = shares[(Math.floor(at / columns) * between + middle) * columns + (at % columns)] ?? null;
      if (share !== null && Math.abs(share) > Math.abs(best ?? 0)) best = share;
      best ??= share;
    }
    return best;
  });
  const across = axes.at(-1) ?? 'layer';
  const tokens = across === 'position' ? patching.tokens?.base : undefined;
  const largest = between > 1 ? `, largest over ${axes.slice(1, -1).join(' and ')}` : '';
  const map = heatMap(
    {
      rows: Array.from({ length: layers }, (_, layer) => String(layer)),
      columns: axes.length === 1 ? [site] : Array.from({ length: columns }, (_, at) => tokens?.[at] ?? String(at)),
      corner: `layer \\ ${across}`,
      values: axes.length === 1 ? shares : values,
      full: 1,
      cell: (share) => String(Math.round(100 * share) || 0),
    },
    style,
  );
  return `${style.bold(site)}${largest}\n${map}`;
}

const TOP = 10;

function topText(patching: Patching, style: Style): string {
  const cells = patching.grids.flatMap((grid) =>
    grid.values.map((value, at) => ({ grid, at, value, share: patchShare(patching, value) })),
  );
  const top = cells
    .sort((a, b) => Math.abs(b.value - patching.base) - Math.abs(a.value - patching.base))
    .slice(0, TOP)
    .map(({ grid, at, value, share }) => [
      `${grid.site} ${placeOf(grid, at)
        .map((index, axis) => `${grid.axes[axis]} ${index}`)
        .join(', ')}`,
      numbers.fixed(value),
      share === null ? '–' : `${numbers.fixed(100 * share, 1)} %`,
    ]);
  const right = { align: 'right' as const };
  return table(
    [{ title: 'place' }, { title: patchMetricNames[patching.metric], ...right }, { title: 'share', ...right }],
    top,
    style,
  );
}

/** Indices along the axes of a cell. */
export function placeOf({ shape }: PatchGrid, cell: number): number[] {
  return shape.map((size, axis) => Math.floor(cell / shape.slice(axis + 1).reduce((a, b) => a * b, 1)) % size);
}

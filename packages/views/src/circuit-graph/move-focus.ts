// Arrow keys walk over nodes as they are drawn: up and down to the nearest node of the next row, left and right inside
// a row. At an edge of the drawing the focus stays.

import type { PlacedNode } from './layout.ts';

export type FocusMove = 'up' | 'down' | 'left' | 'right' | 'first' | 'last';

export function moveFocus(nodes: readonly PlacedNode[], from: string | undefined, move: FocusMove): string | undefined {
  const here = nodes.find((placed) => placed.node.id === from);
  if (!here) return nodes[0]?.node.id;
  if (move === 'first') return nodes[0]?.node.id;
  if (move === 'last') return nodes.at(-1)?.node.id;
  if (move === 'left' || move === 'right') {
    const column = here.column + (move === 'right' ? 1 : -1);
    return nodes.find((placed) => placed.row === here.row && placed.column === column)?.node.id ?? from;
  }
  const row = here.row + (move === 'up' ? 1 : -1);
  let best: PlacedNode | undefined;
  for (const placed of nodes) {
    if (placed.row === row && (!best || Math.abs(placed.x - here.x) < Math.abs(best.x - here.x))) best = placed;
  }
  return best?.node.id ?? from;
}

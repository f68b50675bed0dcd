// Which edge is under the pointer. Lines are sampled into a grid once per layout, so a question costs the same for a
// dozen edges and for thousands; an invisible wide path per edge would double the document instead.

import { pointOnEdge } from './edge-path.ts';
import type { PlacedEdge } from './layout.ts';

const CELL = 24;
const STEP = 7;

export interface EdgeGrid {
  /** The nearest edge that `shown` accepts within `radius` pixels, or undefined. */
  readonly nearest: (x: number, y: number, radius: number, shown: (id: string) => boolean) => string | undefined;
}

export function edgeGrid(edges: readonly PlacedEdge[]): EdgeGrid {
  const cells = new Map<number, { readonly x: number; readonly y: number; readonly edge: number }[]>();
  edges.forEach((placed, edge) => {
    let length = 0;
    placed.points.forEach((point, i) => {
      const before = placed.points[i - 1];
      if (before) length += Math.hypot(point.x - before.x, point.y - before.y);
    });
    const samples = Math.max(2, Math.ceil(length / STEP));
    for (let i = 0; i <= samples; i++) {
      const { x, y } = pointOnEdge(placed.points, i / samples);
      const key = cellOf(x, y);
      const cell = cells.get(key);
      if (cell) cell.push({ x, y, edge });
      else cells.set(key, [{ x, y, edge }]);
    }
  });
  return {
    nearest(x, y, radius, shown) {
      const reach = Math.ceil(radius / CELL);
      let best: number | undefined;
      let bestDistance = radius;
      for (let dy = -reach; dy <= reach; dy++) {
        for (let dx = -reach; dx <= reach; dx++) {
          for (const sample of cells.get(cellOf(x + dx * CELL, y + dy * CELL)) ?? []) {
            const distance = Math.hypot(sample.x - x, sample.y - y);
            if (distance < bestDistance && shown(edges[sample.edge]!.edge.id)) {
              best = sample.edge;
              bestDistance = distance;
            }
          }
        }
      }
      return best === undefined ? undefined : edges[best]!.edge.id;
    },
  };
}

function cellOf(x: number, y: number): number {
  return Math.floor(y / CELL) * 65_536 + Math.floor(x / CELL);
}

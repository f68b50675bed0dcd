// The line of an edge: cubic pieces with vertical tangents at every point, so that it enters ports straight from below.

import type { Point } from './layout.ts';

/** Share of a piece's height that its control points take. */
const TENSION = 0.46;

export function edgePath(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (!first) return '';
  let path = `M${round(first.x)},${round(first.y)}`;
  let from = first;
  for (const to of rest) {
    const pull = (to.y - from.y) * TENSION;
    path += `C${round(from.x)},${round(from.y + pull)},${round(to.x)},${round(to.y - pull)},${round(to.x)},${round(to.y)}`;
    from = to;
  }
  return path;
}

/** The point at share `t` (0 … 1) of the line, pieces counted alike. */
export function pointOnEdge(points: readonly Point[], t: number): Point {
  const pieces = points.length - 1;
  if (pieces < 1) return points[0] ?? { x: 0, y: 0 };
  const piece = Math.min(pieces - 1, Math.max(0, Math.floor(t * pieces)));
  const u = Math.min(1, Math.max(0, t * pieces - piece));
  const from = points[piece]!;
  const to = points[piece + 1]!;
  const pull = (to.y - from.y) * TENSION;
  const v = 1 - u;
  return {
    x: (v * v * v + 3 * v * v * u) * from.x + (3 * v * u * u + u * u * u) * to.x,
    y: v * v * v * from.y + 3 * v * v * u * (from.y + pull) + 3 * v * u * u * (to.y - pull) + u * u * u * to.y,
  };
}

/** Whole and half pixels are enough for the eye and keep thousands of paths short. */
function round(value: number): number {
  return Math.round(value * 10) / 10;
}

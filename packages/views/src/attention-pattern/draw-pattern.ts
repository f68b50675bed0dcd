// A heat map on a canvas: one fill per cell, opacity linear in the weight, in the colour of the canvas's own text. So the
// theme decides the hue, the paper shows through at 0, and the legend can say "0 to 1, linear" and be right.

import type { Pattern } from './pattern.ts';

export interface CanvasLike {
  fillStyle: string | CanvasGradient | CanvasPattern;
  globalAlpha: number;
  clearRect: (x: number, y: number, width: number, height: number) => void;
  fillRect: (x: number, y: number, width: number, height: number) => void;
}

/** Paints the square into `side` device pixels. Cells share exact borders, so no seams show at fractional sizes. */
export function drawPattern(context: CanvasLike, pattern: Pattern, side: number, colour: string): void {
  const edge = (i: number) => Math.round((i * side) / pattern.size);
  context.clearRect(0, 0, side, side);
  context.fillStyle = colour;
  for (let query = 0; query < pattern.size; query++) {
    const y = edge(query);
    for (let key = 0; key < pattern.size; key++) {
      const weight = pattern.at(query, key);
      if (weight <= 0) continue;
      context.globalAlpha = Math.min(1, weight);
      context.fillRect(edge(key), y, edge(key + 1) - edge(key), edge(query + 1) - y);
    }
  }
  context.globalAlpha = 1;
}

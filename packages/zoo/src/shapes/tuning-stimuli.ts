import { type Tensor, tensor } from '@circuitscope/core';
import { drawShape } from './draw-shape.ts';
import type { Shape } from './shape.ts';

/** A full factorial design: every direction with every radius and every offset. */
export interface TuningDesign {
  readonly kind: 'bar' | 'edge' | 'curve';
  /** How many directions of the full circle, evenly from 0. */
  readonly directions: number;
  /** Of curves; [0] for bars and edges. */
  readonly radii: readonly number[];
  /** The phase: how far the drawing lies from the centre along its normal. */
  readonly offsets: readonly number[];
  /** Of a line; an edge has none, a curve without it is filled. */
  readonly width?: number;
  readonly size?: number;
}

export interface TuningStimuli {
  /** [directions · radii · offsets, 1, size, size] in this order, from −½ to ½. */
  readonly images: Tensor;
  readonly shapes: readonly Shape[];
  readonly design: TuningDesign;
}

export function tuningStimuli(design: TuningDesign): TuningStimuli {
  const shapes: Shape[] = [];
  for (let at = 0; at < design.directions; at++) {
    const direction = (2 * Math.PI * at) / design.directions;
    for (const radius of design.radii)
      for (const offset of design.offsets) shapes.push(shapeOf(design, { direction, radius, offset }));
  }
  return { images: drawAll(shapes, design.size ?? 32), shapes, design };
}

function shapeOf(design: TuningDesign, at: { direction: number; radius: number; offset: number }): Shape {
  const { direction, radius, offset } = at;
  const border = design.width === undefined ? { filled: true } : { width: design.width };
  switch (design.kind) {
    case 'bar':
      return { kind: 'bar', direction, offset, width: design.width ?? 2 };
    case 'edge':
      return { kind: 'edge', direction, offset };
    case 'curve':
      return { kind: 'curve', direction, radius, offset, ...border };
  }
}

/**
 * Images of the shapes, [count, 1, size, size], light ½ on dark −½. Not standardised: a small disc would then have more
 * contrast at its border than half a plane, and every edge unit would prefer curves to straight edges.
 */
export function drawAll(shapes: readonly Shape[], size: number): Tensor {
  const data = new Float32Array(shapes.length * size * size);
  shapes.forEach((shape, at) => {
    data.set(drawShape(shape, { size, background: -0.5 }), at * size * size);
  });
  return tensor([shapes.length, 1, size, size], data);
}

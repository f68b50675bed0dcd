import { cos, Rng, sin } from '@circuitscope/core';
import type { Shape } from './shape.ts';

export interface DrawOptions {
  /** Pixels of a side. */
  readonly size: number;
  readonly background?: number;
  /** Grey level of what is drawn, minus the background; negative for dark on light. */
  readonly contrast?: number;
  /** Moves the whole drawing, [right, up]. */
  readonly shift?: readonly [number, number];
}

/**
 * One grey image, row by row from the top. A pixel holds the share of it that the shape covers, taken as a ramp of one
 * pixel across its border; only + − × ÷ √ and our own sine, so the bytes are equal everywhere.
 */
export function drawShape(shape: Shape, options: DrawOptions): Float32Array {
  const { size, background = 0, contrast = 1, shift = [0, 0] } = options;
  const cover = coverage(shape);
  const image = new Float32Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const x = column + 0.5 - size / 2 - shift[0];
      const y = size / 2 - row - 0.5 - shift[1];
      image[row * size + column] = background + contrast * cover(x, y);
    }
  }
  return image;
}

/** Mean 0 and mean square 1, so that images differ in what they show and not in light or contrast; a flat one becomes 0. */
export function standardised(image: Float32Array): Float32Array {
  const mean = image.reduce((sum, value) => sum + value, 0) / image.length;
  const square = image.reduce((sum, value) => sum + (value - mean) * (value - mean), 0) / image.length;
  const scale = square < 1e-12 ? 0 : 1 / Math.sqrt(square);
  return image.map((value) => (value - mean) * scale);
}

type Field = (x: number, y: number) => number;

function coverage(shape: Shape): Field {
  if (shape.kind === 'noise') {
    // Drawn pixel by pixel in the order of the calls.
    const rng = new Rng(shape.seed, 'shapes/noise');
    return () => rng.float();
  }
  const [nx, ny] = [cos(shape.direction), sin(shape.direction)];
  const along: (field: Field) => Field = (field) => (x, y) => field(x * nx + y * ny, y * nx - x * ny);
  if (shape.kind === 'grating') {
    const turn = (2 * Math.PI) / shape.period;
    return along((u) => 0.5 + 0.5 * cos(turn * u - (shape.phase ?? 0)));
  }
  const distance = signedDistance(shape);
  return along((u, v) => Math.min(1, Math.max(0, 0.5 - distance(u, v))));
}

type Solid = Exclude<Shape, { kind: 'noise' | 'grating' }>;

/** How far (u, v) is from the shape's border, negative inside; u along the normal, v across it. */
function signedDistance(shape: Solid): Field {
  switch (shape.kind) {
    case 'bar': {
      const { width, offset = 0, length = Number.POSITIVE_INFINITY } = shape;
      return (u, v) => Math.max(Math.abs(u - offset) - width / 2, Math.abs(v) - length / 2);
    }
    case 'edge': {
      const { offset = 0 } = shape;
      return (u) => offset - u;
    }
    case 'curve': {
      const { radius } = shape;
      return outlined(shape, (u, v) => length(u - radius, v) - radius);
    }
    case 'corner':
      return outlined(shape, roundedCorner(shape.opening / 2, shape.radius));
    case 'dots': {
      const { spacing, radius } = shape;
      const fold = (x: number): number => x - spacing * Math.round(x / spacing);
      return (u, v) => length(fold(u), fold(v)) - radius;
    }
  }
}

/** Moves the middle of a border to its offset, draws the border or fills it, and cuts it off at its extent. */
function outlined(shape: Extract<Solid, { kind: 'curve' | 'corner' }>, solid: Field): Field {
  const { offset = 0, width = 2, filled = false, extent = Number.POSITIVE_INFINITY } = shape;
  return (u, v) => {
    const inside = solid(u - offset, v);
    return Math.max(filled ? inside : Math.abs(inside) - width / 2, length(u - offset, v) - extent);
  };
}

/** A wedge that opens towards u, shrunk by the radius and grown again; the middle of its border lies at the origin. */
function roundedCorner(half: number, radius: number): Field {
  const [s, c] = [sin(half), cos(half)];
  return (u, v) => {
    // From the apex of the shrunk wedge: behind it the apex is nearest, elsewhere one of the sides.
    const [x, y] = [u - radius, Math.abs(v)];
    return (x * c + y * s < 0 ? length(x, y) : y * c - x * s) - radius;
  };
}

function length(x: number, y: number): number {
  return Math.sqrt(x * x + y * y);
}

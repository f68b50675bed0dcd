import { Rng, type Tensor, tensor } from '@circuitscope/core';
import { CircuitscopeError } from '@circuitscope/schema';
import { drawShape, standardised } from './draw-shape.ts';
import type { Shape } from './shape.ts';

export const shapeKinds = ['bar', 'edge', 'curve', 'corner', 'grating', 'dots'] as const;

export type ShapeKind = (typeof shapeKinds)[number];

export interface ShapeImagesOptions {
  readonly seed: number;
  /** Names the purpose: images of other streams are other images. */
  readonly stream: string;
  readonly count: number;
  /** Pixels of a side; 32 if left out. */
  readonly size?: number;
  readonly kinds?: readonly ShapeKind[];
  /** Largest grey level of the noise that is added to every pixel; 0.1 if left out. */
  readonly noise?: number;
}

export interface ShapeImages {
  /** [count, 1, size, size], each standardised. */
  readonly images: Tensor;
  /** Index into `kinds`. */
  readonly labels: Int32Array;
  readonly kinds: readonly ShapeKind[];
  readonly shapes: readonly Shape[];
}

/** Random shapes of every direction, size, place and contrast, for training. Image i depends on seed, stream and i alone. */
export function shapeImages(options: ShapeImagesOptions): ShapeImages {
  const { seed, stream, count, size = 32, kinds = shapeKinds, noise = 0.1 } = options;
  if (!(Number.isInteger(size) && size >= 8 && size <= 1024 && Number.isInteger(count) && count >= 0)) {
    throw new CircuitscopeError('bad_attribute', 'Shape images have 8 to 1024 pixels a side and a whole count.', {
      expected: 'a size of 8 … 1024',
      got: `${count} of ${size}`,
    });
  }
  const labels = new Int32Array(count);
  const data = new Float32Array(count * size * size);
  const shapes: Shape[] = [];
  for (let at = 0; at < count; at++) {
    const rng = new Rng(seed, `shapes/${stream}/${at}`);
    labels[at] = rng.below(kinds.length);
    const shape = randomShape(kinds[labels[at] ?? 0] ?? 'bar', rng, size);
    const between = (from: number, to: number): number => from + (to - from) * rng.float();
    const contrast = between(0.5, 1) * (rng.float() < 0.5 ? -1 : 1);
    const image = drawShape(shape, { size, contrast, shift: [between(-3, 3), between(-3, 3)] });
    for (let i = 0; i < image.length; i++) image[i] = (image[i] ?? 0) + noise * (2 * rng.float() - 1);
    data.set(standardised(image), at * size * size);
    shapes.push(shape);
  }
  return { images: tensor([count, 1, size, size], data), labels, kinds, shapes };
}

function randomShape(kind: ShapeKind, rng: Rng, size: number): Shape {
  const between = (from: number, to: number): number => from + (to - from) * rng.float();
  const direction = between(0, 2 * Math.PI);
  const offset = between(-3, 3);
  // Even in curvature, so that no radius is common only because it is large.
  const radius = 1 / between(1 / (size / 2), 1 / (size / 8));
  const border = rng.float() < 0.5 ? { filled: true } : { width: between(1.5, 3) };
  switch (kind) {
    case 'bar':
      return { kind, direction, width: between(1.5, 4), offset };
    case 'edge':
      return { kind, direction, offset };
    case 'curve':
      return { kind, direction, radius, offset, ...border };
    case 'corner':
      return { kind, direction, opening: between(Math.PI / 3, (2 * Math.PI) / 3), radius: 0, offset, ...border };
    case 'grating':
      return { kind, direction, period: between(3, size / 4), phase: between(0, 2 * Math.PI) };
    case 'dots':
      return { kind, direction, spacing: between(4, 8), radius: between(1, 1.8) };
  }
}

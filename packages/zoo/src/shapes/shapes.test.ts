import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { curveTestImages, drawShape, shapeImages, standardised, tuningStimuli } from './index.ts';

const size = 32;
const sum = (image: Float32Array): number => image.reduce((a, b) => a + b, 0);

/** The image a quarter turn counter-clockwise. */
const turned = (image: Float32Array): Float32Array =>
  image.map((_, at) => image[(at % size) * size + (size - 1 - Math.floor(at / size))] ?? Number.NaN);

const apart = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, at) => Math.max(most, Math.abs(value - (b[at] ?? Number.NaN))), 0);

test('a turned shape is the turned image', () => {
  for (const direction of [0, 0.3, 2.5, 4]) {
    for (const shape of [
      { kind: 'bar', width: 2.5, offset: 2, length: 14 },
      { kind: 'edge', offset: -1.5 },
      { kind: 'curve', radius: 9, width: 2, offset: 1 },
      { kind: 'corner', opening: 1.5, radius: 3, filled: true },
      { kind: 'grating', period: 6.5, phase: 1 },
      { kind: 'dots', spacing: 5, radius: 1.5 },
    ] as const) {
      const plain = drawShape({ ...shape, direction }, { size });
      const quarter = drawShape({ ...shape, direction: direction + Math.PI / 2 }, { size });
      expect(apart(turned(plain), quarter)).toBeLessThan(1e-6);
    }
  }
});

test('the light of a filled disc and of a bar is their area', () => {
  const disc = drawShape({ kind: 'curve', direction: 0.7, radius: 8, filled: true, offset: -8 }, { size });
  expect(Math.abs(sum(disc) - Math.PI * 64)).toBeLessThan(1);
  const bar = drawShape({ kind: 'bar', direction: 1.1, width: 3, length: 20 }, { size });
  expect(Math.abs(sum(bar) - 60)).toBeLessThan(2);
});

test('an edge is light where its direction points, and a curve bends towards its own', () => {
  const edge = drawShape({ kind: 'edge', direction: Math.PI / 2 }, { size });
  expect([edge[0], edge[size * size - 1]]).toEqual([1, 0]);
  const curve = drawShape({ kind: 'curve', direction: 0, radius: 10, filled: true }, { size });
  expect([curve[16 * size + 20], curve[16 * size + 11]]).toEqual([1, 0]);
});

test('a corner with radius 0 is sharp, with a radius it is a circle at its middle, and its middle stays', () => {
  const at = (radius: number, x: number) =>
    drawShape({ kind: 'corner', direction: 0, opening: Math.PI / 2, radius, filled: true }, { size })[
      16 * size + 16 + x
    ];
  for (const radius of [0, 2, 5]) expect([at(radius, -3), at(radius, 3)]).toEqual([0, 1]);
  const round = drawShape({ kind: 'corner', direction: 0, opening: 2, radius: 6, filled: true, extent: 3 }, { size });
  const curve = drawShape({ kind: 'curve', direction: 0, radius: 6, filled: true, extent: 3 }, { size });
  expect(apart(round, curve)).toBeLessThan(1e-6);
});

test('standardised images have mean 0 and mean square 1; a flat one is 0', () => {
  const image = standardised(drawShape({ kind: 'grating', direction: 1, period: 5 }, { size }));
  expect(Math.abs(sum(image))).toBeLessThan(1e-2);
  expect(sum(image.map((value) => value * value)) / image.length).toBeCloseTo(1, 5);
  expect(standardised(new Float32Array(9).fill(0.3))).toEqual(new Float32Array(9));
});

test('images are named by seed, stream and number alone, and their bytes do not change', () => {
  const options = { seed: 5, stream: 'train', count: 40 };
  const made = shapeImages(options);
  const fewer = shapeImages({ ...options, count: 7 });
  expect(made.images.data.subarray(0, fewer.images.data.length)).toEqual(fewer.images.data);
  expect(shapeImages({ ...options, stream: 'fresh' }).images.data).not.toEqual(made.images.data);
  expect(new Set(made.labels).size).toBe(6);
  expect(made.shapes.every((shape, at) => shape.kind === made.kinds[made.labels[at] ?? -1])).toBe(true);
  const digest = createHash('sha256').update(new Uint8Array(made.images.data.buffer)).digest('hex');
  expect(digest).toMatchInlineSnapshot(`"d578c30ad6a91ed115cb8ca192398f1f3f865b7e782fed08b76eb8e4cc94027f"`);
});

test('sizes from outside are checked before anything is drawn', () => {
  expect(() => shapeImages({ seed: 0, stream: 'x', count: 1, size: 1e6 })).toThrow('8 to 1024');
});

test('a design holds every direction with every radius and offset', () => {
  const made = tuningStimuli({ kind: 'curve', directions: 8, radii: [6, 12], offsets: [-2, 0, 2], width: 2 });
  expect(made.images.shape).toEqual([48, 1, 32, 32]);
  expect(made.shapes[7]).toMatchObject({ direction: Math.PI / 4, radius: 6, offset: 0 });
});

test('near-misses of a curve share its directions and offsets', () => {
  const { curves, nearMisses, rounding } = curveTestImages({
    seed: 1,
    direction: 0.5,
    radius: 8,
    count: 6,
    jitter: 0.2,
  });
  expect(curves.shape).toEqual([6, 1, 32, 32]);
  expect(rounding.shape).toEqual([30, 1, 32, 32]);
  for (const images of Object.values(nearMisses)) {
    expect(images.shape).toEqual(curves.shape);
    expect(images.data).not.toEqual(curves.data);
  }
  // The first step of each rounding is the corner itself.
  expect(rounding.data.subarray(0, 1024)).toEqual(nearMisses.corner.data.subarray(0, 1024));
});

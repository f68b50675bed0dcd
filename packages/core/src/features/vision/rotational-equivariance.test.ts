import { expect, test } from 'vitest';
import { Rng } from '../../tensor/index.ts';
import type { PlaneKernel } from './plane-kernel.ts';
import { rotationalEquivariance, tangentProfile } from './rotational-equivariance.ts';

const side = 5;
const rng = new Rng(3, 'rotational-equivariance');

const kernelOf = (out: number, into: number, entry: (o: number, i: number, at: number) => number): PlaneKernel => ({
  out,
  into,
  size: [side, side],
  stride: [1, 1],
  origin: [0, 0],
  data: Float64Array.from({ length: out * into * side * side }, (_, at) =>
    entry(Math.floor(at / (into * side * side)), Math.floor(at / (side * side)) % into, at % (side * side)),
  ),
});

/** A quarter turn counter-clockwise: what the pixel shows afterwards stood there before. */
const before = (at: number): number => (at % side) * side + (side - 1 - Math.floor(at / side));

test('a family whose kernels are turned copies is equivariant, and no random order of it is', () => {
  const base = kernelOf(2, 8, () => rng.normal());
  const entry = (o: number, i: number, at: number): number => {
    // Member o + 2 is member o a quarter turn on, and so are its inputs.
    if (o < 2) return base.data[(o * 8 + i) * side * side + at] ?? 0;
    return entry(o - 2, (i + 6) % 8, before(at));
  };
  const turned = kernelOf(8, 8, entry);
  const found = rotationalEquivariance(turned, { seed: 1, shuffles: 100 });
  expect(found.value).toBeCloseTo(1, 12);
  expect(Math.max(...found.shuffled)).toBeLessThan(0.6);
  expect(found.p).toBeCloseTo(1 / 101, 12);
});

test('without a family a fourth is left, as of any four things that are averaged', () => {
  const found = rotationalEquivariance(
    kernelOf(8, 8, () => rng.normal()),
    { seed: 2, shuffles: 50 },
  );
  expect(found.value).toBeGreaterThan(0.2);
  expect(found.value).toBeLessThan(0.3);
  expect(found.p).toBeGreaterThan(0.01);
});

test('families that quarter turns do not lead back to themselves are refused', () => {
  expect(() =>
    rotationalEquivariance(
      kernelOf(6, 8, () => 1),
      { seed: 0 },
    ),
  ).toThrow('quarter turns');
  const bars = kernelOf(4, 4, () => 1);
  expect(rotationalEquivariance(bars, { seed: 0, shuffles: 1, quarter: { out: 2, into: 2 } }).value).toBeCloseTo(1, 12);
});

const directions = Array.from({ length: 8 }, (_, at) => (2 * Math.PI * at) / 8);
const radius = 4;

/** A curve read from edges: `weight` of the angle between an edge and the curve's normal next to the pixel. */
const fromEdges = (weight: (angle: number) => number): PlaneKernel =>
  kernelOf(8, 8, (o, i, at) => {
    const x = (at % side) - 2 - radius * Math.cos(directions[o] ?? 0);
    const y = 2 - Math.floor(at / side) - radius * Math.sin(directions[o] ?? 0);
    const near = Math.abs(Math.hypot(x, y) - radius) <= 1 ? 1 : 0;
    return near * weight((directions[i] ?? 0) - Math.atan2(y, x));
  });

const options = { seed: 4, curves: directions, edges: directions, radius, shuffles: 100 };

test('tangents excite and normals inhibit: alignment 1, and signs as they should be', () => {
  const found = tangentProfile(
    fromEdges((angle) => Math.cos(2 * angle)),
    options,
  );
  expect(found.alignment).toBeCloseTo(1, 10);
  expect(found.along).toBeGreaterThan(0.8);
  expect(found.across).toBeLessThan(-0.8);
  expect(found.p).toBeLessThan(0.05);
});

test('the other way round it is −1, and where edges do not matter it is 0', () => {
  expect(
    tangentProfile(
      fromEdges((angle) => -Math.cos(2 * angle)),
      options,
    ).alignment,
  ).toBeCloseTo(-1, 10);
  const flat = tangentProfile(
    fromEdges(() => 1),
    options,
  );
  expect(Math.abs(flat.alignment)).toBeLessThan(1e-9);
  expect(() =>
    tangentProfile(
      fromEdges(() => 1),
      { ...options, edges: [0] },
    ),
  ).toThrow('direction');
});

import {
  bestTuning,
  channelResponses,
  expandedWeights,
  planeOf,
  referenceExecutor,
  rotationalEquivariance,
  type ShapeUnitData,
  type Tensor,
  tangentProfile,
  testShapeUnit,
  tuningTable,
  varianceShares,
} from '@circuitscope/core';
import { expect, test } from 'vitest';
import { curveTestImages, handCurves, tuningStimuli } from './index.ts';

const size = 19;
const net = handCurves(size);
const engine = { graph: net.graph, weights: net.weights, executor: referenceExecutor() };

/** Responses of one unit over the middle of each image. */
async function respond(images: Tensor, site: string, unit: number): Promise<number[]> {
  const { data } = await channelResponses(engine, images, site);
  return Array.from({ length: images.shape[0] ?? 0 }, (_, row) => data[row * 8 + unit] ?? Number.NaN);
}

const curveTuning = (): Tensor =>
  tuningStimuli({ kind: 'curve', directions: 16, radii: [net.radius], offsets: [0], size }).images;

async function unitData(site: string, unit: number): Promise<ShapeUnitData> {
  const jitter = Math.PI / 12;
  const images = curveTestImages({
    seed: 3,
    direction: net.directions[unit] ?? 0,
    radius: net.radius,
    count: 16,
    jitter,
    size,
  });
  const nearMisses: { [name: string]: number[] } = {};
  for (const [name, group] of Object.entries(images.nearMisses)) nearMisses[name] = await respond(group, site, unit);
  const rounded = await respond(images.rounding, site, unit);
  const steps = images.roundingSteps;
  return {
    positives: await respond(images.curves, site, unit),
    nearMisses,
    tuning: await respond(curveTuning(), `${site}.relu`, unit),
    rounding: Array.from({ length: 16 }, (_, at) => rounded.slice(at * steps, (at + 1) * steps)),
  };
}

test('every prediction about a curve detector holds for units that were written as such', {
  timeout: 60_000,
}, async () => {
  for (const unit of [0, 3]) {
    const found = testShapeUnit(await unitData('curves', unit));
    expect(found.verdicts.filter(({ holds }) => !holds)).toEqual([]);
    expect(found.holds).toBe(true);
    if (found.tuning.vector.kind !== 'measured') throw new Error('activations are not negative');
    expect(found.tuning.vector.preferred).toBeCloseTo(net.directions[unit] ?? 0, 2);
  }
});

test('an edge unit is tuned as well, but does not tell a curve from a straight edge', async () => {
  const found = testShapeUnit(await unitData('edges', 2));
  expect(found.holds).toBe(false);
  const failed = found.verdicts.filter(({ holds }) => !holds).map(({ claim, against }) => `${claim}: ${against}`);
  expect(failed).toContain('selective: straight');
  expect(found.verdicts.find(({ claim }) => claim === 'tuned')?.holds).toBe(true);
});

test('over direction × radius × phase each unit prefers its own direction, its radius and the middle', async () => {
  const design = { kind: 'curve', directions: 16, radii: [5, net.radius, 10], offsets: [-1, 0, 1], size } as const;
  const responses = await channelResponses(engine, tuningStimuli(design).images, 'curves.relu', { batch: 50 });
  for (let unit = 0; unit < 8; unit++) {
    const table = tuningTable(responses, unit, 16);
    const best = bestTuning(table, { over: 'direction' });
    expect(best.peak.index).toBe(2 * unit);
    expect(best.column).toBe(4);
    expect(best.lobes).toBe(1);
    const shares = varianceShares(table);
    expect(shares.target).toBeGreaterThan(0.75);
    expect(shares.nuisance).toBeLessThan(0.1);
  }
});

test('which place of a channel counts is said', async () => {
  const { images } = tuningStimuli({ kind: 'edge', directions: 4, radii: [0], offsets: [6], size });
  const [middle, most, mean] = await Promise.all(
    (['middle', 'largest', 'mean'] as const).map((place) => channelResponses(engine, images, 'edges.relu', { place })),
  );
  // The edge to the right lies beside the middle: silent there, clear elsewhere.
  expect(middle?.data[0]).toBeLessThan(1e-6);
  expect(most?.data[0]).toBeGreaterThan(1);
  expect(mean?.data[0]).toBeGreaterThan(0);
  expect(mean?.data[0]).toBeLessThan(most?.data[0] ?? 0);
  expect(() => tuningTable(middle ?? images, 8, 4)).toThrow('none of 8');
});

test('its weights are equivariant but for rounding, and tangents excite where normals inhibit', () => {
  const { kernel } = expandedWeights(net.graph, net.weights, 'edges', 'curves');
  const found = rotationalEquivariance(kernel, { seed: 1, shuffles: 20 });
  expect(found.value).toBeCloseTo(1, 6);
  expect(Math.max(...found.shuffled)).toBeLessThan(0.8);
  const tangents = tangentProfile(kernel, {
    seed: 1,
    shuffles: 50,
    curves: net.directions,
    edges: net.directions,
    radius: net.radius,
  });
  expect(tangents.along).toBeGreaterThan(0);
  expect(tangents.across).toBeLessThan(0);
  expect(tangents.alignment).toBeGreaterThan(0.4);
  expect(tangents.p).toBeLessThan(0.05);
});

test('expanded down to the image, each curve unit is a template of the disc that it prefers', () => {
  const { kernel, assumed } = expandedWeights(net.graph, net.weights, 'images', 'curves');
  expect(assumed).toEqual(['edges.relu']);
  expect(kernel.size).toEqual([size, size]);
  const { images } = tuningStimuli({ kind: 'curve', directions: 8, radii: [net.radius], offsets: [0], size });
  for (let unit = 0; unit < 8; unit++) {
    const template = planeOf(kernel, unit, 0);
    const fit = net.directions.map((_, at) =>
      template.reduce((sum, weight, pixel) => sum + weight * (images.data[at * size * size + pixel] ?? 0), 0),
    );
    expect(fit.indexOf(Math.max(...fit))).toBe(unit);
  }
});

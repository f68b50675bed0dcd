import { expect, test } from 'vitest';
import { type Graph, GraphBuilder } from '../../graph/index.ts';
import {
  captured,
  imagePrompt,
  makePlan,
  referenceExecutor,
  runPlan,
  type Weight,
  type Weights,
} from '../../plan/index.ts';
import { Rng, type Tensor, tensor } from '../../tensor/index.ts';
import { expandedWeights } from './expanded-weights.ts';
import { planeOf } from './plane-kernel.ts';

const size = 20;
const still = { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 } as const;

/** conv, relu, a residual block with a norm, a pool, conv; without a pool by the maximum unless asked for. */
function net(pool: 'max_pool2d' | 'avg_pool2d', bias: number): { graph: Graph; weights: Weights } {
  const rng = new Rng(9, 'expanded-weights');
  const weights = new Map<string, Weight>();
  const builder = new GraphBuilder();
  const param = (name: string, shape: readonly number[], constant?: number): string => {
    const length = shape.reduce((a, b) => a * b, 1);
    const data = Float64Array.from({ length }, () => constant ?? 0.3 * rng.normal());
    weights.set(name, { name, shape, read: () => data });
    return builder.param(name, shape);
  };
  const conv = (x: number, name: string, out: number, into: number, site: string[]): number =>
    builder.add('conv2d', [x], {
      params: [param(`${name}.W`, [out, into, 3, 3]), param(`${name}.b`, [out], bias)],
      attrs: { out, window: [3, 3], ...still },
      sites: site,
    });
  const relu = (x: number, site: string): number =>
    builder.add('activation', [x], { attrs: { fn: 'relu' }, sites: [site] });
  const images = builder.input('images', { shape: ['batch', 2, size, size], dtype: 'f32' });
  builder.name(images, 'images');
  const stem = relu(conv(images, 'stem', 3, 2, ['stem']), 'stem.relu');
  const inner = conv(stem, 'block', 3, 3, []);
  const norm = builder.add('channel_affine', [inner], { params: [param('gain', [3]), param('shift', [3], bias)] });
  const block = relu(builder.add('sum', [norm, stem], { sites: ['block.sum'] }), 'block');
  const shared = { window: [2, 2], stride: [2, 2], padding: [0, 0], ceil: false };
  const attrs = pool === 'max_pool2d' ? { ...shared, dilation: [1, 1] } : { ...shared, countPadding: false };
  const pooled = builder.add(pool, [block], { attrs, sites: ['pool'] });
  const top = conv(pooled, 'top', 4, 3, ['top']);
  return { graph: builder.build(top), weights };
}

/** ∂top[channel, at the middle] / ∂images by central differences. */
async function jacobian(model: { graph: Graph; weights: Weights }, channel: number): Promise<Float64Array> {
  const rng = new Rng(2, 'expanded-weights/image');
  const base = Float64Array.from({ length: 2 * size * size }, () => rng.normal());
  const step = 1e-3;
  const count = base.length;
  const data = new Float64Array(2 * count * count);
  for (let at = 0; at < count; at++) {
    data.set(base, 2 * at * count);
    data.set(base, (2 * at + 1) * count);
    data[2 * at * count + at] = (base[at] ?? 0) + step;
    data[(2 * at + 1) * count + at] = (base[at] ?? 0) - step;
  }
  const images: Tensor = tensor([2 * count, 2, size, size], data);
  const engine = { ...model, executor: referenceExecutor({ precision: 'f64' }) };
  const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'top' } }] });
  const got = captured(await runPlan(engine, plan, imagePrompt(images)), 'top').data;
  const middle = (row: number): number => got[(row * 4 + channel) * 100 + 55] ?? Number.NaN;
  return Float64Array.from({ length: count }, (_, at) => (middle(2 * at) - middle(2 * at + 1)) / (2 * step));
}

test('where every unit is active it is the Jacobian of the net itself, residual block, norm and pool included', {
  timeout: 60_000,
}, async () => {
  const model = net('avg_pool2d', 40);
  const { kernel, assumed } = expandedWeights(model.graph, model.weights, 'images', 'top');
  expect(assumed).toEqual(['stem.relu', 'block']);
  expect([kernel.out, kernel.into, kernel.size, kernel.stride]).toEqual([4, 2, [10, 10], [2, 2]]);
  const found = await jacobian(model, 1);
  let largest = 0;
  for (const into of [0, 1]) {
    const plane = planeOf(kernel, 1, into);
    found.slice(into * size * size, (into + 1) * size * size).forEach((value, at) => {
      // The output in row 5 and column 5 reads from twice that, moved by the origin.
      const y = Math.floor(at / size) - 10 - kernel.origin[0];
      const x = (at % size) - 10 - kernel.origin[1];
      const inside = y >= 0 && y < 10 && x >= 0 && x < 10;
      const expected = inside ? (plane[y * 10 + x] ?? 0) : 0;
      largest = Math.max(largest, Math.abs(expected));
      expect(Math.abs(value - expected)).toBeLessThan(1e-9);
    });
  }
  expect(largest).toBeGreaterThan(0.05);
});

test('part of the way, and what was assumed on it', () => {
  const model = net('max_pool2d', 0);
  const all = expandedWeights(model.graph, model.weights, 'images', 'top');
  expect(all.assumed).toEqual(['stem.relu', 'block', 'pool']);
  const stem = expandedWeights(model.graph, model.weights, 'images', 'stem');
  expect(stem.assumed).toEqual([]);
  expect([...stem.kernel.data]).toEqual([...(model.weights.get('stem.W')?.read() ?? [])]);
  // From behind the block only pool and last convolution are left.
  expect(expandedWeights(model.graph, model.weights, 'block', 'top').kernel.size).toEqual([6, 6]);
  expect(expandedWeights(model.graph, model.weights, 'stem', 'stem').kernel.size).toEqual([1, 1]);
});

test('a way that does not exist, or is none of images, is an error', () => {
  const model = net('max_pool2d', 0);
  expect(() => expandedWeights(model.graph, model.weights, 'top', 'stem')).toThrow('does not depend');
  expect(() => expandedWeights(model.graph, model.weights, 'images', 'tpo')).toThrow('the nearest are');
});

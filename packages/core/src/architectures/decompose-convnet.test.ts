import { expect, test } from 'vitest';
import { captured, imagePrompt, makePlan, mutableWeight, referenceExecutor, runPlan } from '../plan/index.ts';
import { Rng, tensor } from '../tensor/index.ts';
import { buildConvnet } from './build-convnet.ts';
import type { ConvnetLayer } from './convnet-spec.ts';
import { decomposeConvnet } from './decompose-convnet.ts';

const conv = (path: string, out: number): ConvnetLayer => ({
  kind: 'conv',
  path,
  out,
  window: [3, 3],
  stride: [1, 1],
  padding: [1, 1],
  dilation: [1, 1],
  groups: 1,
  bias: true,
});

const net = (relu: boolean) =>
  buildConvnet({
    image: [1, 6, 6],
    layers: [
      conv('stem', 3),
      ...[0, 1].map(
        (block): ConvnetLayer => ({
          kind: 'residual',
          path: `blocks.${block}`,
          body: [{ kind: 'relu', path: `blocks.${block}.relu` }, conv(`blocks.${block}.conv`, 3)],
          shortcut: [],
          relu,
        }),
      ),
      conv('last', 2),
      { kind: 'global_pool', path: 'mean' },
      { kind: 'linear', path: 'head', out: 2, bias: false },
    ],
  });

test('without a ReLU behind the sums the stream is the sum of the blocks before, and its terms add up', async () => {
  const graph = net(false);
  const { readers, layers, units } = decomposeConvnet(graph);
  const last = readers.find(({ reader }) => reader === 'last');
  expect(last).toEqual({ reader: 'last', writers: ['blocks.1.conv', 'blocks.0.conv', 'stem'], exactSum: true });
  expect(layers.map(({ site }) => site)).toEqual(['stem', 'blocks.0.conv', 'blocks.1.conv', 'last']);
  expect(units).toHaveLength(1 + 3 + 3 + 3 + 2 + 1);
  const rng = new Rng(4, 'decompose-convnet');
  const random = (length: number): Float64Array => Float64Array.from({ length }, () => rng.normal());
  const weights = new Map(
    graph.params.map(({ name, shape }) => [name, mutableWeight(name, shape, random(shape.reduce((a, b) => a * b, 1)))]),
  );
  const sites = [...(last?.writers ?? []), 'blocks.1'];
  const plan = makePlan(graph, { readouts: sites.map((site) => ({ kind: 'capture', at: { site } })) });
  const engine = { graph, weights, executor: referenceExecutor({ precision: 'f64' }) };
  const run = await runPlan(engine, plan, imagePrompt(tensor([2, 1, 6, 6], random(72))));
  const stream = captured(run, 'blocks.1').data;
  const terms = (last?.writers ?? []).map((site) => captured(run, site).data);
  expect(stream).toHaveLength(2 * 3 * 36);
  stream.forEach((value, at) => {
    expect(terms.reduce((sum, term) => sum + (term[at] ?? 0), 0)).toBeCloseTo(value, 10);
  });
});

test('behind a ReLU the stream is no sum of units, and the decomposition says so', () => {
  const { readers, exactSum } = decomposeConvnet(net(true));
  expect(exactSum).toBe(false);
  expect(readers.find(({ reader }) => reader === 'blocks.0.conv')).toMatchObject({
    writers: ['blocks.0.relu'],
    exactSum: true,
  });
  expect(readers.find(({ reader }) => reader === 'last')).toEqual({
    reader: 'last',
    writers: ['blocks.1'],
    exactSum: false,
  });
});

test('channels of branches stand side by side, each still one unit’s; a sum among them is not', () => {
  const join = (path: string, last: ConvnetLayer): ConvnetLayer[] => [
    conv(`${path}.stem`, 2),
    {
      kind: 'concat',
      path,
      branches: [[conv(`${path}.a`, 3), { kind: 'clip', path: `${path}.clip`, low: 0, high: 6 }], [last]],
    },
    conv(`${path}.reader`, 2),
  ];
  const sum: ConvnetLayer = { kind: 'residual', path: 'add', body: [conv('two.b', 2)], shortcut: [], relu: false };
  const layers = [...join('one', conv('one.b', 4)), ...join('two', sum)];
  const { readers } = decomposeConvnet(buildConvnet({ image: [1, 4, 4], layers }));
  expect(readers.filter(({ reader }) => reader.endsWith('.reader'))).toEqual([
    { reader: 'one.reader', writers: ['one'], exactSum: true },
    { reader: 'two.reader', writers: ['two'], exactSum: false },
  ]);
});

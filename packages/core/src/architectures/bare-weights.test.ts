import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import {
  memoryCheckpoint,
  openCheckpoint,
  readNpy,
  readStoredFloat64,
  writeSafetensors,
} from '../checkpoints/index.ts';
import { captured, chooseExecutor, imagePrompt, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { type ConvnetModel, convnetConfig, convnetFromCheckpoint, loadConvnet } from './convnet.ts';
import { layersFromModules, type ModuleEntry } from './convnet-modules.ts';
import { convnetTemplate } from './convnet-template.ts';
import { loadModel } from './load-model.ts';
import { sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

// Weights without a configuration: the layers are written down by hand, in a file beside them or anywhere.

const root = mkdtempSync(join(tmpdir(), 'circuitscope-bare-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
function written(name: string, config: unknown): string {
  writeFileSync(join(root, name), JSON.stringify(config));
  return join(root, name);
}
async function values(
  model: ConvnetModel,
  images: Tensor,
  sites: readonly string[],
  precise: boolean,
): Promise<Tensor[]> {
  const executor = precise ? referenceExecutor({ precision: 'f64' }) : (await chooseExecutor()).executor;
  const readouts = sites.map((site) => ({ kind: 'capture' as const, at: { site } }));
  const engine = { graph: model.graph, weights: model.weights, executor };
  const run = await runPlan(engine, makePlan(model.graph, { readouts }), imagePrompt(images));
  return sites.map((site) => captured(run, site));
}
function expectNear(got: Tensor | undefined, wish: readonly (readonly number[])[]): void {
  expect(got?.data.length).toBe(wish.flat().length);
  wish.flat().forEach((each, i) => {
    expect(Math.abs((got?.data[i] ?? 0) - each)).toBeLessThan(1e-4);
  });
}
const refusal = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};

const conv = (path: string, into: number, out: number, more: object = {}, bias = true): ModuleEntry => ({
  path,
  type: 'Conv2d',
  arguments: { in_channels: into, out_channels: out, kernel_size: 3, ...more },
  ...(bias ? {} : { bias }),
});
const relu = (path: string): ModuleEntry => ({ path, type: 'ReLU' });
const linear = (path: string, into: number, out: number): ModuleEntry => ({
  path,
  type: 'Linear',
  arguments: { in_features: into, out_features: out },
});
const norm = (path: string, type = 'BatchNorm2d'): ModuleEntry => ({ path, type });

/** ReLU stands before the norm here, which no weight says. */
const mnist = [
  ...[conv('conv1', 1, 8), relu('relu1'), conv('conv2', 8, 16), relu('relu2'), conv('conv3', 16, 24), relu('relu3')],
  ...[norm('norm1'), linear('fc1', 11616, 32), relu('relu4'), linear('fc2', 32, 10), norm('norm2', 'BatchNorm1d')],
];

/** ResNet-20 for CIFAR-10, its shortcuts without weights. */
function resnet20(): ModuleEntry[] {
  const block = (stage: number, at: number): ModuleEntry => {
    const path = `layer${stage}.${at}`;
    const [out, early] = [8 * 2 ** stage, at === 0 && stage > 1];
    const into = early ? out / 2 : out;
    const padded = { padding: 1 };
    const thin = { stride: 2, channels_before: out / 4, channels_after: out / 4 };
    return {
      path,
      type: 'Residual',
      body: [
        ...[conv(`${path}.conv1`, into, out, early ? { ...padded, stride: 2 } : padded, false), norm(`${path}.bn1`)],
        ...[relu(`${path}.relu1`), conv(`${path}.conv2`, out, out, padded, false), norm(`${path}.bn2`)],
      ],
      ...(early ? { shortcut: [{ path: `${path}.thin`, type: 'Subsample', arguments: thin }] } : {}),
    };
  };
  const stages = [1, 2, 3].map(
    (stage): ModuleEntry => ({
      path: `layer${stage}`,
      type: 'Sequential',
      layers: [0, 1, 2].map((at) => block(stage, at)),
    }),
  );
  return [
    ...[conv('conv1', 3, 16, { padding: 1 }, false), norm('bn1'), relu('relu')],
    ...stages,
    ...[{ path: 'pool', type: 'AdaptiveAvgPool2d', arguments: { output_size: 1 } }, linear('linear', 64, 10)],
  ];
}

describe('layersFromModules', () => {
  test('modules hold modules', () => {
    const layers = layersFromModules([
      {
        path: 'mix',
        type: 'Concat',
        branches: [
          [],
          [
            {
              path: 'c',
              type: 'Conv2d',
              arguments: { in_channels: 1, out_channels: 2, kernel_size: [1, 3], padding: 'same' },
            },
          ],
        ],
      },
      {
        path: 'sum',
        type: 'Residual',
        arguments: { relu: false },
        body: [
          { path: 'six', type: 'ReLU6' },
          { path: 'off', type: 'Dropout', arguments: { p: 0.5 } },
        ],
      },
    ]);
    expect(layers).toMatchObject([
      { kind: 'concat', branches: [[], [{ kind: 'conv', window: [1, 3], padding: 'same' }]] },
      { kind: 'residual', body: [{ kind: 'clip', low: 0, high: 6 }], shortcut: [], relu: false },
    ]);
  });

  test('what a module does not know is an error with its path', () => {
    const of = (entry: unknown) => refusal(() => layersFromModules([entry]));
    expect(of({ path: 'x', type: 'GELU' })).toMatch(/unsupported_architecture.*x is a GELU/);
    expect(of({ path: 'x', type: 'ReLU', argument: {} })).toMatch(/unknown_config.*argument/);
    expect(
      of({
        path: 'x',
        type: 'Conv2d',
        arguments: { in_channels: 1, out_channels: 1, kernel_size: 3, padding_mode: 'reflect' },
      }),
    ).toMatch(/padding_mode/);
    expect(
      of({
        path: 'x',
        type: 'Conv2d',
        arguments: { in_channels: 1, out_channels: 1, kernel_size: 3, padding: 'same', stride: 2 },
      }),
    ).toMatch(/bad_config.*padding/);
    expect(of({ path: 'x', type: 'Concat', branches: [[]] })).toMatch(/bad_config.*branches/);
    expect(of({ path: 'x', type: 'Subsample', arguments: { stride: 2, channels_before: -1 } })).toMatch(
      /channels_before/,
    );
    expect(of({ type: 'ReLU' })).toMatch(/bad_config/);
    let deep: ModuleEntry = { path: 'x', type: 'ReLU' };
    for (let i = 0; i < 40; i++) deep = { path: `x${i}`, type: 'Sequential', layers: [deep] };
    expect(of(deep)).toMatch(/bad_config.*deep/);
  });

  test('a thinned shortcut takes every second place, between channels of zeros', async () => {
    const modules = [
      { path: 'thin', type: 'Subsample', arguments: { stride: 2, channels_before: 1, channels_after: 2 } },
      linear('fc', 5, 5),
    ];
    const eye = Float32Array.from({ length: 25 }, (_, i) => (i % 6 === 0 ? 1 : 0));
    const weights = new Map([
      ['fc.weight', { shape: [5, 5], data: eye }],
      ['fc.bias', { shape: [5], data: new Float32Array(5) }],
    ]);
    const model = convnetFromCheckpoint(memoryCheckpoint('thin', convnetConfig([2, 2, 2], modules), weights), 'thin');
    const images = { shape: [1, 2, 2, 2], data: Float32Array.of(3, 1, 1, 1, 4, 1, 1, 1) };
    for (const precise of [true, false]) {
      const [logits] = await values(model, images, ['logits'], precise);
      expect([...(logits?.data ?? [])]).toEqual([0, 3, 4, 0, 0]);
    }
    expect(model.parameters).toBe(30);
  });
});

describe('convnetTemplate', () => {
  const of = (shapes: Record<string, readonly number[]>) =>
    convnetTemplate(
      memoryCheckpoint(
        'w',
        null,
        new Map(
          Object.entries(shapes).map(([name, shape]) => [
            name,
            { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) },
          ]),
        ),
      ),
    );

  test('names that a Sequential leaves out become ReLU and pooling, and the image what then fits', () => {
    const shapes = {
      'features.0.weight': [4, 3, 3, 3],
      'features.0.bias': [4],
      'features.3.weight': [6, 4, 3, 3],
      'classifier.0.weight': [10, 6 * 16 * 16],
      'classifier.0.bias': [10],
    };
    const template = of(shapes);
    expect(template?.config.image).toEqual([3, 32, 32]);
    expect(template?.config.layers.map(({ path, type }) => `${path} ${type}`)).toEqual([
      ...['features.0 Conv2d', 'features.1 ReLU', 'features.2 MaxPool2d', 'features.3 Conv2d', 'features.3.relu ReLU'],
      ...['flatten Flatten', 'classifier.0 Linear'],
    ]);
    expect(template?.config.layers[3]).toMatchObject({ bias: false, arguments: { padding: 1, in_channels: 4 } });
    const weights = new Map(
      Object.entries(shapes).map(([name, shape]) => [
        name,
        { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) },
      ]),
    );
    expect(
      convnetFromCheckpoint(memoryCheckpoint('w', template?.config, weights), 'w').graph.nodes.length,
    ).toBeGreaterThan(6);
    expect(template?.assumed.join('; ')).toMatch(/2 × 2 pooling.*32 × 32/);
  });

  test('weights of other nets, and of nets that say what they are, have none', () => {
    expect(of({ 'wte.weight': [10, 4], 'h.0.attn.weight': [4, 12] })).toBeNull();
    expect(of({ 'conv.weight': [4, 3, 3, 3], 'attn.q.lora': [4, 4] })).toBeNull();
    const said = memoryCheckpoint('w', {}, new Map([['c.weight', { shape: [1, 1, 1, 1], data: new Float32Array(1) }]]));
    expect(convnetTemplate(said)).toBeNull();
  });
});

describe('a configuration', () => {
  test('stands beside its weights under their name, or is given; formats that bring one take no other', async () => {
    const weights = new Map([
      ['c.weight', { shape: [1, 1, 1, 1], data: Float32Array.of(2) }],
      ['f.weight', { shape: [1, 1], data: Float32Array.of(3) }],
      ['f.bias', { shape: [1], data: Float32Array.of(1) }],
    ]);
    const path = join(root, 'small.safetensors');
    await writeSafetensors(
      path,
      [...weights].map(([name, { shape, data }]) => ({ name, dtype: 'f32' as const, shape, data })),
    );
    expect(refusal(() => loadModel(path))).toMatch(/missing_config.*small\.config\.json.*--template/);
    const config = convnetConfig([1, 1, 1], [{ ...conv('c', 1, 1, { kernel_size: 1 }, false) }, linear('f', 1, 1)]);
    const given = written('elsewhere.json', config);
    const image = { shape: [1, 1, 1, 1], data: Float32Array.of(5) };
    const [logits] = await values(loadConvnet(path, { config: given }), image, ['logits'], true);
    expect([...(logits?.data ?? [])]).toEqual([31]);
    written('small.config.json', config);
    const beside = loadModel(path);
    expect(beside.checkpoint.files.map((file) => file.path)).toEqual([join(root, 'small.config.json'), path]);
    expect(await beside.checkpoint.contentHash()).not.toBe(await openCheckpoint(path, { config: given }).contentHash());
    writeFileSync(join(root, 'x.onnx'), '');
    expect(refusal(() => openCheckpoint(join(root, 'x.onnx'), { config: given }))).toMatch(/bad_option.*of its own/);
  });
});

describe.skipIf(!sharedFolder)(`recorded bare nets${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  const digits = (): Tensor => {
    const pixels = gunzipSync(readFileSync(sharedPath('data/vision/mnist/t10k-images-idx3-ubyte.gz'))).subarray(16);
    const data = Float32Array.from({ length: 4 * 784 }, (_, i) => ((pixels[i] ?? 0) / 255 - 0.1307) / 0.3081);
    return { shape: [4, 1, 28, 28], data };
  };

  test.each(['mnist.pt', 'mnist.safetensors'])('%s gives its recorded logits', async (file) => {
    const config = written('mnist.json', convnetConfig([1, 28, 28], mnist));
    const reference = Object(sharedJson('data/reference/mnist-cnns.json'))[file];
    const model = loadConvnet(sharedPath('data/vision/mnist', file), { config });
    const images = digits();
    expectNear((await values(model, images, ['logits'], false))[0], reference.presoftmax_first4);
    const first = { shape: [1, 1, 28, 28], data: images.data.subarray(0, 784) };
    expectNear((await values(model, first, ['logits'], true))[0], reference.presoftmax_first4.slice(0, 1));
  });

  test('the draft of the MNIST net differs from it in one ReLU', () => {
    for (const file of ['mnist.pt', 'mnist.safetensors']) {
      const draft = convnetTemplate(openCheckpoint(sharedPath('data/vision/mnist', file)));
      expect(draft?.config.image).toEqual([1, 28, 28]);
      const kinds = layersFromModules(draft?.config.layers).map(({ kind }) => kind);
      const known = layersFromModules(mnist).map(({ kind }) => kind);
      const [at, wrong] = [known.indexOf('batch_norm'), kinds.indexOf('batch_norm')];
      expect(known.toSpliced(at - 1, 2, 'batch_norm', 'relu')).toEqual(kinds);
      expect(wrong).toBe(at - 1);
    }
  });

  test('ResNet-20 gives its recorded logits, its shortcuts thinned', async () => {
    const config = written('resnet20-12fca82f.config.json', convnetConfig([3, 32, 32], resnet20()));
    expect(config).toContain(root);
    copyFileSync(sharedPath('data/vision/cifar10/resnet20-12fca82f.th'), join(root, 'resnet20-12fca82f.th'));
    const { dev } = Object(sharedJson('data/reference/cifar-resnets.json'))['resnet20-12fca82f'];
    const pixels = readStoredFloat64(readNpy(sharedPath('data/vision/cifar10/cifar10_dev_rgb_u8.npy')));
    const [mean, deviation] = [
      [0.485, 0.456, 0.406],
      [0.229, 0.224, 0.225],
    ];
    const data = Float32Array.from({ length: 20 * 3072 }, (_, i) => {
      const [n, c, place] = [Math.floor(i / 3072), Math.floor((i % 3072) / 1024), i % 1024];
      return ((pixels[(n * 1024 + place) * 3 + c] ?? 0) / 255 - (mean[c] ?? 0)) / (deviation[c] ?? 1);
    });
    const model = loadConvnet(join(root, 'resnet20-12fca82f.th'));
    expect(model.parameters).toBe(271_098);
    const sites = ['logits', 'layer1', 'layer2', 'layer3'];
    const [all] = await values(model, { shape: [20, 3, 32, 32], data }, ['logits'], false);
    expectNear(all, dev.logits_first20);
    const first = await values(model, { shape: [1, 3, 32, 32], data: data.subarray(0, 3072) }, sites, true);
    expectNear(first[0], dev.logits_first20.slice(0, 1));
    const means = first
      .slice(1)
      .map((stage) => Array.from(stage.data).reduce((sum, each) => sum + each, 0) / stage.data.length);
    means.forEach((each, i) => {
      expect(Math.abs(each - dev.stage_output_mean_image0[i])).toBeLessThan(1e-5);
    });
  });
});

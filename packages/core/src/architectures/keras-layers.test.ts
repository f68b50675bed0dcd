import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { dataset, type GroupToWrite, group, hdf5File } from '../checkpoints/hdf5-file.fixture.ts';
import { readNpy, readStoredFloat64 } from '../checkpoints/index.ts';
import { zipFile } from '../checkpoints/zip-file.fixture.ts';
import { captured, chooseExecutor, imagePrompt, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import { Rng, type Tensor } from '../tensor/index.ts';
import { type ConvnetModel, loadConvnet } from './convnet.ts';
import { sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-keras-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let files = 0;
function written(name: string, bytes: Uint8Array | string): string {
  const path = join(root, `${files++}-${name}`);
  writeFileSync(path, bytes);
  return path;
}
async function logits(model: ConvnetModel, images: Tensor, precise = true): Promise<Tensor> {
  const executor = precise ? referenceExecutor({ precision: 'f64' }) : (await chooseExecutor()).executor;
  const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
  return captured(
    await runPlan({ graph: model.graph, weights: model.weights, executor }, plan, imagePrompt(images)),
    'logits',
  );
}

interface Layer {
  readonly type: string;
  readonly name: string;
  readonly settings?: { readonly [key: string]: unknown };
  /** Stored weights by part, each a shape and its entries. */
  readonly weights?: { readonly [part: string]: readonly [readonly number[], readonly number[]] };
  readonly inbound?: unknown;
}
const called = (...names: string[]): unknown => [names.map((name) => [name, 0, 0, {}])];
const config = (layers: readonly Layer[], graph?: string) => ({
  class_name: graph ? 'Functional' : 'Sequential',
  config: {
    name: 'net',
    layers: layers.map(({ type, name, settings = {}, inbound }) => ({
      class_name: type,
      name,
      config: { name, ...settings },
      ...(graph ? { inbound_nodes: inbound ?? [] } : {}),
    })),
    ...(graph ? { input_layers: [['images', 0, 0]], output_layers: [[graph, 0, 0]] } : {}),
  },
});
function h5(layers: readonly Layer[], graph?: string): ConvnetModel {
  const groups: Record<string, GroupToWrite> = {};
  for (const { name, weights = {} } of layers) {
    const parts = Object.entries(weights).map(
      ([part, [shape, values]]) => [`${part}:0`, dataset(shape, values)] as const,
    );
    const names = parts.map(([part]) => `${name}/${part}`);
    groups[name] = group({ [name]: group(Object.fromEntries(parts)) }, { weight_names: names });
  }
  const attributes = { model_config: JSON.stringify(config(layers, graph)) };
  return loadConvnet(written('net.h5', hdf5File(group({ model_weights: group(groups) }, attributes))));
}
const refused = (layers: readonly Layer[], graph?: string): string => {
  try {
    h5(layers, graph);
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};

const counted = (length: number, from = 1) => Array.from({ length }, (_, i) => from + i);
const input = (shape: readonly number[]): Layer => ({
  type: 'InputLayer',
  name: 'images',
  settings: { batch_input_shape: [null, ...shape] },
});
const dense = (into: number, out: number, more: Partial<Layer> = {}): Layer => ({
  type: 'Dense',
  name: 'dense',
  settings: { units: out, activation: 'softmax' },
  weights: { kernel: [[into, out], counted(into * out)], bias: [[out], counted(out, 0)] },
  ...more,
});
const conv = (more: Partial<Layer> = {}): Layer => ({
  type: 'Conv2D',
  name: 'conv',
  settings: { filters: 2, kernel_size: [1, 2], padding: 'valid', activation: 'relu' },
  weights: { kernel: [[1, 2, 2, 2], counted(8)], bias: [[2], [0, -30]] },
  ...more,
});
const small = [input([2, 3, 2]), conv(), { type: 'Flatten', name: 'flatten' }, dense(8, 3)];

/** Images of 2 channels, 2 × 3, as Keras and as we see them; `keras(y, x, c)` is the entry of either. */
const images = { shape: [1, 2, 2, 3], data: Float32Array.from(counted(12)) };
const pixel = (y: number, x: number, c: number): number => images.data[(c * 2 + y) * 3 + x] ?? 0;

/** What Keras computes of the small net, channels last, straight from its definitions. */
function byHand(): number[] {
  const flat: number[] = [];
  for (let y = 0; y < 2; y++)
    for (let x = 0; x < 2; x++)
      for (let o = 0; o < 2; o++) {
        let sum = o === 0 ? 0 : -30;
        for (let k = 0; k < 2; k++) for (let c = 0; c < 2; c++) sum += pixel(y, x + k, c) * (1 + (k * 2 + c) * 2 + o);
        flat.push(Math.max(0, sum));
      }
  return [0, 1, 2].map((out) => flat.reduce((sum, value, i) => sum + value * (1 + i * 3 + out), out));
}

describe('kerasAsOnnx', () => {
  test('kernels and what follows a Flatten keep their meaning channels first', async () => {
    const model = h5(small);
    expect(model.spec.layers.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'conv conv',
      'relu conv.activation',
      'linear dense',
    ]);
    expect(model.parameters).toBe(8 + 2 + 24 + 3);
    for (const precise of [true, false]) expect([...(await logits(model, images, precise)).data]).toEqual(byHand());
  });

  test('the archive of Keras 3 gives the same, by its groups’ names or by its layers’', async () => {
    const of = (layers: Record<string, GroupToWrite>) => hdf5File(group({ layers: group(layers) }));
    const parts = (weights: Layer['weights'] = {}, attributes = {}) =>
      group({
        vars: group(
          Object.fromEntries(Object.values(weights).map((each, i) => [`${i}`, dataset(...each)])),
          attributes,
        ),
      });
    const weights = of({ conv2d: parts(small[1]?.weights), dense: parts(small[3]?.weights) });
    const named = of({ a: parts(small[1]?.weights, { name: 'conv' }), b: parts(small[3]?.weights, { name: 'dense' }) });
    for (const h5 of [weights, named]) {
      const json = {
        name: 'config.json',
        bytes: new TextEncoder().encode(JSON.stringify(config(small))),
        deflate: true,
      };
      const path = written('net.keras', zipFile([json, { name: 'model.weights.h5', bytes: h5 }], { large: false }));
      expect([...(await logits(loadConvnet(path), images)).data]).toEqual(byHand());
    }
  });

  test('a layers-model of TensorFlow.js gives the same, its weights cut anywhere', async () => {
    const folder = mkdtempSync(join(root, 'tfjs-'));
    const listed = small.flatMap(({ name, weights = {} }) =>
      Object.entries(weights).map(([part, [shape, data]]) => ({ name: `${name}/${part}`, shape, data })),
    );
    const bytes = new Uint8Array(Float32Array.from(listed.flatMap(({ data }) => data)).buffer);
    const manifest = listed.map(({ name, shape }) => ({ name, shape, dtype: 'float32' }));
    const save = (cuts: readonly number[], weights: unknown = manifest, paths?: readonly string[]): string => {
      const names = cuts.map((_, i) => `group1-shard${i}.bin`);
      cuts.forEach((from, i) => {
        writeFileSync(join(folder, names[i] ?? ''), bytes.subarray(from, cuts[i + 1] ?? bytes.length));
      });
      const weightsManifest = [{ paths: paths ?? names, weights }];
      const model = { format: 'layers-model', modelTopology: { model_config: config(small) }, weightsManifest };
      writeFileSync(join(folder, 'model.json'), JSON.stringify(model));
      return folder;
    };
    for (const cuts of [[0], [0, 32], [0, 10, 77]])
      expect([...(await logits(loadConvnet(save(cuts)), images)).data]).toEqual(byHand());
    expect(() => loadConvnet(save([0], manifest.slice(1)))).toThrow(/disagree/);
    expect(() => loadConvnet(save([0], [...manifest, manifest[0]]))).toThrow(/there twice/);
    expect(() => loadConvnet(save([0], manifest, ['../x.bin']))).toThrow(/another name/);
    expect(() => loadConvnet(save([0], [{ ...manifest[0], quantization: { dtype: 'uint8' } }]))).toThrow(/uint8/);
    expect(() => loadConvnet(save([0], [{ ...manifest[0], shape: [1e9, 1e9] }]))).toThrow(/beyond its files/);
  });

  test('a graph of layers becomes residual blocks, in both spellings of its calls', async () => {
    const body = conv({
      settings: { filters: 2, kernel_size: 1, use_bias: false },
      weights: {
        kernel: [
          [1, 1, 2, 2],
          [1, 0, 0, -1],
        ],
      },
      inbound: called('images'),
    });
    const tensor = (name: string) => ({ class_name: '__keras_tensor__', config: { keras_history: [name, 0, 0] } });
    const head = dense(2, 2, {
      settings: { units: 2 },
      inbound: called('pool'),
      weights: {
        kernel: [
          [2, 2],
          [1, 0, 0, 1],
        ],
        bias: [[2], [0, 0]],
      },
    });
    for (const inbound of [called('conv', 'images'), [{ args: [[tensor('conv'), tensor('images')]], kwargs: {} }]]) {
      const graph = [
        // Not in the order in which they are computed.
        head,
        { type: 'Add', name: 'add', inbound },
        input([2, 3, 2]),
        body,
        { type: 'GlobalAveragePooling2D', name: 'pool', inbound: called('add') },
      ];
      const model = h5(graph, 'dense');
      expect(model.spec.layers[0]).toMatchObject({ kind: 'residual', path: 'add', relu: false });
      // Channel 0 is doubled, channel 1 cancelled.
      expect([...(await logits(model, images)).data]).toEqual([7, 0]);
    }
  });

  test('padding of zeros, depthwise kernels, norms without gain and rescaling compute what they say', async () => {
    const net = [
      input([2, 3, 2]),
      { type: 'Rescaling', name: 'rescaling', settings: { scale: 0.5, offset: [1, 0] } },
      {
        type: 'ZeroPadding2D',
        name: 'zeros',
        settings: {
          padding: [
            [0, 0],
            [1, 1],
          ],
        },
      },
      {
        type: 'DepthwiseConv2D',
        name: 'depthwise',
        settings: { kernel_size: [2, 3], depth_multiplier: 2, use_bias: false },
        weights: { depthwise_kernel: [[2, 3, 2, 2], counted(24)] as const },
      },
      {
        type: 'BatchNormalization',
        name: 'norm',
        settings: { axis: [3], epsilon: 0.5, scale: false },
        weights: {
          beta: [[4], [1, 2, 3, 4]] as const,
          moving_mean: [[4], [1, 1, 1, 1]] as const,
          moving_variance: [[4], [0.5, 0.5, 0.5, 3.5]] as const,
        },
      },
      { type: 'GlobalMaxPooling2D', name: 'most' },
      dense(4, 1, {
        settings: { units: 1 },
        weights: {
          kernel: [
            [4, 1],
            [1, 10, 100, 1000],
          ],
          bias: [[1], [0]],
        },
      }),
    ];
    const scaled = (y: number, x: number, c: number): number =>
      x < 0 || x > 2 ? 0 : pixel(y, x, c) / 2 + (c === 0 ? 1 : 0);
    const most = [0, 1, 2, 3].map((out) => {
      const [c, m] = [out >> 1, out & 1];
      const at = [0, 1, 2].map((x) => {
        let sum = 0;
        for (let i = 0; i < 2; i++)
          for (let j = 0; j < 3; j++) sum += scaled(i, x + j - 1, c) * (1 + ((i * 3 + j) * 2 + c) * 2 + m);
        return (sum - 1) / (out === 3 ? 2 : 1) + out + 1;
      });
      return Math.max(...at);
    });
    const expected = most.reduce((sum, value, out) => sum + value * 10 ** out, 0);
    expect((await logits(h5(net), images)).data[0]).toBeCloseTo(expected, 8);
  });

  test('what is not computed is refused by the layer’s name, and code is never run', () => {
    const among = (layer: Layer) => refused([input([2, 3, 2]), layer, ...small.slice(1)]);
    expect(among({ type: 'Lambda', name: 'mine', settings: { function: ['4wEA', null, null] } })).toMatch(
      /unsupported_architecture.*mine.*Lambda.*never run/,
    );
    expect(among({ type: 'LayerNormalization', name: 'ln' })).toMatch(/LayerNormalization/);
    expect(among({ type: 'Activation', name: 'act', settings: { activation: 'tanh' } })).toMatch(/act.*activation/);
    expect(among({ type: 'Activation', name: 'act', settings: { activation: 'softmax' } })).toMatch(/at the end/);
    expect(among({ type: 'ReLU', name: 'leaky', settings: { negative_slope: 0.1 } })).toMatch(
      /bad_config.*negative_slope/,
    );
    expect(among({ type: 'MaxPooling2D', name: 'p', settings: { pool_size: 2, new_setting: 1 } })).toMatch(
      /new_setting/,
    );
    expect(among({ type: 'MaxPooling2D', name: 'p', settings: { data_format: 'channels_first' } })).toMatch(
      /channels come first/,
    );
    expect(among({ type: 'MaxPooling2D', name: 'p', settings: { pool_size: 9 } })).toMatch(/window is larger/);
    expect(among({ type: 'BatchNormalization', name: 'bn', settings: { axis: 1 } })).toMatch(/another axis/);
    expect(among({ type: 'Dense', name: 'd', settings: { units: 2 } })).toMatch(/reads an image/);
    expect(
      among({
        type: 'ZeroPadding2D',
        name: 'z',
        settings: {
          padding: [
            [1, -1],
            [0, 0],
          ],
        },
      }),
    ).toMatch(/padding is none/);
    expect(refused([input([2, 3]), ...small.slice(1)])).toMatch(/no image of fixed size/);
    expect(refused(small.slice(1))).toMatch(/no image of fixed size/);
    expect(refused([...small.slice(0, 3), dense(9, 3)])).toMatch(/shape_mismatch.*dense/);
    expect(refused([...small.slice(0, 3), { ...dense(8, 3), weights: {} }])).toMatch(/missing_tensor/);
    const extra = { ...dense(8, 3).weights, more: [[1], [1]] as const };
    expect(refused([...small.slice(0, 3), { ...dense(8, 3), weights: extra }])).toMatch(/unknown_tensor.*dense\/more/);
    const twice = conv({ inbound: [...Object(called('images')), ...Object(called('images'))] });
    expect(refused([input([2, 3, 2]), twice], 'conv')).toMatch(/used more than once/);
    expect(refused([input([2, 3, 2]), conv({ inbound: called('conv') })], 'conv')).toMatch(
      /conv reads what is not there/,
    );
    expect(refused([input([2, 3, 2]), conv({ inbound: [[['images', 0, 0, { scale: 2 }]]] })], 'conv')).toMatch(
      /more than tensors/,
    );
  });

  test('150 mutated models end in a net or in a typed error', () => {
    const groups = small.map(({ name, weights = {} }) => {
      const parts = Object.entries(weights).map(([part, each]) => [part, dataset(...each)] as const);
      return [name, group(Object.fromEntries(parts), { weight_names: parts.map(([part]) => part) })] as const;
    });
    const attributes = { model_config: JSON.stringify(config(small)) };
    const whole = hdf5File(group({ model_weights: group(Object.fromEntries(groups)) }, attributes));
    const json = { name: 'config.json', bytes: new TextEncoder().encode(JSON.stringify(config(small))) };
    const archive = zipFile([json, { name: 'model.weights.h5', bytes: whole }], { large: false });
    const text = Buffer.from(whole).indexOf('{"class_name"');
    const random = new Rng(5, 'keras.mutations');
    const codes = new Map<string, number>();
    for (let round = 0; round < 150; round++) {
      const keras = round % 3 === 0;
      const bytes = (keras ? archive : whole).slice();
      // Every other one in the configuration, where single letters matter.
      const [from, length] = round % 2 ? [keras ? 40 : text, json.bytes.length] : [0, bytes.length];
      for (let edits = 1 + random.below(2); edits > 0; edits--)
        bytes[from + random.below(length)] = [0, 0x31, 0x2d, 0xff, 0x5d, random.below(256)][random.below(6)] ?? 0;
      const path = join(root, keras ? 'mutated.keras' : 'mutated.h5');
      writeFileSync(path, bytes);
      let code = 'accepted';
      try {
        for (const weight of loadConvnet(path).weights.values()) weight.read();
      } catch (error) {
        if (!(error instanceof CircuitscopeError)) throw error;
        code = error.code;
      }
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    expect(codes.get('accepted')).toBeGreaterThan(8);
    expect(codes.get('accepted')).toBeLessThan(125);
    expect(codes.get('bad_config')).toBeGreaterThan(8);
    expect(codes.get('bad_hdf5')).toBeGreaterThan(2);
  });

  test('weights alone, nets that are code, and archives without parts say what to do', () => {
    const alone = written('w.h5', hdf5File(group({ dense: group({}) }, { layer_names: ['dense'] })));
    expect(() => loadConvnet(alone)).toThrow(/bad_config|no model_config.*model\.save/);
    const mine = { model_config: JSON.stringify({ class_name: 'MyModel', config: {} }) };
    expect(() => loadConvnet(written('m.h5', hdf5File(group({ model_weights: group({}) }, mine))))).toThrow(
      /MyModel.*code of their own/,
    );
    expect(() => loadConvnet(written('x.keras', zipFile([], { large: false })))).toThrow(/config\.json/);
  });
});

describe.skipIf(!sharedFolder)(`recorded Keras nets${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  /** Pictures [N, height, width, channels] as [count, channels, height, width]. */
  function pictures(path: string, count: number, scale: number): Tensor {
    const stored = readNpy(sharedPath(path));
    const [, height = 0, width = 0, channels = 0] = stored.shape;
    const values = readStoredFloat64(stored);
    const data = Float32Array.from({ length: count * channels * height * width }, (_, i) => {
      const place = i % (height * width);
      const plane = (i - place) / (height * width);
      const [channel, n] = [plane % channels, Math.floor(plane / channels)];
      return (values[(n * height * width + place) * channels + channel] ?? 0) / scale;
    });
    return { shape: [count, channels, height, width], data };
  }
  async function agree(model: ConvnetModel, images: Tensor, expected: readonly (readonly number[])[]): Promise<void> {
    for (const precise of [true, false]) {
      const got = await logits(
        model,
        precise
          ? {
              shape: [2, ...images.shape.slice(1)],
              data: images.data.subarray(0, (2 * images.data.length) / (images.shape[0] ?? 1)),
            }
          : images,
        precise,
      );
      const wish = expected.flat().slice(0, got.data.length);
      expect(got.data.length).toBe(precise ? 20 : 200);
      wish.forEach((each, i) => {
        expect(Math.abs((got.data[i] ?? 0) - each)).toBeLessThan(1e-4);
      });
    }
  }

  test('the Keras ResNet gives its recorded logits', async () => {
    const reference = Object(sharedJson('data/reference/cifar-resnets.json'))['pretrainedResnet.h5'];
    const images = pictures('data/vision/cifar10/cifar10_dev_rgb_u8.npy', 20, 1);
    await agree(
      loadConvnet(sharedPath('data/vision/cifar10/pretrainedResnet.h5')),
      images,
      reference.dev.logits_first20,
    );
  });

  test('TinyVGG of TensorFlow.js gives its recorded logits', async () => {
    const reference = Object(sharedJson('data/reference/tinyvgg.json'))['model.json + group1-shard1of1.bin'];
    const images = pictures('data/vision/tinyvgg/images_rgb_u8.npy', 20, 255);
    await agree(loadConvnet(sharedPath('data/vision/tinyvgg')), images, reference.logits);
  });
});

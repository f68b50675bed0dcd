import { CircuitscopeError } from '@circuitscope/schema';
import {
  type Checkpoint,
  type CheckpointOptions,
  isKerasNet,
  isOnnxNet,
  openCheckpoint,
  readStored,
} from '../checkpoints/index.ts';
import type { Graph } from '../graph/index.ts';
import type { Weight, Weights } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import { ConfigReader, modelType } from './architecture.ts';
import { buildConvnet, normStatistics } from './build-convnet.ts';
import { layersFromModules, type ModuleEntry } from './convnet-modules.ts';
import { type ConvnetLayer, type ConvnetSpec, resnetSpec } from './convnet-spec.ts';
import { kerasAsOnnx } from './keras-layers.ts';
import { namingFile } from './naming-file.ts';
import { onnxConvnet } from './onnx-layers.ts';

/** A convolution net as a graph over named weights; weights are read when they are first asked for. */
export interface ConvnetModel {
  readonly name: string;
  readonly architecture: 'convnet' | 'resnet' | 'onnx' | 'keras';
  readonly spec: ConvnetSpec & { readonly kind: 'convnet' };
  readonly graph: Graph;
  readonly weights: Weights;
  readonly checkpoint: Checkpoint;
  /** How many numbers the stored weights hold that the graph uses. */
  readonly parameters: number;
}

export interface ConvnetOptions extends CheckpointOptions {
  /** [height, width] of the images, where the config says nothing of it; 224 × 224 if left out. */
  readonly size?: readonly [number, number];
}

/** Opens a convolution net on disk. @throws CircuitscopeError for anything that cannot be run exactly */
export function loadConvnet(path: string, options: ConvnetOptions = {}): ConvnetModel {
  return convnetFromCheckpoint(
    openCheckpoint(path, options),
    path.replace(/\/+$/, '').split('/').slice(-2).join('/'),
    options,
  );
}

/** Names of the architectures that are convolution nets. */
export const convnets = [{ name: 'convnet' }, { name: 'resnet' }, { name: 'onnx' }, { name: 'keras' }] as const;

export function isConvnet(checkpoint: Checkpoint): boolean {
  return (
    isOnnxNet(checkpoint.config) ||
    isKerasNet(checkpoint.config) ||
    convnets.some(({ name }) => name === modelType(checkpoint))
  );
}

export function convnetFromCheckpoint(given: Checkpoint, name: string, options: ConvnetOptions = {}): ConvnetModel {
  return namingFile(given.path, () => unnamed(given, name, options));
}

function unnamed(given: Checkpoint, name: string, options: ConvnetOptions): ConvnetModel {
  const { config: net } = given;
  if (isOnnxNet(net)) {
    const { spec, checkpoint } = onnxConvnet(given, net);
    return convnetOf('onnx', spec, checkpoint, name);
  }
  if (isKerasNet(net)) {
    const named = kerasAsOnnx(given, net);
    const { spec, checkpoint } = onnxConvnet(named.checkpoint, named.net);
    return { ...convnetOf('keras', spec, checkpoint, name), checkpoint: given };
  }
  const architecture = modelType(given);
  if (architecture !== 'convnet' && architecture !== 'resnet') {
    throw new CircuitscopeError('unsupported_architecture', `${given.path} is not a convolution net.`, {
      at: given.path,
      expected: 'convnet, resnet, onnx, keras',
      got: String(architecture).slice(0, 60),
    });
  }
  const config = ConfigReader.of(given);
  const spec =
    architecture === 'resnet'
      ? resnetSpec(config, options.size ?? [224, 224])
      : sequentialSpec(config, options.size ?? [224, 224]);
  return convnetOf(architecture, spec, given, name);
}

/** The graph of a spec, over tensors of a checkpoint that stand under the paths of its layers. */
function convnetOf(
  architecture: ConvnetModel['architecture'],
  spec: ConvnetSpec,
  checkpoint: Checkpoint,
  name: string,
): ConvnetModel {
  const graph = buildConvnet(spec);
  const weights = new Map<string, Weight>();
  const used = new Set<string>();
  const linear = new Map(
    layersOf(spec.layers).flatMap((layer) => (layer.kind === 'linear' ? [[layer.path, layer]] : [])),
  );
  const stored = (tensor: string, shape: readonly number[]): (() => Floats) => {
    const found = checkpoint.tensors.get(tensor);
    // What a linear layer reads of a flattened image may keep the image's axes.
    const [out = 0, ...read] = found?.shape ?? [];
    const into = read.reduce((product, size) => product * size, 1);
    const matrix = tensor.endsWith('.weight') && linear.has(tensor.slice(0, -'.weight'.length));
    const fits = matrix ? out === shape[0] && into === shape[1] : found?.shape.join() === shape.join();
    if (!found || !fits) {
      throw new CircuitscopeError(
        found ? 'shape_mismatch' : 'missing_tensor',
        `${checkpoint.path} needs the tensor ${tensor} as [${shape.join(', ')}]${found ? `, not [${found.shape.join(', ')}]` : ''}.`,
        {
          at: `${checkpoint.path}: ${tensor}`,
          expected: shape.join(' × '),
          got: found?.shape.join(' × ') ?? 'nothing',
        },
      );
    }
    used.add(tensor);
    return once(() => readStored(found));
  };
  const put = (weight: string, shape: readonly number[], read: () => Floats): void =>
    void weights.set(weight, { name: weight, shape, read });
  const norms = new Map(
    layersOf(spec.layers).flatMap((layer) => (layer.kind === 'batch_norm' ? [[layer.path, layer]] : [])),
  );
  const subsamples = new Map(
    layersOf(spec.layers).flatMap((layer) => (layer.kind === 'subsample' ? [[layer.path, layer]] : [])),
  );
  for (const { name: weight, shape } of graph.params) {
    const path = weight.slice(0, weight.lastIndexOf('.'));
    const part = weight.slice(path.length + 1);
    const norm = norms.get(path);
    const thinned = subsamples.get(path);
    if (thinned) {
      const [out = 0, channels = 0] = shape;
      const one = (at: number): number => (Math.floor(at / channels) - thinned.before === at % channels ? 1 : 0);
      put(
        weight,
        shape,
        once(() => Float32Array.from({ length: out * channels }, (_, at) => one(at))),
      );
    } else if (norm && normStatistics.some((statistic) => statistic === part)) {
      const [mean, variance] = ['mean', 'var'].map((what) => stored(`${path}.running_${what}`, shape));
      const inverse = (at: number): number => 1 / Math.sqrt((variance?.()[at] ?? 0) + norm.eps);
      const value = (at: number): number => (part === 'shift' ? -(mean?.()[at] ?? 0) * inverse(at) : inverse(at));
      put(
        weight,
        shape,
        once(() => Float64Array.from({ length: shape[0] ?? 0 }, (_, at) => value(at))),
      );
    } else if (linear.has(path) && part === 'weight') {
      const [into = 0, out = 0] = shape;
      const read = stored(weight, [out, into]);
      put(
        weight,
        shape,
        once(() => gained(transposed(read(), out, into), linear.get(path)?.gains?.[0])),
      );
    } else if (linear.has(path)) {
      const read = stored(weight, shape);
      put(
        weight,
        shape,
        once(() => gained(read(), linear.get(path)?.gains?.[1])),
      );
    } else put(weight, shape, stored(weight, shape));
  }
  const unread = [...checkpoint.tensors.keys()].filter(
    (tensor) => !used.has(tensor) && !/\.num_batches_tracked$/.test(tensor),
  );
  if (unread.length > 0) {
    throw new CircuitscopeError(
      'unknown_tensor',
      `${checkpoint.path} holds tensors that this net has no use for: ${unread.slice(0, 4).join(', ')}.`,
      { at: checkpoint.path, got: unread.slice(0, 4).join(', ') },
    );
  }
  const parameters = [...used].reduce(
    (sum, tensor) => sum + (checkpoint.tensors.get(tensor)?.shape ?? []).reduce((a, b) => a * b, 1),
    0,
  );
  return { name, architecture, spec: { kind: 'convnet', ...spec }, graph, weights, checkpoint, parameters };
}

/** A net in memory, from its modules: for tests and for nets that were just trained. */
export function convnetConfig(image: readonly number[], modules: readonly ModuleEntry[]) {
  return { model_type: 'convnet', image, layers: modules };
}

/** Every layer, those inside groups and residual blocks too. */
export function layersOf(layers: readonly ConvnetLayer[]): readonly ConvnetLayer[] {
  return layers.flatMap((layer) =>
    layer.kind === 'group'
      ? [layer, ...layersOf(layer.layers)]
      : layer.kind === 'residual'
        ? [layer, ...layersOf(layer.body), ...layersOf(layer.shortcut)]
        : layer.kind === 'concat'
          ? [layer, ...layer.branches.flatMap(layersOf)]
          : [layer],
  );
}

function sequentialSpec(config: ConfigReader, size: readonly [number, number]): ConvnetSpec {
  const modules = config.value('layers');
  const image = config.value('image') ?? [firstChannels(modules), ...size];
  config.finish(['model_type', 'architectures', 'name', 'seed', 'classes']);
  if (!Array.isArray(image) || image.length !== 3 || !image.every((size) => Number.isInteger(size) && size > 0)) {
    throw new CircuitscopeError('bad_config', 'image must be [channels, height, width].', { at: 'image' });
  }
  const [channels, height, width] = image;
  return { image: [channels, height, width], layers: layersFromModules(modules) };
}

/** The channels that the first convolution of a list of modules reads, where the config says nothing of images. */
function firstChannels(modules: unknown): unknown {
  for (const module of Array.isArray(modules) ? modules : []) {
    const { arguments: given } = module ?? {};
    if (typeof given === 'object' && given !== null && 'in_channels' in given) return given.in_channels;
  }
  return undefined;
}

function gained(data: Floats, gain = 1): Floats {
  return gain === 1 ? data : data.map((value) => value * gain);
}

/** A stored [out, in] as [in, out]. */
function transposed(data: Floats, out: number, into: number): Floats {
  const made = new Float32Array(data.length);
  for (let o = 0; o < out; o++) for (let i = 0; i < into; i++) made[i * out + o] = data[o * into + i] ?? 0;
  return made;
}

function once(make: () => Floats): () => Floats {
  let made: Floats | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

import { CircuitscopeError } from '@circuitscope/schema';
import type {
  Checkpoint,
  KerasLayer,
  KerasNet,
  OnnxAttribute,
  OnnxNet,
  OnnxNode,
  StoredTensor,
} from '../checkpoints/index.ts';
import { ConfigReader } from './architecture.ts';
import { type KerasGraph, kerasGraph } from './keras-graph.ts';
import { channelsFirst, denseKernel, depthwise, madeWeights } from './keras-kernels.ts';

// Keras nets in ONNX's words, channels first. A kernel [down, across, in, out] is seen as [out, in, down, across], a dense one
// behind a Flatten in the order of our channels; nothing is copied. The activation that a layer brings along is a node of its
// own, `LAYER.activation`. A softmax or sigmoid at the end is left away, so that the output is the logits.

type Pair = readonly [number, number];
type Sides = readonly [top: number, left: number, bottom: number, right: number];

/** What a layer gives: [channels, height, width], or a row of numbers, perhaps an image's in the order height, width, channel. */
interface Value {
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly flat: boolean;
  /** The value that ONNX nodes read, zeros around it that the next layer has to count, and whether it is ≥ 0. */
  readonly name: string;
  readonly zeros?: Sides;
  readonly rectified?: boolean;
}

/** The net as ONNX nodes, and its weights under the names that these read. */
export function kerasAsOnnx(
  checkpoint: Checkpoint,
  net: KerasNet,
): { readonly net: OnnxNet; readonly checkpoint: Checkpoint } {
  return new KerasNodes(checkpoint, net, kerasGraph(net, checkpoint.path)).run();
}

/** Settings that touch training, names and types alone. */
const bookkeeping = [
  ...[
    'name',
    'trainable',
    'dtype',
    'batch_input_shape',
    'batch_shape',
    'autocast',
    'seed',
    'noise_shape',
    'rate',
    'stddev',
  ],
  ...['kernel', 'bias', 'depthwise', 'pointwise', 'beta', 'gamma', 'moving_mean', 'moving_variance'].flatMap((part) =>
    ['initializer', 'regularizer', 'constraint'].map((what) => `${part}_${what}`),
  ),
  ...[
    'activity_regularizer',
    'momentum',
    'renorm_clipping',
    'renorm_momentum',
    'fused',
    'virtual_batch_size',
    'sparse',
    'ragged',
    'optional',
    'l1',
    'l2',
  ],
  ...[
    'synchronized',
    'input_spec',
    'input_dtype',
    'type_spec',
    'adjustment',
    'lora_rank',
    'lora_alpha',
    'build_config',
  ],
];

const known =
  'Conv2D, DepthwiseConv2D, SeparableConv2D, Dense, BatchNormalization, Activation, ReLU, Softmax, MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D, Flatten, Add, Concatenate, ZeroPadding2D, Rescaling, Dropout, InputLayer';

class KerasNodes {
  readonly #checkpoint: Checkpoint;
  readonly #net: KerasNet;
  readonly #graph: KerasGraph;
  readonly #nodes: OnnxNode[] = [];
  readonly #tensors = new Map<string, StoredTensor>();
  readonly #values = new Map<string, Value>();
  #input: Value | undefined;

  constructor(checkpoint: Checkpoint, net: KerasNet, graph: KerasGraph) {
    this.#checkpoint = checkpoint;
    this.#net = net;
    this.#graph = graph;
  }

  run(): { readonly net: OnnxNet; readonly checkpoint: Checkpoint } {
    for (const { layer, inputs } of this.#graph.layers) {
      const given = inputs.map((name) => this.#values.get(name) ?? this.#absent(layer));
      this.#values.set(layer.name, this.#layer(layer, given));
      const left = (this.#net.weights[layer.name] ?? []).filter((name) => !this.#taken.has(name));
      if (left.length > 0)
        throw new CircuitscopeError(
          'unknown_tensor',
          `${this.#checkpoint.path}: the layer ${layer.name} has weights that it has no use for: ${left.slice(0, 4).join(', ')}.`,
          {
            at: `${this.#checkpoint.path}: ${layer.name}`,
            got: left.slice(0, 4).join(', '),
          },
        );
    }
    const output = this.#values.get(this.#graph.output);
    if (!this.#input || !output)
      throw this.#bad('its output', 'it is no layer of the net', 'a layer', this.#graph.output);
    const net: OnnxNet = {
      model_type: 'onnx',
      opset: 13,
      nodes: this.#nodes,
      inputs: [{ name: this.#input.name, shape: [0, ...this.#input.shape] }],
      outputs: [output.name],
    };
    return { net, checkpoint: { ...this.#checkpoint, tensors: this.#tensors } };
  }

  readonly #taken = new Set<string>();

  #layer(layer: KerasLayer, inputs: readonly Value[]): Value {
    const { name, type } = layer;
    const config = new ConfigReader(layer.settings, `${this.#checkpoint.path}: the layer ${name}`);
    const made = ((): Value => {
      if (type === 'InputLayer') return this.#begin(layer);
      const [first = this.#begin(layer), ...more] = inputs;
      if (type === 'Add' || type === 'Concatenate') return this.#join(layer, config, [first, ...more]);
      if (more.length > 0) throw this.#bad(name, 'it reads several values', 'one', `${inputs.length}`);
      return this.#single(layer, config, first);
    })();
    config.finish(bookkeeping);
    return made;
  }

  #single(layer: KerasLayer, config: ConfigReader, x: Value): Value {
    const { name, type } = layer;
    switch (type) {
      case 'Dropout':
      case 'SpatialDropout2D':
      case 'GaussianNoise':
      case 'GaussianDropout':
      case 'ActivityRegularization':
        config.value('data_format');
        return x;
      case 'Activation':
        return this.#activate(layer, config.value('activation'), x, name);
      case 'Softmax':
        config.only('axis', [-1, 1]);
        return this.#activate(layer, 'softmax', x, name);
      case 'ReLU':
        config.only('negative_slope', [0]);
        config.only('threshold', [0]);
        if (config.value('max_value') !== undefined) return this.#clip(layer, x, name, config.number('max_value'));
        return this.#activate(layer, 'relu', x, name);
      case 'Conv2D':
      case 'Convolution2D':
        return this.#conv(layer, config, x);
      case 'DepthwiseConv2D':
        return this.#conv(layer, config, x, 'depthwise');
      case 'SeparableConv2D':
        return this.#separable(layer, config, x);
      case 'Dense':
        return this.#dense(layer, config, x);
      case 'BatchNormalization':
        return this.#norm(layer, config, x);
      case 'Rescaling':
        return this.#rescale(layer, config, x);
      case 'MaxPooling2D':
      case 'AveragePooling2D':
        return this.#pool(layer, config, x);
      case 'GlobalAveragePooling2D':
      case 'GlobalMaxPooling2D': {
        this.#channelsLast(layer, config);
        const kept = config.flag('keepdims', false);
        const [channels, ...window] = this.#image(layer, x).shape;
        const attributes = { kernel_shape: window, strides: window };
        const average = type === 'GlobalAveragePooling2D';
        const out = this.#node(average ? 'GlobalAveragePool' : 'MaxPool', name, [x.name], average ? {} : attributes);
        return { name: out, shape: [channels, 1, 1], flat: !kept };
      }
      case 'ZeroPadding2D': {
        this.#channelsLast(layer, config);
        const [[top, bottom], [left, right]] = this.#margins(config, layer);
        const { shape, zeros = [0, 0, 0, 0], ...rest } = this.#image(layer, x);
        const sides: Sides = [zeros[0] + top, zeros[1] + left, zeros[2] + bottom, zeros[3] + right];
        return { ...rest, shape: [shape[0], shape[1] + top + bottom, shape[2] + left + right], zeros: sides };
      }
      case 'Flatten': {
        this.#channelsLast(layer, config);
        if (x.flat) return x;
        const out = this.#node('Flatten', name, [this.#image(layer, this.#unpadded(layer, x)).name], { axis: 1 });
        return { ...x, name: out, flat: true };
      }
      default:
        throw this.#bad(name, `it is a ${type}, which is not computed here and never run`, known, type);
    }
  }

  /** The images, from an input layer or from what the first layer says of its input. */
  #begin(layer: KerasLayer): Value {
    const { settings } = layer;
    const given: unknown =
      settings.batch_shape ?? settings.batch_input_shape ?? (this.#net.settings.build_input_shape as unknown);
    const shape = Array.isArray(given) ? given.slice(1) : [];
    const [height, width, channels] = shape;
    if (this.#input) throw this.#bad(layer.name, 'it is a second input', 'one input', 'several');
    if (shape.length !== 3 || !shape.every((size) => Number.isSafeInteger(size) && size > 0 && size < 2 ** 24))
      throw this.#bad(
        layer.name,
        'its input is no image of fixed size',
        '[batch, height, width, channels]',
        JSON.stringify(given) ?? 'nothing',
      );
    this.#input = { name: 'images', shape: [channels, height, width], flat: false };
    return this.#input;
  }

  #join(layer: KerasLayer, config: ConfigReader, inputs: readonly Value[]): Value {
    const { name, type } = layer;
    const [first] = inputs;
    const values = inputs.map((value) => this.#unpadded(layer, value));
    const equal = values.every(
      ({ shape, flat }) => flat === first?.flat && String(shape.slice(1)) === String(first.shape.slice(1)),
    );
    if (!first || values.length < 2 || !equal)
      throw this.#bad(
        name,
        'what it joins is not of one size',
        'equal sizes',
        values.map(({ shape }) => `[${shape}]`).join(' '),
      );
    const [channels, height, width] = first.shape;
    if (type === 'Add') {
      if (values.some(({ shape }) => shape[0] !== channels))
        throw this.#bad(name, 'it adds other channels', `${channels}`, values.map(({ shape }) => shape[0]).join());
      // ONNX adds two: further ones are added to the sum of those before.
      const sum = values.slice(1).reduce((before, value, i) => {
        const path = i + 2 === values.length ? name : `${name}.${i + 1}`;
        return this.#node('Add', path, [before, value.name], {});
      }, first.name);
      return { name: sum, shape: first.shape, flat: first.flat };
    }
    config.only('axis', first.flat ? [-1, 1] : [-1, 3]);
    if (first.flat && height * width > 1)
      throw this.#bad(name, 'it joins flattened images', 'channels, or rows of numbers', 'flattened images');
    const all = values.reduce((sum, { shape }) => sum + shape[0], 0);
    return {
      name: this.#node(
        'Concat',
        name,
        values.map((value) => value.name),
        { axis: 1 },
      ),
      shape: [all, height, width],
      flat: first.flat,
    };
  }

  #conv(layer: KerasLayer, config: ConfigReader, x: Value, kind?: 'depthwise'): Value {
    const [channels] = this.#image(layer, x).shape;
    const multiplier = kind ? config.size('depth_multiplier', 1) : 1;
    const groups = kind ? channels : config.size('groups', 1);
    if (kind) config.only('groups', [1, channels]);
    const out = kind ? channels * multiplier : config.size('filters');
    const window = pairOf(config, 'kernel_size');
    const bias = config.flag('use_bias', true);
    const stored = kind ? [...window, channels, multiplier] : [...window, channels / groups, out];
    const [kernel, b] = this.#weights(layer, [stored, ...(bias ? [[out]] : [])]);
    if (!kernel) throw new TypeError('a kernel was asked for');
    const name = layer.name;
    this.#put(`${name}.weight`, kind ? depthwise(kernel) : channelsFirst(kernel));
    if (b) this.#put(`${name}.bias`, b);
    const activation = config.value('activation');
    return this.#convolve(layer, config, x, { name, out, window, groups, bias, activation });
  }

  #convolve(
    layer: KerasLayer,
    config: ConfigReader,
    x: Value,
    made: {
      readonly name: string;
      readonly out: number;
      readonly window: Pair;
      readonly groups: number;
      readonly bias: boolean;
      readonly activation: unknown;
    },
  ): Value {
    this.#channelsLast(layer, config);
    const { name, out, window, groups, bias, activation } = made;
    const [strides, dilations] = [pairOf(config, 'strides', [1, 1]), pairOf(config, 'dilation_rate', [1, 1])];
    const placed = this.#place(layer, config, x, { window, strides, dilations });
    const attributes = { kernel_shape: window, strides, dilations, pads: placed.pads, group: groups };
    const value = this.#node('Conv', name, [x.name, `${name}.weight`, ...(bias ? [`${name}.bias`] : [])], attributes);
    const made_: Value = { name: value, shape: [out, ...placed.size], flat: false };
    return this.#activate(layer, activation, made_, `${name}.activation`);
  }

  /** A depthwise convolution, then one of 1 × 1; between them no bias. */
  #separable(layer: KerasLayer, config: ConfigReader, x: Value): Value {
    const [channels] = this.#image(layer, x).shape;
    const [multiplier, out] = [config.size('depth_multiplier', 1), config.size('filters')];
    const window = pairOf(config, 'kernel_size');
    const bias = config.flag('use_bias', true);
    config.only('groups', [1]);
    const shapes = [[...window, channels, multiplier], [1, 1, channels * multiplier, out], ...(bias ? [[out]] : [])];
    const [depth, point, b] = this.#weights(layer, shapes);
    if (!depth || !point) throw new TypeError('two kernels were asked for');
    const name = `${layer.name}.depthwise`;
    this.#put(`${name}.weight`, depthwise(depth));
    this.#put(`${layer.name}.weight`, channelsFirst(point));
    if (b) this.#put(`${layer.name}.bias`, b);
    const activation = config.value('activation');
    const inner = { name, out: channels * multiplier, window, groups: channels, bias: false, activation: undefined };
    const between = this.#convolve(layer, config, x, inner);
    const inputs = [between.name, `${layer.name}.weight`, ...(bias ? [`${layer.name}.bias`] : [])];
    const value = this.#node('Conv', layer.name, inputs, { kernel_shape: [1, 1] });
    const [, height, width] = between.shape;
    return this.#activate(
      layer,
      activation,
      { name: value, shape: [out, height, width], flat: false },
      `${layer.name}.activation`,
    );
  }

  #dense(layer: KerasLayer, config: ConfigReader, x: Value): Value {
    const { name } = layer;
    const [channels, height, width] = x.shape;
    if (!x.flat)
      throw this.#bad(
        name,
        'it reads an image',
        'a Flatten or GlobalAveragePooling2D before it',
        `[${x.shape.join(', ')}]`,
      );
    const [out, into] = [config.size('units'), channels * height * width];
    const bias = config.flag('use_bias', true);
    config.only('quantization_config', []);
    const [kernel, b] = this.#weights(layer, [[into, out], ...(bias ? [[out]] : [])]);
    if (!kernel) throw new TypeError('a kernel was asked for');
    this.#put(`${name}.weight`, denseKernel(kernel, x.shape));
    if (b) this.#put(`${name}.bias`, b);
    const value = this.#node('Gemm', name, [x.name, `${name}.weight`, ...(bias ? [`${name}.bias`] : [])], {
      transB: 1,
    });
    return this.#activate(
      layer,
      config.value('activation'),
      { name: value, shape: [out, 1, 1], flat: true },
      `${name}.activation`,
    );
  }

  #norm(layer: KerasLayer, config: ConfigReader, given: Value): Value {
    const { name } = layer;
    const x = this.#unpadded(layer, given);
    const [channels, height, width] = x.shape;
    const axis = config.value('axis');
    config.only('renorm', [false]);
    const [only] = Array.isArray(axis) && axis.length === 1 ? axis : [axis ?? -1];
    if (only !== -1 && only !== (x.flat ? 1 : 3))
      throw this.#bad(name, 'it normalises another axis', 'channels, the last one', JSON.stringify(axis));
    if (x.flat && height * width > 1)
      throw this.#bad(name, 'it normalises flattened images', 'channels, or rows of numbers', 'flattened images');
    const [scale, center] = [config.flag('scale', true), config.flag('center', true)];
    const shape = [channels];
    const found = this.#weights(layer, [...(scale ? [shape] : []), ...(center ? [shape] : []), shape, shape]);
    const parts = [...(scale ? ['weight'] : []), ...(center ? ['bias'] : []), 'running_mean', 'running_var'];
    parts.forEach((part, i) => {
      const tensor = found[i];
      if (tensor) this.#put(`${name}.${part}`, tensor);
    });
    if (!scale)
      this.#put(
        `${name}.weight`,
        madeWeights([channels], () => 1),
      );
    if (!center)
      this.#put(
        `${name}.bias`,
        madeWeights([channels], () => 0),
      );
    const inputs = ['weight', 'bias', 'running_mean', 'running_var'].map((part) => `${name}.${part}`);
    const value = this.#node('BatchNormalization', name, [x.name, ...inputs], {
      epsilon: config.number('epsilon', 1e-3),
    });
    return { name: value, shape: x.shape, flat: x.flat };
  }

  /** x·scale + offset by channel, as a convolution of 1 × 1 in groups. */
  #rescale(layer: KerasLayer, config: ConfigReader, x: Value): Value {
    const { name } = layer;
    const [channels] = this.#image(layer, this.#unpadded(layer, x)).shape;
    const each = (key: string, fallback?: number): ((channel: number) => number) => {
      const value = config.value(key);
      if (!Array.isArray(value))
        return (
          (number) => () =>
            number
        )(config.number(key, fallback));
      if (value.length !== channels || !value.every(Number.isFinite))
        throw config.wrong(key, `a number or ${channels}`, value);
      return (channel) => value[channel];
    };
    this.#put(`${name}.weight`, madeWeights([channels, 1, 1, 1], each('scale')));
    this.#put(`${name}.bias`, madeWeights([channels], each('offset', 0)));
    const inputs = [x.name, `${name}.weight`, `${name}.bias`];
    return {
      name: this.#node('Conv', name, inputs, { kernel_shape: [1, 1], group: channels }),
      shape: x.shape,
      flat: false,
    };
  }

  #pool(layer: KerasLayer, config: ConfigReader, x: Value): Value {
    this.#channelsLast(layer, config);
    const window = pairOf(config, 'pool_size', [2, 2]);
    const strides = config.has('strides') && config.value('strides') !== undefined ? pairOf(config, 'strides') : window;
    const average = layer.type === 'AveragePooling2D';
    // Zeros around an image count as entries: for a maximum, that is nothing where all entries are zero or more.
    if (x.zeros && !average && !x.rectified)
      throw this.#bad(
        layer.name,
        'it takes a maximum over zeros around an image',
        'a ReLU before ZeroPadding2D',
        'none',
      );
    const { pads, size } = this.#place(layer, config, x, { window, strides, dilations: [1, 1] });
    if (x.zeros && average && config.value('padding') === 'same')
      throw this.#bad(layer.name, 'it pads what is padded', 'valid', 'same');
    const attributes = {
      kernel_shape: window,
      strides,
      pads,
      ...(average ? { count_include_pad: x.zeros ? 1 : 0 } : {}),
    };
    const value = this.#node(average ? 'AveragePool' : 'MaxPool', layer.name, [x.name], attributes);
    return { name: value, shape: [x.shape[0], ...size], flat: false };
  }

  /** Padding on four sides and the size that comes out. `same` puts the odd row and column behind. */
  #place(
    layer: KerasLayer,
    config: ConfigReader,
    x: Value,
    { window, strides, dilations }: { readonly window: Pair; readonly strides: Pair; readonly dilations: Pair },
  ): { readonly pads: Sides; readonly size: readonly [number, number] } {
    const same = config.oneOf('padding', { valid: 'valid', same: 'same' }, 'valid') === 'same';
    const [, ...sizes] = this.#image(layer, x).shape;
    const axes = sizes.map((size, axis) => {
      const [step, reach] = [strides[axis] ?? 1, ((window[axis] ?? 1) - 1) * (dilations[axis] ?? 1) + 1];
      const out = same ? Math.ceil(size / step) : Math.floor((size - reach) / step) + 1;
      const total = same ? Math.max(0, (out - 1) * step + reach - size) : 0;
      if (out < 1)
        throw this.#bad(layer.name, 'its window is larger than what it reads', `at most ${size}`, `${reach}`);
      return { out, before: Math.floor(total / 2), after: Math.ceil(total / 2) };
    });
    const [down, across] = axes;
    const [top, left, bottom, right] = x.zeros ?? [0, 0, 0, 0];
    return {
      pads: [
        top + (down?.before ?? 0),
        left + (across?.before ?? 0),
        bottom + (down?.after ?? 0),
        right + (across?.after ?? 0),
      ],
      size: [down?.out ?? 0, across?.out ?? 0],
    };
  }

  #activate(layer: KerasLayer, given: unknown, value: Value, name: string): Value {
    // Newer files may spell an activation as an object of a class.
    const fn = given === undefined ? 'linear' : given;
    const x = this.#unpadded(layer, value);
    if (fn === 'linear') return x;
    if (fn === 'relu') return { ...x, name: this.#node('Relu', name, [x.name], {}), rectified: true };
    if (fn === 'relu6') return this.#clip(layer, x, name, 6);
    const last = layer.name === this.#graph.output;
    if ((fn === 'softmax' || fn === 'sigmoid') && last) return x;
    throw this.#bad(
      layer.name,
      'its activation is not computed here',
      'linear, relu, relu6; softmax or sigmoid at the end',
      JSON.stringify(fn).slice(0, 60),
    );
  }

  #clip(layer: KerasLayer, value: Value, name: string, max: number): Value {
    const x = this.#unpadded(layer, value);
    return { ...x, name: this.#node('Clip', name, [x.name], { min: 0, max }), rectified: true };
  }

  /** The stored weights of a layer in their order, and of these shapes. */
  #weights(layer: KerasLayer, shapes: readonly (readonly number[])[]): readonly StoredTensor[] {
    const names = this.#net.weights[layer.name] ?? [];
    return shapes.map((shape, i) => {
      const name = names[i] ?? '';
      const found = this.#checkpoint.tensors.get(name);
      const { path } = this.#checkpoint;
      if (String(found?.shape) !== String(shape) || !found)
        throw new CircuitscopeError(
          found ? 'shape_mismatch' : 'missing_tensor',
          `${path}: the layer ${layer.name} needs ${shapes.length} weights, the ${i + 1}. as [${shape.join(', ')}]${found ? `, not [${found.shape.join(', ')}]` : ''}.`,
          { at: `${path}: ${layer.name}`, expected: shape.join(' × '), got: found?.shape.join(' × ') ?? 'nothing' },
        );
      this.#taken.add(name);
      return found;
    });
  }

  #put(name: string, tensor: StoredTensor): void {
    this.#tensors.set(name, { ...tensor, name });
  }

  #node(op: string, name: string, inputs: readonly string[], attributes: Record<string, OnnxAttribute>): string {
    const output = `${name}:0`;
    this.#nodes.push({ op, name, inputs, outputs: [output], attributes });
    return output;
  }

  #image(layer: KerasLayer, x: Value): Value {
    if (!x.flat) return x;
    throw this.#bad(layer.name, 'it reads a row of numbers', 'an image', 'flattened values');
  }

  #unpadded(layer: KerasLayer, x: Value): Value {
    if (!x.zeros) return x;
    throw this.#bad(layer.name, 'it reads what ZeroPadding2D gives', 'a convolution or pooling behind it', layer.type);
  }

  #channelsLast(layer: KerasLayer, config: ConfigReader): void {
    if ((config.value('data_format') ?? 'channels_last') !== 'channels_last')
      throw this.#bad(layer.name, 'its channels come first', 'channels_last', 'channels_first');
  }

  #margins(config: ConfigReader, layer: KerasLayer): readonly [Pair, Pair] {
    const value = config.value('padding');
    const sides = Array.isArray(value)
      ? value.map((side) => (Array.isArray(side) ? side : [side, side]))
      : [
          [value, value],
          [value, value],
        ];
    const [down, across] = sides.map((side): Pair | undefined => {
      const [before, after] = side;
      return side.length === 2 &&
        [before, after].every((size) => Number.isSafeInteger(size) && size >= 0 && size < 2 ** 20)
        ? [before, after]
        : undefined;
    });
    if (sides.length === 2 && down && across) return [down, across];
    throw this.#bad(
      layer.name,
      'its padding is none',
      '[[top, bottom], [left, right]]',
      JSON.stringify(value) ?? 'nothing',
    );
  }

  #absent(layer: KerasLayer): never {
    throw this.#bad(layer.name, 'it reads what is not there', 'a layer of the net', 'another');
  }

  #bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
    const { path } = this.#checkpoint;
    return new CircuitscopeError('unsupported_architecture', `${path}: ${at}: ${what}; expected is ${expected}.`, {
      at: `${path}: ${at}`,
      expected,
      got,
    });
  }
}

function pairOf(config: ConfigReader, key: string, fallback?: Pair): Pair {
  const value = config.value(key) ?? fallback;
  const [down, across] = Array.isArray(value) ? value : [value, value];
  const whole = (size: unknown): size is number =>
    typeof size === 'number' && Number.isSafeInteger(size) && size > 0 && size < 2 ** 20;
  if ((!Array.isArray(value) || value.length === 2) && whole(down) && whole(across)) return [down, across];
  throw config.wrong(key, 'one or two whole numbers above 0', value);
}

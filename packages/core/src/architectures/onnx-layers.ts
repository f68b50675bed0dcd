import { CircuitscopeError } from '@circuitscope/schema';
import {
  type Checkpoint,
  type OnnxNet,
  type OnnxNode,
  readStoredFloat64,
  type StoredTensor,
} from '../checkpoints/index.ts';
import type { ConvnetLayer, ConvnetSpec } from './convnet-spec.ts';

// ONNX graphs that are chains of layers, with residual sums: Conv, BatchNormalization, Relu, MaxPool, AveragePool,
// GlobalAveragePool, ReduceMean over height and width, Flatten, Reshape to [batch, …], Gemm, Add of two branches; Identity,
// Dropout and a last Softmax are passed over. Anything else is an error that names the operation.

const known =
  'Conv, BatchNormalization, Relu, MaxPool, AveragePool, GlobalAveragePool, ReduceMean, Flatten, Reshape, Gemm, Add, Identity, Dropout, Softmax at the end';

/** The net as layers, and its weights under the names that layers give them (`PATH.weight`). */
export function onnxConvnet(checkpoint: Checkpoint, net: OnnxNet): { spec: ConvnetSpec; checkpoint: Checkpoint } {
  const builder = new Layers(checkpoint, net);
  const spec = builder.spec();
  return { spec, checkpoint: { ...checkpoint, tensors: builder.tensors } };
}

type Pair = readonly [number, number];

class Layers {
  readonly tensors = new Map<string, StoredTensor>();
  readonly #checkpoint: Checkpoint;
  readonly #net: OnnxNet;
  readonly #readers = new Map<string, OnnxNode[]>();
  readonly #visited = new Set<OnnxNode>();

  constructor(checkpoint: Checkpoint, net: OnnxNet) {
    this.#checkpoint = checkpoint;
    this.#net = net;
    for (const node of net.nodes) {
      if (node.op === 'Constant') continue;
      for (const name of new Set(node.inputs)) this.#readers.set(name, [...(this.#readers.get(name) ?? []), node]);
    }
  }

  spec(): ConvnetSpec {
    const [input] = this.#net.inputs;
    const [, channels = 0, height = 0, width = 0] = input?.shape ?? [];
    if (this.#net.inputs.length !== 1 || !input || input.shape.length !== 4 || channels * height * width === 0)
      throw this.#bad(
        'inputs',
        'its input is no image of fixed size',
        '[batch, channels, height, width]',
        JSON.stringify(input ?? null),
      );
    if (this.#net.outputs.length !== 1)
      throw this.#bad('outputs', 'it gives several values', 'one', `${this.#net.outputs.length}`);
    const { layers, end } = this.#chain(input.name, undefined);
    if (end !== this.#net.outputs[0])
      throw this.#bad('outputs', 'the chain does not lead to its output', String(this.#net.outputs[0]), end);
    const unused = this.#net.nodes.filter(({ op }) => op !== 'Constant').length - this.#visited.size;
    if (unused > 0) throw this.#bad('nodes', 'it has nodes that the chain does not reach', '0', `${unused}`);
    return { image: [channels, height, width], layers };
  }

  /** Layers from a value on, to the end or to a sum that also reads another branch. */
  #chain(from: string, until: OnnxNode | undefined): { layers: ConvnetLayer[]; end: string; stop?: OnnxNode } {
    const layers: ConvnetLayer[] = [];
    let value = from;
    for (;;) {
      const readers = this.#readers.get(value) ?? [];
      const [next] = readers;
      if (!next) return { layers, end: value };
      if (readers.length > 1) {
        if (until)
          throw this.#bad(value, 'branches inside branches are not read', 'one residual sum', `${readers.length}`);
        const sum = this.#residual(value, readers);
        layers.push(sum.layer);
        value = sum.end;
        continue;
      }
      if (next.op === 'Add') return { layers, end: value, stop: next };
      this.#visit(next);
      const layer = this.#layer(next, layers.at(-1));
      if (layer) layers.push(layer);
      value = next.outputs[0] ?? '';
    }
  }

  /** Two branches that begin at one value and meet in an Add; one of them may be the value itself. */
  #residual(value: string, readers: readonly OnnxNode[]): { layer: ConvnetLayer; end: string } {
    const branches = readers.map((reader) => {
      if (reader.op === 'Add') return { layers: [], stop: reader };
      this.#visit(reader);
      const first = this.#layer(reader, undefined);
      const rest = this.#chain(reader.outputs[0] ?? '', reader);
      return { layers: [...(first ? [first] : []), ...rest.layers], stop: rest.stop };
    });
    const [one, two] = branches;
    const sum = one?.stop;
    if (branches.length !== 2 || !one || !two || !sum || sum !== two.stop)
      throw this.#bad(
        value,
        'its branches do not meet in one sum',
        'Add of two branches',
        readers.map(({ op }) => op).join(', '),
      );
    this.#visit(sum);
    const [body, shortcut] = one.layers.length >= two.layers.length ? [one, two] : [two, one];
    let end = sum.outputs[0] ?? '';
    const after = this.#readers.get(end) ?? [];
    const relu = after.length === 1 && after[0]?.op === 'Relu';
    if (relu && after[0]) {
      this.#visit(after[0]);
      end = after[0].outputs[0] ?? '';
    }
    const path = pathOf(sum);
    return { layer: { kind: 'residual', path, body: body.layers, shortcut: shortcut.layers, relu }, end };
  }

  /** Each node once: a value that leads back to itself would never end. */
  #visit(node: OnnxNode): void {
    if (this.#visited.has(node)) throw this.#bad(node.op, 'the chain leads back to itself', 'no cycles', pathOf(node));
    this.#visited.add(node);
  }

  #layer(node: OnnxNode, before: ConvnetLayer | undefined): ConvnetLayer | null {
    const { op } = node;
    if (node.outputs.length !== 1 && !['Dropout', 'BatchNormalization', 'MaxPool'].includes(op))
      throw this.#bad(op, 'it gives several values', 'one', `${node.outputs.length}`);
    switch (op) {
      case 'Conv':
        return this.#conv(node);
      case 'BatchNormalization': {
        this.#only(node, { training_mode: [0], spatial: [1], momentum: 'any', epsilon: 'any', is_test: 'any' });
        const path = this.#take(node, ['weight', 'bias', 'running_mean', 'running_var'], 4);
        return { kind: 'batch_norm', path, eps: number(node, 'epsilon', 1e-5) };
      }
      case 'Relu':
        this.#only(node, {});
        return { kind: 'relu', path: pathOf(node) };
      case 'MaxPool':
      case 'AveragePool':
        return this.#pool(node);
      case 'GlobalAveragePool':
        this.#only(node, {});
        return { kind: 'global_pool', path: pathOf(node) };
      case 'ReduceMean': {
        this.#only(node, { axes: 'any', keepdims: [0, 1], noop_with_empty_axes: [0] });
        const axes = node.inputs[1] ? this.#integers(node.inputs[1]) : list(node, 'axes');
        const sorted = axes?.map((axis) => (axis < 0 ? axis + 4 : axis)).sort();
        if (String(sorted) !== '2,3') throw this.#bad(op, 'it means over other axes', 'height and width', String(axes));
        return { kind: 'global_pool', path: pathOf(node) };
      }
      case 'Flatten':
        this.#only(node, { axis: [1] });
        return null;
      case 'Reshape': {
        this.#only(node, { allowzero: [0] });
        const shape = node.inputs[1] ? this.#integers(node.inputs[1]) : [];
        if (shape.length !== 2)
          throw this.#bad(op, 'it makes another shape', '[batch, features]', `[${shape.join(', ')}]`);
        return null;
      }
      case 'Gemm': {
        this.#only(node, { alpha: [1], beta: [1], transA: [0], transB: [0, 1] });
        const path = this.#take(node, ['weight', 'bias'], 2);
        const stored = this.tensors.get(`${path}.weight`);
        const turned = number(node, 'transB', 0) === 1 || !stored ? stored : transposed(stored);
        if (turned) this.tensors.set(`${path}.weight`, turned);
        return { kind: 'linear', path, out: turned?.shape[0] ?? 0, bias: node.inputs.length > 2 };
      }
      case 'Identity':
      case 'Dropout':
        return null;
      case 'Softmax':
        if (this.#net.outputs.includes(node.outputs[0] ?? '') && before?.kind === 'linear') return null;
        throw this.#bad(op, 'it stands inside the net', 'at the end', 'elsewhere');
      default:
        throw this.#bad(op, 'the operation is not computed here', known, op);
    }
  }

  #conv(node: OnnxNode): ConvnetLayer {
    this.#only(node, {
      auto_pad: ['NOTSET', 'VALID'],
      dilations: 'any',
      group: 'any',
      kernel_shape: 'any',
      pads: 'any',
      strides: 'any',
    });
    const path = this.#take(node, ['weight', 'bias'], 2);
    const { shape } = this.tensors.get(`${path}.weight`) ?? { shape: [] };
    const [out = 0, , down = 0, across = 0] = shape;
    if (shape.length !== 4)
      throw this.#bad('Conv', 'it is not two-dimensional', '[out, in, height, width]', `[${shape.join(', ')}]`);
    const window: Pair = [down, across];
    if (list(node, 'kernel_shape') && String(list(node, 'kernel_shape')) !== String(window))
      throw this.#bad(
        'Conv',
        'its window is not that of its weights',
        String(window),
        String(list(node, 'kernel_shape')),
      );
    const [stride, dilation] = [this.#pair(node, 'strides'), this.#pair(node, 'dilations')];
    const bias = node.inputs.length > 2;
    return {
      kind: 'conv',
      path,
      out,
      window,
      stride,
      padding: this.#padding(node),
      dilation,
      groups: number(node, 'group', 1),
      bias,
    };
  }

  #pool(node: OnnxNode): ConvnetLayer {
    const common = {
      auto_pad: ['NOTSET', 'VALID'],
      ceil_mode: [0, 1],
      kernel_shape: 'any',
      pads: 'any',
      strides: 'any',
    } as const;
    const average = node.op === 'AveragePool';
    this.#only(
      node,
      average
        ? { ...common, count_include_pad: [0, 1], dilations: 'any' }
        : { ...common, dilations: 'any', storage_order: [0] },
    );
    const window = this.#pair(node, 'kernel_shape');
    const [stride, padding, dilation] = [
      this.#pair(node, 'strides'),
      this.#padding(node),
      this.#pair(node, 'dilations'),
    ];
    const [path, ceil] = [pathOf(node), number(node, 'ceil_mode', 0) === 1];
    if (!average) return { kind: 'max_pool', path, window, stride, padding, dilation, ceil };
    if (String(dilation) !== '1,1') throw this.#bad(node.op, 'it is dilated', '1,1', String(dilation));
    return {
      kind: 'avg_pool',
      path,
      window,
      stride,
      padding,
      ceil,
      countPadding: number(node, 'count_include_pad', 0) === 1,
    };
  }

  /** Weights of a node get the names that the layer's path gives. */
  #take(node: OnnxNode, parts: readonly string[], most: number): string {
    const [, first = ''] = node.inputs;
    const path = first.endsWith('.weight') ? first.slice(0, -'.weight'.length) : pathOf(node);
    parts.slice(0, most).forEach((part, i) => {
      const name = node.inputs[i + 1];
      if (name === undefined || name === '') return;
      const tensor = this.#checkpoint.tensors.get(name);
      if (!tensor) throw this.#bad(node.op, `its input ${name} is no weight`, 'an initialiser', 'a computed value');
      this.tensors.set(`${path}.${part}`, { ...tensor, name: `${path}.${part}` });
    });
    return path;
  }

  #only(node: OnnxNode, allowed: { readonly [attribute: string]: 'any' | readonly (number | string)[] }): void {
    for (const [key, value] of Object.entries(node.attributes)) {
      const values = Object.hasOwn(allowed, key) ? allowed[key] : undefined;
      if (values === 'any' || (values && !Array.isArray(value) && values.some((each) => each === value))) continue;
      throw this.#bad(
        node.op,
        `its ${key} is not computed here`,
        values ? values.join(' or ') : 'without it',
        String(value).slice(0, 40),
      );
    }
  }

  #pair(node: OnnxNode, key: string): Pair {
    const values = list(node, key) ?? [1, 1];
    const [down = 0, across = 0] = values;
    if (values.length === 2 && down > 0 && across > 0) return [down, across];
    throw this.#bad(node.op, `its ${key} are not two sizes`, 'two', String(values));
  }

  #padding(node: OnnxNode): Pair {
    const [top = 0, left = 0, bottom = 0, right = 0] = list(node, 'pads') ?? [];
    if (top === bottom && left === right && top >= 0 && left >= 0) return [top, left];
    throw this.#bad(
      node.op,
      'it pads one side more than the other',
      'equal padding',
      [top, left, bottom, right].join(', '),
    );
  }

  #integers(name: string): number[] {
    const tensor = this.#checkpoint.tensors.get(name);
    if (!tensor || tensor.shape.length > 1 || tensor.byteLength > 64 || tensor.dtype !== 'i64')
      throw this.#bad(name, 'it is no short list of integers', 'int64', tensor?.dtype ?? 'a computed value');
    return [...readStoredFloat64(tensor)];
  }

  #bad(at: string, what: string, expected: string, got: string): CircuitscopeError {
    const { path } = this.#checkpoint;
    const message = `${path}: ${at}: ${what}; ONNX nets are read as chains of ${known}.`;
    return new CircuitscopeError('unsupported_architecture', message, { at: `${path}: ${at}`, expected, got });
  }
}

/** The name of a node as exporters write it (`/features/features.1/Relu`), else its output's, with dots for slashes. */
function pathOf({ name, outputs }: OnnxNode): string {
  return (name || outputs[0] || '').replace(/^\/+/, '').replaceAll(/[/:]+/g, '.');
}

function number(node: OnnxNode, key: string, fallback: number): number {
  const value = Object.hasOwn(node.attributes, key) ? node.attributes[key] : undefined;
  return typeof value === 'number' ? value : fallback;
}

function list(node: OnnxNode, key: string): readonly number[] | undefined {
  const value = Object.hasOwn(node.attributes, key) ? node.attributes[key] : undefined;
  return typeof value === 'object' ? value : undefined;
}

/** A stored [in, out] seen as [out, in]. */
function transposed(tensor: StoredTensor): StoredTensor {
  const [into = 1, out = 1] = tensor.shape;
  return { ...tensor, shape: [out, into], ...(out === 1 || into === 1 ? {} : { strides: [1, out] }) };
}

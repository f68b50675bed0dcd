import { CircuitscopeError } from '@circuitscope/schema';
import {
  type Checkpoint,
  type OnnxNet,
  type OnnxNode,
  readStoredFloat64,
  type StoredTensor,
} from '../checkpoints/index.ts';
import type { ConvnetLayer, ConvnetSpec, Padding } from './convnet-spec.ts';

// ONNX graphs that are chains of layers, whose branches meet again in sums and concatenations of channels: Conv,
// BatchNormalization, Relu, Clip, MaxPool, AveragePool, GlobalAveragePool, ReduceMean over height and width, Flatten, Reshape
// to [batch, …], Gemm, Add and Concat of branches; Identity, Dropout and a last Softmax are passed over. Anything else is an
// error that names the operation.

const known =
  'Conv, BatchNormalization, Relu, Clip, MaxPool, AveragePool, GlobalAveragePool, ReduceMean, Flatten, Reshape, Gemm, Add, Concat, Identity, Dropout, Softmax at the end';
/** Branches within branches; deeper is no net that anybody trained. */
const DEPTH = 64;

/** Layers from a value on: to the end, or to a node where this branch meets others. */
interface Branch {
  readonly layers: readonly ConvnetLayer[];
  readonly end: string;
  readonly stop?: OnnxNode;
}

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
  /** Further names of initialisers: exporters write weights of equal bytes once, and Identity for the others. */
  readonly #aliases = new Map<string, string>();

  constructor(checkpoint: Checkpoint, net: OnnxNet) {
    this.#checkpoint = checkpoint;
    this.#net = net;
    for (const node of net.nodes) {
      if (this.#isStored(node)) continue;
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
    const { layers, end } = this.#chain(input.name, 0);
    const made = new Set([...this.#visited].flatMap(({ outputs }) => outputs));
    const missing = this.#net.outputs.find((name) => !made.has(name));
    if (!this.#net.outputs.includes(end) || missing !== undefined)
      throw this.#bad('outputs', 'the chain does not lead to its output', missing ?? this.#net.outputs.join(', '), end);
    const unused = this.#net.nodes.find((node) => !this.#isStored(node) && !this.#visited.has(node));
    if (unused) throw this.#bad(unused, 'the chain does not reach it', 'nodes between input and output', 'another');
    return { image: [channels, height, width], layers };
  }

  #chain(from: string, depth: number): Branch {
    const layers: ConvnetLayer[] = [];
    let value = from;
    for (;;) {
      const readers = this.#readers.get(value) ?? [];
      const [next] = readers;
      if (!next) return { layers, end: value };
      if (readers.length > 1) {
        const joined = this.#fork(value, readers, depth);
        layers.push(joined.layer);
        value = joined.end;
        continue;
      }
      if (isJoin(next)) return { layers, end: value, stop: next };
      this.#visit(next);
      const layer = this.#layer(next, layers.at(-1));
      if (layer) layers.push(layer);
      value = next.outputs[0] ?? '';
    }
  }

  /** Branches that begin at one value, joined where they meet until one is left. */
  #fork(value: string, readers: readonly OnnxNode[], depth: number): { layer: ConvnetLayer; end: string } {
    if (depth > DEPTH) throw this.#bad(value, 'branches lie too deep in each other', `${DEPTH}`, 'more');
    let open = readers.map((reader): Branch => {
      if (isJoin(reader)) return { layers: [], end: value, stop: reader };
      this.#visit(reader);
      const first = this.#layer(reader, undefined);
      const rest = this.#chain(reader.outputs[0] ?? '', depth + 1);
      return { ...rest, layers: [...(first ? [first] : []), ...rest.layers] };
    });
    for (;;) {
      const feeding = (stop: OnnxNode, name: string): Branch | undefined =>
        open.find((branch) => branch.stop === stop && branch.end === name);
      const join = open.map(({ stop }) => stop).find((stop) => stop?.inputs.every((name) => feeding(stop, name)));
      if (!join) {
        const ops = readers.map(({ op }) => op).join(', ');
        throw this.#bad(value, 'its branches do not meet in one sum or concatenation', 'Add or Concat of them', ops);
      }
      const joined = this.#join(
        join,
        join.inputs.map((name) => feeding(join, name)?.layers ?? []),
      );
      open = open.filter(({ stop }) => stop !== join);
      if (open.length === 0) return joined;
      const rest = this.#chain(joined.end, depth + 1);
      open.push({ ...rest, layers: [joined.layer, ...rest.layers] });
    }
  }

  #join(node: OnnxNode, branches: readonly (readonly ConvnetLayer[])[]): { layer: ConvnetLayer; end: string } {
    this.#visit(node);
    const path = pathOf(node);
    let end = node.outputs[0] ?? '';
    if (node.op === 'Concat') {
      this.#only(node, { axis: [1, -3] });
      return { layer: { kind: 'concat', path, branches }, end };
    }
    this.#only(node, {});
    const [one, two] = branches;
    if (branches.length !== 2 || !one || !two || one === two)
      throw this.#bad(node, 'it adds no two branches', 'Add of two branches', node.inputs.join(', '));
    const [body, shortcut] = one.length >= two.length ? [one, two] : [two, one];
    const after = this.#readers.get(end) ?? [];
    const relu = after.length === 1 && after[0]?.op === 'Relu' && !this.#net.outputs.includes(end);
    if (relu && after[0]) {
      this.#visit(after[0]);
      end = after[0].outputs[0] ?? '';
    }
    return { layer: { kind: 'residual', path, body, shortcut, relu }, end };
  }

  /** Whether a node gives stored numbers and computes nothing. */
  #isStored({ op, inputs, outputs }: OnnxNode): boolean {
    if (op === 'Constant') return true;
    const [of = ''] = inputs;
    if (op !== 'Identity' || !this.#stored(of)) return false;
    this.#aliases.set(outputs[0] ?? '', this.#aliases.get(of) ?? of);
    return true;
  }

  #stored(name: string): StoredTensor | undefined {
    return this.#checkpoint.tensors.get(name) ?? this.#checkpoint.tensors.get(this.#aliases.get(name) ?? '');
  }

  /** Each node once: a value that leads back to itself would never end. */
  #visit(node: OnnxNode): void {
    if (this.#visited.has(node)) throw this.#bad(node, 'the chain leads back to itself', 'no cycles', pathOf(node));
    this.#visited.add(node);
  }

  #layer(node: OnnxNode, before: ConvnetLayer | undefined): ConvnetLayer | null {
    const { op } = node;
    if (node.outputs.length !== 1 && !['Dropout', 'BatchNormalization', 'MaxPool'].includes(op))
      throw this.#bad(node, 'it gives several values', 'one', `${node.outputs.length}`);
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
      case 'Clip': {
        this.#only(node, { min: 'any', max: 'any' });
        const bound = (at: number, name: string): number | null => {
          const from = node.inputs[at];
          if (from) return this.#scalar(from);
          const value = Object.hasOwn(node.attributes, name) ? number(node, name, 0) : null;
          return value !== null && Math.abs(value) > LARGEST ? null : value;
        };
        return { kind: 'clip', path: pathOf(node), low: bound(1, 'min'), high: bound(2, 'max') };
      }
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
        if (String(sorted) !== '2,3')
          throw this.#bad(node, 'it means over other axes', 'height and width', String(axes));
        return { kind: 'global_pool', path: pathOf(node) };
      }
      case 'Flatten':
        this.#only(node, { axis: [1] });
        return null;
      case 'Reshape': {
        this.#only(node, { allowzero: [0] });
        const shape = node.inputs[1] ? this.#integers(node.inputs[1]) : [];
        if (shape.length !== 2)
          throw this.#bad(node, 'it makes another shape', '[batch, features]', `[${shape.join(', ')}]`);
        return null;
      }
      case 'Gemm': {
        this.#only(node, { alpha: 'any', beta: 'any', transA: [0], transB: [0, 1] });
        const path = this.#take(node, ['weight', 'bias'], 2);
        const stored = this.tensors.get(`${path}.weight`);
        const turned = number(node, 'transB', 0) === 1 || !stored ? stored : transposed(stored);
        if (turned) this.tensors.set(`${path}.weight`, turned);
        const gains = [number(node, 'alpha', 1), number(node, 'beta', 1)] as const;
        return {
          kind: 'linear',
          path,
          out: turned?.shape[0] ?? 0,
          bias: (node.inputs[2] ?? '') !== '',
          ...(gains.every((gain) => gain === 1) ? {} : { gains }),
        };
      }
      case 'Identity':
        return null;
      case 'Dropout': {
        const training = node.inputs[2];
        if (training && this.#scalar(training) !== 0)
          throw this.#bad(node, 'it drops values, as in training', 'a training_mode that is false', 'true');
        return null;
      }
      case 'Softmax':
        if (this.#net.outputs.includes(node.outputs[0] ?? '') && before?.kind === 'linear') return null;
        throw this.#bad(node, 'it stands inside the net', 'at the end', 'elsewhere');
      default:
        throw this.#bad(node, 'the operation is not computed here', known, op);
    }
  }

  #conv(node: OnnxNode): ConvnetLayer {
    this.#only(node, {
      auto_pad: 'any',
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
      throw this.#bad(node, 'it is not two-dimensional', '[out, in, height, width]', `[${shape.join(', ')}]`);
    const window: Pair = [down, across];
    if (list(node, 'kernel_shape') && String(list(node, 'kernel_shape')) !== String(window))
      throw this.#bad(
        node,
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
      auto_pad: 'any',
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
    const half = window.map((size) => Math.floor(size / 2));
    if (typeof padding !== 'string' && padding.some((side, at) => side > (half[at % 2] ?? 0)))
      throw this.#bad(node, 'it pads more than half a window', `at most ${half}`, String(padding));
    const [path, ceil] = [pathOf(node), number(node, 'ceil_mode', 0) === 1];
    if (!average) return { kind: 'max_pool', path, window, stride, padding, dilation, ceil };
    if (String(dilation) !== '1,1') throw this.#bad(node, 'it is dilated', '1,1', String(dilation));
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
      const tensor = this.#stored(name);
      if (!tensor) throw this.#bad(node, `its input ${name} is no weight`, 'an initialiser', 'a computed value');
      this.tensors.set(`${path}.${part}`, { ...tensor, name: `${path}.${part}` });
    });
    return path;
  }

  #only(node: OnnxNode, allowed: { readonly [attribute: string]: 'any' | readonly (number | string)[] }): void {
    for (const [key, value] of Object.entries(node.attributes)) {
      const values = Object.hasOwn(allowed, key) ? allowed[key] : undefined;
      if (values === 'any' || (values && !Array.isArray(value) && values.some((each) => each === value))) continue;
      throw this.#bad(
        node,
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
    throw this.#bad(node, `its ${key} are not two sizes`, 'two', String(values));
  }

  #padding(node: OnnxNode): Padding {
    const auto = Object.hasOwn(node.attributes, 'auto_pad') ? node.attributes.auto_pad : 'NOTSET';
    if (auto === 'SAME_UPPER') return 'same';
    if (auto === 'SAME_LOWER') return 'same_lower';
    if (auto === 'VALID') return [0, 0];
    if (auto !== 'NOTSET' && auto !== '')
      throw this.#bad(node, 'its auto_pad is unknown', 'NOTSET, VALID, SAME_UPPER or SAME_LOWER', String(auto));
    const pads = list(node, 'pads') ?? [0, 0, 0, 0];
    const [top = 0, left = 0, bottom = 0, right = 0] = pads;
    if (pads.length !== 4 || pads.some((side) => side < 0))
      throw this.#bad(node, 'its pads are not four sizes', 'four', String(pads).slice(0, 40));
    return top === bottom && left === right ? [top, left] : [top, left, bottom, right];
  }

  #scalar(name: string): number | null {
    const tensor = this.#stored(name);
    if (!tensor || tensor.shape.some((size) => size !== 1))
      throw this.#bad(name, 'it is no single number', 'a stored number', tensor ? 'several' : 'a computed value');
    const [value = Number.NaN] = readStoredFloat64(tensor);
    if (Number.isNaN(value)) throw this.#bad(name, 'it is no number', 'a number', 'NaN');
    return Math.abs(value) > LARGEST ? null : value;
  }

  #integers(name: string): number[] {
    const tensor = this.#stored(name);
    if (!tensor || tensor.shape.length > 1 || tensor.byteLength > 64 || tensor.dtype !== 'i64')
      throw this.#bad(name, 'it is no short list of integers', 'int64', tensor?.dtype ?? 'a computed value');
    return [...readStoredFloat64(tensor)];
  }

  #bad(of: string | OnnxNode, what: string, expected: string, got: string): CircuitscopeError {
    const { path } = this.#checkpoint;
    const at = typeof of === 'string' ? of : `${of.op} ${of.name || (of.outputs[0] ?? '')}`.slice(0, 160);
    const message = `${path}: ${at}: ${what}; ONNX nets are read as chains of ${known}.`;
    return new CircuitscopeError('unsupported_architecture', message, { at: `${path}: ${at}`, expected, got });
  }
}

/** A bound beyond every float32 is none. */
const LARGEST = 3.4e38;

/** Whether branches meet in a node. */
function isJoin({ op }: OnnxNode): boolean {
  return op === 'Add' || op === 'Concat';
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

// Kernels of onnxruntime-node, on request: a line of JSON comes in, a line of JSON goes out, as `kernels.py` says. Weights
// are constants of the graph, so the session packs them once, before anything is timed; outputs are written where they
// were before. What is timed is `session.run`, the crossing into native code included.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type BenchEntries, benchData, benchEntries } from '@circuitscope/core/bench';
import { type OnnxConstant, type OnnxModel, type OnnxNode, type OnnxValue, onnxModel } from './onnx-model.ts';

/** What is used of the package, which is not among the dependencies of this repository. */
interface OrtTensor {
  readonly data: Float32Array | BigInt64Array;
}
type Tensors = { readonly [name: string]: OrtTensor };
interface Ort {
  readonly env: { readonly versions: { readonly node?: string; readonly common?: string } };
  readonly Tensor: new (
    type: 'float32' | 'int64',
    data: Float32Array | BigInt64Array,
    shape: readonly number[],
  ) => OrtTensor;
  readonly InferenceSession: {
    readonly create: (
      model: Uint8Array,
      options: object,
    ) => Promise<{ readonly run: (feeds: Tensors, fetches: Tensors) => Promise<Tensors> }>;
  };
}

const [, , beside = '.', threadText = '1'] = process.argv;
const threads = Number(threadText);
const ort: Ort = createRequire(join(beside, 'beside.js'))('onnxruntime-node');

type Sizes = { readonly [name: string]: number };
interface Graph {
  readonly model: OnnxModel;
  readonly rowLength: number;
  readonly call: string;
}

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const f32 = (name: string, shape: readonly number[]): OnnxValue => ({ name, shape, type: 'f32' });
const weight = (name: string, shape: readonly number[], stream: number): OnnxConstant => ({
  name,
  shape,
  data: benchData(count(shape), stream),
});

/** Nodes from `x`, q, k, v to `y` and, for projections, `indices`. */
function graphOf(
  nodes: readonly OnnxNode[],
  shapes: { readonly in: readonly OnnxValue[]; readonly out: readonly OnnxValue[]; readonly rowLength: number },
  constants: readonly OnnxConstant[] = [],
): Graph {
  return {
    model: { nodes, inputs: shapes.in, outputs: shapes.out, constants },
    rowLength: shapes.rowLength,
    call: nodes.map(({ op }) => op).join(', '),
  };
}

const families: { readonly [family: string]: (sizes: Sizes) => Graph } = {
  matmul: ({ m = 0, k = 0, n = 0 }) =>
    graphOf(
      [{ op: 'MatMul', in: ['x', 'W'], out: ['y'] }],
      { in: [f32('x', [m, k])], out: [f32('y', [m, n])], rowLength: n },
      [weight('W', [k, n], 2)],
    ),
  project: ({ m = 0, k = 0, n = 0, kept = 0 }) =>
    graphOf(
      [
        { op: 'Gemm', in: ['x', 'W', 'b'], out: ['scores'] },
        { op: 'Relu', in: ['scores'], out: ['active'] },
        { op: 'TopK', in: ['active', 'kept'], out: ['y', 'indices'], attributes: { axis: -1, largest: 1, sorted: 1 } },
      ],
      {
        in: [f32('x', [m, k])],
        out: [f32('y', [m, kept]), { name: 'indices', shape: [m, kept], type: 'i64' }],
        rowLength: kept,
      },
      [weight('W', [k, n], 2), weight('b', [n], 3), { name: 'kept', shape: [1], data: BigInt64Array.of(BigInt(kept)) }],
    ),
  attention: ({ heads = 0, positions = 0, width = 0 }) => {
    const shape = [1, positions, heads * width];
    return graphOf(
      [
        {
          op: 'MultiHeadAttention',
          domain: 'com.microsoft',
          in: ['q', 'k', 'v'],
          out: ['y'],
          attributes: { num_heads: heads, unidirectional: 1, scale: { float: width ** -0.5 } },
        },
      ],
      { in: ['q', 'k', 'v'].map((name) => f32(name, shape)), out: [f32('y', shape)], rowLength: heads * width },
    );
  },
  softmax: ({ m = 0, n = 0 }) =>
    graphOf([{ op: 'Softmax', in: ['x'], out: ['y'], attributes: { axis: -1 } }], {
      in: [f32('x', [m, n])],
      out: [f32('y', [m, n])],
      rowLength: n,
    }),
  layer_norm: ({ m = 0, n = 0 }) =>
    graphOf(
      [
        {
          op: 'LayerNormalization',
          in: ['x', 'w', 'b'],
          out: ['y'],
          attributes: { axis: -1, epsilon: { float: 1e-5 } },
        },
      ],
      { in: [f32('x', [m, n])], out: [f32('y', [m, n])], rowLength: n },
      [weight('w', [n], 2), weight('b', [n], 3)],
    ),
  conv2d: ({ images = 0, channels = 0, side = 0, filters = 0 }) =>
    graphOf(
      [{ op: 'Conv', in: ['x', 'W'], out: ['y'], attributes: { pads: [1, 1, 1, 1] } }],
      {
        in: [f32('x', [images, channels, side, side])],
        out: [f32('y', [images, filters, side, side])],
        rowLength: side * side,
      },
      [weight('W', [filters, channels, 3, 3], 2)],
    ),
  // p − onehot, times the cotangent: the runtime for inference has no operator for the gradient itself.
  cross_entropy_grad: ({ m = 0, n = 0 }) =>
    graphOf(
      [
        { op: 'Softmax', in: ['x'], out: ['p'], attributes: { axis: -1 } },
        { op: 'ScatterElements', in: ['p', 'ids', 'less'], out: ['d'], attributes: { axis: 1, reduction: 'add' } },
        { op: 'Mul', in: ['d', 'ct'], out: ['y'] },
      ],
      { in: [f32('x', [m, n])], out: [f32('y', [m, n])], rowLength: n },
      [
        { name: 'ids', shape: [m, 1], data: BigInt64Array.from({ length: m }, (_, at) => BigInt((7919 * at) % n)) },
        { name: 'less', shape: [m, 1], data: new Float32Array(m).fill(-1) },
        weight('ct', [m, 1], 2),
      ],
    ),
};

const tensor = ({ type, shape }: OnnxValue, data: Float32Array | BigInt64Array): OrtTensor =>
  new ort.Tensor(type === 'f32' ? 'float32' : 'int64', data, shape);

interface Prepared {
  readonly run: () => Promise<void>;
  readonly outputs: Tensors;
  readonly rowLength: number;
}

async function prepare({ model, rowLength }: Graph, entries: BenchEntries): Promise<Prepared> {
  const session = await ort.InferenceSession.create(onnxModel(model), {
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
  });
  const feeds = Object.fromEntries(
    model.inputs.map((input, at) => {
      const { shape } = input;
      return [
        input.name,
        tensor(input, benchEntries(at === 0 ? entries : 'uniform', count(shape), 1 + at, shape.at(-1) ?? 1)),
      ];
    }),
  );
  const outputs = Object.fromEntries(
    model.outputs.map((output) => {
      const length = count(output.shape);
      return [
        output.name,
        tensor(output, output.type === 'f32' ? new Float32Array(length) : new BigInt64Array(length)),
      ];
    }),
  );
  const run = async (): Promise<void> => {
    await session.run(feeds, outputs);
  };
  await run();
  return { run, outputs, rowLength };
}

const base64 = (array: Float32Array | Int32Array): string => Buffer.from(array.buffer).toString('base64');

let prepared: Prepared | undefined;
let cold = new Float64Array(0);

/** By one thread: what another core still holds of the weights is at most its own second cache. */
function walk(): void {
  for (let at = 0; at < cold.length; at += 8) cold[at] = (cold[at] as number) + 1;
}

interface Question {
  readonly kind: string;
  readonly family: string;
  readonly sizes: Sizes;
  readonly entries: BenchEntries;
  readonly samples: number;
  readonly warmUp: number;
  readonly coldBytes: number;
  readonly rows: readonly number[];
}

async function answer(asked: Question): Promise<object> {
  if (asked.kind === 'hello') {
    const { node } = ort.env.versions;
    const runtime = process.versions.bun ? `bun ${process.versions.bun}` : `node ${process.versions.node}`;
    const weights = 'constants, packed by the session before';
    return { version: node ?? 'unknown', settings: { runtime, threads: threadText, weights, optimisation: 'all' } };
  }
  if (asked.kind === 'prepare') {
    const graph = families[asked.family]?.(asked.sizes);
    if (!graph) return { prepared: false };
    prepared = await prepare(graph, asked.entries);
    return { prepared: true, settings: { call: graph.call } };
  }
  if (!prepared) return { error: 'nothing is prepared' };
  const { run, outputs, rowLength } = prepared;
  if (asked.kind === 'block') {
    if (cold.byteLength < asked.coldBytes) cold = new Float64Array(asked.coldBytes / 8);
    for (let at = 0; at < asked.warmUp; at++) await run();
    const ns: number[] = [];
    for (let at = 0; at < asked.samples; at++) {
      if (asked.coldBytes > 0) walk();
      const start = process.hrtime.bigint();
      await run();
      ns.push(Number(process.hrtime.bigint() - start));
    }
    return { ns };
  }
  if (asked.kind === 'rows') {
    const cut = (name: string): readonly (Float32Array | Int32Array)[] | undefined => {
      const data = outputs[name]?.data;
      return (
        data &&
        asked.rows.map((row) => {
          const [from, to] = [row * rowLength, (row + 1) * rowLength];
          return data instanceof Float32Array ? data.slice(from, to) : Int32Array.from(data.slice(from, to), Number);
        })
      );
    };
    const indices = cut('indices');
    return { values: (cut('y') ?? []).map(base64), ...(indices ? { indices: indices.map(base64) } : {}) };
  }
  return { error: `no such question: ${asked.kind}` };
}

for await (const line of createInterface({ input: process.stdin })) {
  const said = await answer(JSON.parse(line)).catch((error: unknown) => ({
    error: (error instanceof Error ? error.message : String(error)).slice(0, 500),
  }));
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

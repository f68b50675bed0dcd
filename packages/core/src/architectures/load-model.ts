import { CircuitscopeError, type ModelRef } from '@circuitscope/schema';
import { type Checkpoint, openCheckpoint, readStored } from '../checkpoints/index.ts';
import { type Graph, hashGraph } from '../graph/index.ts';
import type { Engine, Executor, Weight, WeightMapping, Weights } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import type { Architecture, WeightSource } from './architecture.ts';
import { attentionOnly } from './attention-only.ts';
import { buildDecoder, type DecoderSpec } from './decoder.ts';
import { gpt2 } from './gpt2.ts';
import { llama } from './llama.ts';
import { llama2c } from './llama2c.ts';

/** A checkpoint as a graph over named weights; nothing is read yet but headers. */
export interface Model {
  readonly name: string;
  readonly architecture: string;
  readonly spec: DecoderSpec;
  readonly graph: Graph;
  readonly weights: Weights;
  readonly checkpoint: Checkpoint;
  /** How many numbers the stored weights hold that the graph uses, each counted once. */
  readonly parameters: number;
}

const architectures: readonly Architecture[] = [llama2c, gpt2, llama, attentionOnly];

/** Opens a checkpoint on disk. @throws CircuitscopeError for anything that cannot be run exactly. */
export function loadModel(path: string): Model {
  const checkpoint = openCheckpoint(path);
  return modelFromCheckpoint(checkpoint, path.replace(/\/+$/, '').split('/').slice(-2).join('/'));
}

export function modelFromCheckpoint(checkpoint: Checkpoint, name: string): Model {
  const architecture = architectures.find((candidate) => candidate.claims(checkpoint));
  if (!architecture) {
    const config = checkpoint.config;
    const kind =
      typeof config === 'object' && config !== null && 'model_type' in config
        ? String(config.model_type).slice(0, 60)
        : 'unknown';
    const known = architectures.map((candidate) => candidate.name).join(', ');
    throw new CircuitscopeError(
      'unsupported_architecture',
      `${checkpoint.path} is a model of type ${kind}; supported are ${known}.`,
      {
        at: checkpoint.path,
        expected: known,
        got: kind,
      },
    );
  }
  const spec = checkSpec(architecture.spec(checkpoint), checkpoint.path);
  const sources = architecture.sources(checkpoint, spec);
  checkTensors(checkpoint, sources, architecture.ignorable);
  const used = new Set([...sources.values()].map(({ tensor }) => tensor));
  const parameters = [...used].reduce(
    (sum, name) => sum + (checkpoint.tensors.get(name)?.shape ?? []).reduce((a, b) => a * b, 1),
    0,
  );
  const weights = new Map<string, Weight>();
  for (const [weight, source] of sources) weights.set(weight, storedWeight(checkpoint, weight, source));
  for (const table of rotaryTables(spec)) weights.set(table.name, table);
  return { name, architecture: architecture.name, spec, graph: buildDecoder(spec), weights, checkpoint, parameters };
}

export function engineFor(model: Model, executor: Executor): Engine {
  return { graph: model.graph, weights: model.weights, executor };
}

/** What results say about the model they came from. */
export async function modelRef(model: Model): Promise<ModelRef> {
  const dtypes = new Set([...model.checkpoint.tensors.values()].map(({ dtype }) => dtype));
  const [dtype] = dtypes;
  return {
    kind: 'model',
    name: model.name,
    architecture: model.architecture,
    contentHash: await model.checkpoint.contentHash(),
    graphHash: hashGraph(model.graph),
    view: 'raw',
    parameters: model.parameters,
    dtype:
      dtypes.size === 1 && (dtype === 'f32' || dtype === 'f16' || dtype === 'bf16' || dtype === 'f64')
        ? dtype
        : 'mixed',
  };
}

function checkSpec(spec: DecoderSpec, path: string): DecoderSpec {
  const fail = (what: string): never => {
    throw new CircuitscopeError('bad_config', `${path}: ${what}.`, { at: path });
  };
  if (!Number.isInteger(spec.headWidth) || spec.headWidth < 1)
    fail(`the width ${spec.width} is not a multiple of its ${spec.heads} heads`);
  if (spec.heads % spec.kvHeads !== 0) fail(`${spec.heads} heads cannot share ${spec.kvHeads} key/value heads evenly`);
  if (spec.positions.kind === 'rotary' && spec.positions.dims % 2 !== 0)
    fail(`rotary positions need an even head width, not ${spec.positions.dims}`);
  if (spec.layers > 4096) fail(`${spec.layers} layers are more than the 4096 that are supported`);
  return spec;
}

/** Every tensor that the graph reads must be there with the right shape, and nothing may be left over unread. */
function checkTensors(checkpoint: Checkpoint, sources: ReadonlyMap<string, WeightSource>, ignorable: RegExp): void {
  const used = new Set<string>();
  for (const { tensor, stored } of sources.values()) {
    used.add(tensor);
    const found = checkpoint.tensors.get(tensor);
    if (!found) {
      throw new CircuitscopeError(
        'missing_tensor',
        `${checkpoint.path} lacks the tensor ${tensor}, which its config calls for.`,
        { at: checkpoint.path, expected: tensor },
      );
    }
    if (found.shape.join() !== stored.join()) {
      throw new CircuitscopeError(
        'shape_mismatch',
        `${checkpoint.path}: ${tensor} has shape [${found.shape.join(', ')}]; its config calls for [${stored.join(', ')}].`,
        {
          at: `${checkpoint.path}: ${tensor}`,
          expected: stored.join(' × '),
          got: found.shape.join(' × '),
        },
      );
    }
  }
  const unread = [...checkpoint.tensors.keys()].filter(
    (name) => !used.has(name) && !ignorable.test(name) && !isTiedCopy(checkpoint, name),
  );
  if (unread.length === 0) return;
  throw new CircuitscopeError(
    'unknown_tensor',
    `${checkpoint.path} holds tensors that this architecture has no use for: ${unread.slice(0, 4).join(', ')}${unread.length > 4 ? ', …' : ''}.`,
    {
      at: checkpoint.path,
      got: unread.slice(0, 4).join(', '),
    },
  );
}

/** Some checkpoints store the tied unembedding a second time; the config says that the embedding is what counts. */
function isTiedCopy(checkpoint: Checkpoint, name: string): boolean {
  const embedding =
    checkpoint.tensors.get('transformer.wte.weight') ?? checkpoint.tensors.get('model.embed_tokens.weight');
  return name === 'lm_head.weight' && checkpoint.tensors.get(name)?.shape.join() === embedding?.shape.join();
}

function storedWeight(checkpoint: Checkpoint, name: string, source: WeightSource): Weight {
  const stored = checkpoint.tensors.get(source.tensor);
  if (!stored)
    throw new CircuitscopeError('missing_tensor', `${checkpoint.path} lacks the tensor ${source.tensor}.`, {
      at: checkpoint.path,
    });
  const weight: Weight = { name, shape: source.shape, read: () => gather(readStored(stored), source) };
  const file = checkpoint.files.find(({ path }) => path === stored.file);
  const mappable = stored.dtype === 'f32' || stored.dtype === 'bf16' || stored.dtype === 'f16';
  if (!file || stored.data || source.headStride || !mappable) return weight;
  const mapping: WeightMapping = {
    path: stored.file,
    fileBytes: file.byteLength,
    byteOffset: stored.byteOffset,
    byteLength: stored.byteLength,
    dtype: stored.dtype as WeightMapping['dtype'],
    offset: source.offset,
    strides: source.strides,
  };
  return { ...weight, mapping };
}

/** Copies a strided view of a stored tensor to dense row-major order. */
function gather(data: Float32Array, { offset, shape, strides, headStride }: WeightSource): Float32Array {
  const [rows, columns] = shape.length === 1 ? [1, shape[0] ?? 0] : [shape[0] ?? 0, shape[1] ?? 0];
  const [down, across] = shape.length === 1 ? [0, strides[0] ?? 1] : [strides[0] ?? 1, strides[1] ?? 1];
  const width = headStride ? columns / headStride.count : columns;
  const out = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const head = headStride ? Math.floor(column / width) * headStride.stride : 0;
      out[row * columns + column] = data[offset + row * down + head + (column % width) * across] ?? 0;
    }
  }
  return out;
}

/** cos and sin of position × base^(-2i/dims), [context, dims / 2]; executors in float32 round them once. */
function rotaryTables(spec: DecoderSpec): Weight[] {
  if (spec.positions.kind !== 'rotary') return [];
  const { base, dims } = spec.positions;
  const half = dims / 2;
  const table = (wave: (angle: number) => number): (() => Floats) => {
    let made: Float64Array | undefined;
    return () => {
      made ??= Float64Array.from({ length: spec.context * half }, (_, at) =>
        wave(Math.floor(at / half) * base ** (-(2 * (at % half)) / dims)),
      );
      return made;
    };
  };
  const shape = [spec.context * half];
  return [
    { name: 'rotary.cos', shape, read: table(Math.cos) },
    { name: 'rotary.sin', shape, read: table(Math.sin) },
  ];
}

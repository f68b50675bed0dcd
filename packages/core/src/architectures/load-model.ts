import { basename, extname } from 'node:path';
import { CircuitscopeError, type ModelRef } from '@circuitscope/schema';
import { type Checkpoint, openCheckpoint } from '../checkpoints/index.ts';
import { type Graph, hashGraph } from '../graph/index.ts';
import type { Engine, Executor, Weights } from '../plan/index.ts';
import { type AnyModel, requireDecoder } from './any-model.ts';
import { type ConvnetOptions, convnetFromCheckpoint, convnets, isConvnet } from './convnet.ts';
import { convnetTemplate } from './convnet-template.ts';
import { buildDecoder } from './decoder.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { decoders } from './decoders.ts';
import { huggingFaceOf } from './gguf-names.ts';
import { encoderFromCheckpoint, encoders } from './load-encoder.ts';
import { encoderDecoderFromCheckpoint } from './load-encoder-decoder.ts';
import { namingFile } from './naming-file.ts';
import { positionTables } from './rotary-part.ts';
import { storedWeights } from './stored-weights.ts';
import { t5 } from './t5.ts';
import {
  hasTransformerLensNames,
  transformerLensBuffers,
  transformerLensSources,
  transformerLensSpec,
} from './transformerlens-weights.ts';

/** A decoder as a graph over named weights; nothing is read yet but headers. For other kinds see `any-model.ts`. */
export interface Model {
  readonly name: string;
  readonly architecture: string;
  readonly spec: DecoderSpec & { readonly kind: 'decoder' };
  readonly graph: Graph;
  readonly weights: Weights;
  readonly checkpoint: Checkpoint;
  /** How many numbers the stored weights hold that the graph uses, each counted once. */
  readonly parameters: number;
  /** Which numeric view of the checkpoint this is; `raw` if left out. See `views.ts`. */
  readonly view?: 'raw' | 'folded';
}

/**
 * Opens a checkpoint on disk, of whatever kind.
 * @throws CircuitscopeError for anything that cannot be run exactly
 */
export function loadModel(path: string, options: ConvnetOptions = {}): AnyModel {
  return modelFromCheckpoint(openCheckpoint(path, options), nameOf(path), options);
}

export function modelFromCheckpoint(checkpoint: Checkpoint, name: string, options: ConvnetOptions = {}): AnyModel {
  const encoder = encoders.find((candidate) => candidate.claims(checkpoint));
  if (encoder) return encoderFromCheckpoint(checkpoint, name, encoder);
  if (t5.claims(checkpoint)) return encoderDecoderFromCheckpoint(checkpoint, name);
  if (isConvnet(checkpoint)) return convnetFromCheckpoint(checkpoint, name, options);
  return decoderFromCheckpoint(checkpoint, name);
}

/** Opens a decoder on disk. @throws CircuitscopeError for anything that cannot be run exactly, and other kinds of models. */
export function loadDecoder(path: string): Model {
  return requireDecoder(loadModel(path));
}

function nameOf(path: string): string {
  return path.replace(/\/+$/, '').split('/').slice(-2).join('/');
}

export function decoderFromCheckpoint(given: Checkpoint, name: string): Model {
  return namingFile(given.path, () => unnamed(given, name));
}

function unnamed(given: Checkpoint, name: string): Model {
  const checkpoint = given.kind === 'gguf' ? huggingFaceOf(given) : given;
  const architecture = decoders.find((candidate) => candidate.claims(checkpoint));
  if (!architecture) {
    const config = checkpoint.config;
    if (config === null) throw undescribed(checkpoint);
    const kind =
      typeof config === 'object' && config !== null && 'model_type' in config
        ? String(config.model_type).slice(0, 60)
        : 'unknown';
    const known = [...decoders, ...encoders, t5, ...convnets].map((candidate) => candidate.name).join(', ');
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
  const lens = hasTransformerLensNames(checkpoint);
  const familySpec = architecture.spec(checkpoint);
  const spec = checkSpec(lens ? transformerLensSpec(checkpoint, familySpec) : familySpec, checkpoint.path);
  const sources = (lens ? transformerLensSources : architecture.sources)(checkpoint, spec);
  const ignorable = lens ? transformerLensBuffers : architecture.ignorable;
  const { weights, parameters } = storedWeights(checkpoint, sources, ignorable);
  const all = new Map([...weights, ...positionTables(spec).map((table) => [table.name, table] as const)]);
  return {
    name,
    architecture: architecture.name,
    spec: { kind: 'decoder', ...spec },
    graph: buildDecoder(spec),
    weights: all,
    checkpoint,
    parameters,
  };
}

/** The error of weights that nothing says the model of. */
function undescribed(checkpoint: Checkpoint): CircuitscopeError {
  const { path } = checkpoint;
  const own = `${basename(path, extname(path))}.config.json`;
  const how = convnetTemplate(checkpoint)
    ? `list its layers in ${own} beside it, or give --config FILE; \`circuitscope model inspect ${path} --template\` prints a first draft`
    : 'put its config.json beside it, or give --config FILE';
  return new CircuitscopeError('missing_config', `${path} holds weights and does not say what model it is: ${how}.`, {
    at: path,
    expected: `config.json or ${own}`,
  });
}

export function engineFor(model: Pick<AnyModel, 'graph' | 'weights'>, executor: Executor): Engine {
  return { graph: model.graph, weights: model.weights, executor };
}

/** What results say about the model they came from. */
export async function modelRef(model: AnyModel): Promise<ModelRef> {
  const dtypes = new Set([...model.checkpoint.tensors.values()].map(({ dtype }) => dtype));
  const [dtype] = dtypes;
  return {
    kind: 'model',
    name: model.name,
    architecture: model.architecture,
    contentHash: await model.checkpoint.contentHash(),
    graphHash: hashGraph(model.graph),
    view: 'view' in model ? (model.view ?? 'raw') : 'raw',
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
  return spec;
}

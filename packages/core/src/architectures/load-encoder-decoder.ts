import { CircuitscopeError } from '@circuitscope/schema';
import type { Checkpoint } from '../checkpoints/index.ts';
import type { Graph } from '../graph/index.ts';
import type { Weights } from '../plan/index.ts';
import { buildEncoderDecoder, type EncoderDecoderSpec } from './encoder-decoder.ts';
import { storedWeights } from './stored-weights.ts';
import { t5 } from './t5.ts';

/** An encoder and a decoder as one graph over named weights; nothing is read yet but headers. */
export interface EncoderDecoderModel {
  readonly name: string;
  readonly architecture: string;
  readonly spec: EncoderDecoderSpec;
  readonly graph: Graph;
  readonly weights: Weights;
  readonly checkpoint: Checkpoint;
  readonly parameters: number;
}

/** @throws CircuitscopeError for anything that cannot be run exactly */
export function encoderDecoderFromCheckpoint(checkpoint: Checkpoint, name: string): EncoderDecoderModel {
  const spec = checkSpec(t5.spec(checkpoint), checkpoint.path);
  const { weights, parameters } = storedWeights(checkpoint, t5.sources(checkpoint, spec), t5.ignorable);
  return { name, architecture: t5.name, spec, graph: buildEncoderDecoder(spec), weights, checkpoint, parameters };
}

function checkSpec(spec: EncoderDecoderSpec, path: string): EncoderDecoderSpec {
  const fail = (what: string): never => {
    throw new CircuitscopeError('bad_config', `${path}: ${what}.`, { at: path });
  };
  const { count, maxDistance } = spec.buckets;
  if (count < 4 || count % 2 !== 0) fail(`${count} buckets of distances cannot be halved for two directions`);
  if (maxDistance <= count / 2) fail(`${count} buckets reach beyond the largest distance of ${maxDistance}`);
  if (!Number.isInteger(spec.start) || spec.start < 0 || spec.start >= spec.vocab)
    fail(`the decoder cannot begin with token ${spec.start}`);
  return spec;
}

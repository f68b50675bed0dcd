import { CircuitscopeError } from '@circuitscope/schema';
import type { Checkpoint } from '../checkpoints/index.ts';
import type { Graph } from '../graph/index.ts';
import type { Weights } from '../plan/index.ts';
import { bert, distilbert, type EncoderArchitecture } from './bert.ts';
import { buildEncoder, type EncoderSpec } from './encoder.ts';
import { storedWeights } from './stored-weights.ts';

/** An encoder with its head for masked tokens as a graph over named weights; nothing is read yet but headers. */
export interface EncoderModel {
  readonly name: string;
  readonly architecture: string;
  readonly spec: EncoderSpec;
  readonly graph: Graph;
  readonly weights: Weights;
  readonly checkpoint: Checkpoint;
  readonly parameters: number;
}

export const encoders: readonly EncoderArchitecture[] = [bert, distilbert];

export function encoderFromCheckpoint(
  checkpoint: Checkpoint,
  name: string,
  architecture: EncoderArchitecture,
): EncoderModel {
  const spec = checkSpec(architecture.spec(checkpoint), checkpoint.path);
  const sources = architecture.sources(checkpoint, spec);
  const { weights, parameters } = storedWeights(checkpoint, sources, architecture.ignorable);
  return { name, architecture: architecture.name, spec, graph: buildEncoder(spec), weights, checkpoint, parameters };
}

function checkSpec(spec: EncoderSpec, path: string): EncoderSpec {
  const fail = (what: string): never => {
    throw new CircuitscopeError('bad_config', `${path}: ${what}.`, { at: path });
  };
  if (!Number.isInteger(spec.headWidth) || spec.headWidth < 1)
    fail(`the width ${spec.width} is not a multiple of its ${spec.heads} heads`);
  return spec;
}

import type { Json } from '@circuitscope/schema';
import type { WeightSource } from '../architectures/architecture.ts';
import { attentionOnly } from '../architectures/attention-only.ts';
import { type DecoderSpec, modelFromCheckpoint } from '../architectures/index.ts';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import type { Graph } from '../graph/index.ts';
import { type LossGraph, nextTokenLoss, readWeight } from '../plan/index.ts';
import { elementCount, type Tensor, tensor, zeros } from '../tensor/index.ts';
import { type Initialiser, initialise } from './initialise.ts';
import type { ExportedModel, TrainableModel } from './recipe.ts';

export type ToyBias = 'qkv' | 'out' | 'mlp' | 'unembed';

export interface ToyTransformerOptions {
  /** config.json of architecture `attention_only`, without `model_type`. */
  readonly config: { readonly [setting: string]: Json };
  /** Which biases there are; none if left out. */
  readonly biases?: readonly ToyBias[];
  /** By the name of the stored tensor and its shape: `blocks.0.attn.W_Q` is [heads, model, d_head]. */
  readonly initial: (name: string, shape: readonly number[]) => Initialiser;
  /** `nextTokenLoss` if left out. */
  readonly loss?: (graph: Graph) => LossGraph;
}

export interface ToyTransformer {
  readonly spec: DecoderSpec;
  readonly model: (seed: number) => TrainableModel;
  readonly export: (weights: ReadonlyMap<string, Tensor>) => ExportedModel;
}

const markers: { readonly [B in ToyBias]: string } = {
  qkv: 'blocks.0.attn.b_Q',
  out: 'blocks.0.attn.b_O',
  mlp: 'blocks.0.mlp.b_in',
  unembed: 'unembed.b_U',
};

/**
 * A small decoder for a recipe, with TransformerLens's names: it starts as a checkpoint of architecture `attention_only`
 * and is exported as one, so what was trained loads as what was run.
 */
export function toyTransformer({
  config,
  biases = [],
  initial,
  loss = nextTokenLoss,
}: ToyTransformerOptions): ToyTransformer {
  const whole = { model_type: 'attention_only', ...config };
  // Which biases there are is read from the names of the tensors alone.
  const marked = memoryCheckpoint('recipe', whole, new Map(biases.map((bias) => [markers[bias], zeros([0])])));
  const spec = attentionOnly.spec(marked);
  const sources = attentionOnly.sources(marked, spec);
  return {
    spec,
    model: (seed) => {
      const tensors = new Map<string, Tensor>();
      for (const { tensor: name, stored } of sources.values()) {
        tensors.set(name, initialise(seed, name, stored, initial(name, stored)));
      }
      const { graph, weights } = modelFromCheckpoint(memoryCheckpoint('recipe', whole, tensors), 'recipe');
      return {
        graph,
        loss: loss(graph),
        weights: new Map([...sources.keys()].map((name) => [name, readWeight(weights, name)])),
      };
    },
    export: (weights) => {
      const tensors = new Map<string, Tensor>();
      for (const [name, source] of sources) {
        const weight = weights.get(name);
        if (weight) tensors.set(source.tensor, scattered(weight, source));
      }
      return { config: whole, tensors };
    },
  };
}

/** The stored layout of a weight as the graph reads it; each stored tensor here is one weight. */
function scattered({ shape, data }: Tensor, { stored, offset, strides, headStride }: WeightSource): Tensor {
  const out = new Float32Array(elementCount(stored));
  const columns = shape.at(-1) ?? 0;
  const rows = shape.length === 1 ? 1 : (shape[0] ?? 0);
  const down = shape.length === 1 ? 0 : (strides[0] ?? 0);
  const across = strides.at(-1) ?? 1;
  const width = headStride ? columns / headStride.count : columns;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const head = headStride ? Math.floor(column / width) * headStride.stride : 0;
      out[offset + row * down + head + (column % width) * across] = data[row * columns + column] ?? 0;
    }
  }
  return tensor(stored, out);
}

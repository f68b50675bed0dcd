import { decoderFromCheckpoint, engineFor } from '../architectures/index.ts';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import { referenceExecutor } from '../plan/index.ts';
import { type Tensor, zeros } from '../tensor/index.ts';
import type { RandomModel } from './random-model.fixture.ts';

// For tests alone: attention-only models of a few units without norms or biases, written entry by entry.

/** [row, column, value] */
export type Entry = readonly [row: number, column: number, value: number];

/** Reading matrices are [width, headWidth], the writing one [headWidth, width]; what is left out is zero. */
export interface TinyHead {
  readonly q?: readonly Entry[];
  readonly k?: readonly Entry[];
  readonly v?: readonly Entry[];
  readonly o?: readonly Entry[];
}

export interface TinyModel {
  readonly vocab: number;
  readonly context: number;
  readonly width: number;
  readonly headWidth: number;
  /** [vocab, width], [context, width], [width, vocab] */
  readonly embed: readonly Entry[];
  readonly positions?: readonly Entry[];
  readonly unembed: readonly Entry[];
  /** The heads of each layer, as many in each. */
  readonly layers: readonly (readonly TinyHead[])[];
}

export function tinyModel(parts: TinyModel): RandomModel {
  const { vocab, context, width, headWidth, layers } = parts;
  const heads = layers[0]?.length ?? 1;
  const tensors = new Map<string, Tensor>([
    ['embed.W_E', filled([vocab, width], [parts.embed])],
    ['pos_embed.W_pos', filled([context, width], [parts.positions ?? []])],
    ['unembed.W_U', filled([width, vocab], [parts.unembed])],
  ]);
  layers.forEach((members, layer) => {
    for (const port of ['q', 'k', 'v', 'o'] as const) {
      const shape = port === 'o' ? [heads, headWidth, width] : [heads, width, headWidth];
      const entries = members.map((head) => head[port] ?? []);
      tensors.set(`blocks.${layer}.attn.W_${port.toUpperCase()}`, filled(shape, entries));
    }
  });
  const config = {
    model_type: 'attention_only',
    n_layers: layers.length,
    n_heads: heads,
    d_head: headWidth,
    d_model: width,
    d_vocab: vocab,
    n_ctx: context,
    use_attn_scale: false,
  };
  const model = decoderFromCheckpoint(memoryCheckpoint('tiny', config, tensors), 'tiny');
  return { model, engine: engineFor(model, referenceExecutor({ precision: 'f64' })) };
}

/** One matrix, or as many as the shape has heads, one after the other. */
function filled(shape: readonly number[], matrices: readonly (readonly Entry[])[]): Tensor {
  const tensor = zeros(shape);
  const [rows = 0, columns = 0] = shape.slice(-2);
  matrices.forEach((entries, at) => {
    for (const [row, column, value] of entries) tensor.data[at * rows * columns + row * columns + column] = value;
  });
  return tensor;
}

/** `count` entries along a diagonal. */
export function diagonal(count: number, value: number, row = 0, column = 0): Entry[] {
  return Array.from({ length: count }, (_, at): Entry => [row + at, column + at, value]);
}

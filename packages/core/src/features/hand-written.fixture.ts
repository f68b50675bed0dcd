import { decoderFromCheckpoint, engineFor, type Model } from '../architectures/index.ts';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import { type Engine, referenceExecutor } from '../plan/index.ts';
import { Rng, type Tensor, zeros } from '../tensor/index.ts';
import { unit } from './random-directions.ts';

// For tests alone: models small enough that what they do is known beforehand.

export interface KnownModel {
  readonly model: Model;
  readonly engine: Engine;
}

/** [row, column, value] into a matrix of a head. */
type Entry = readonly [row: number, column: number, value: number];

interface Head {
  readonly q?: readonly Entry[];
  readonly k?: readonly Entry[];
  readonly v?: readonly Entry[];
  readonly o?: readonly Entry[];
}

function attentionOnly(
  size: { readonly vocab: number; readonly context: number; readonly width: number; readonly headWidth: number },
  embed: readonly Entry[],
  positions: readonly Entry[],
  unembed: readonly Entry[],
  layers: readonly (readonly Head[])[],
): KnownModel {
  const { vocab, context, width, headWidth } = size;
  const heads = layers[0]?.length ?? 1;
  const filled = (shape: readonly number[], entries: readonly Entry[], offset = 0, into?: Tensor): Tensor => {
    const tensor = into ?? zeros(shape);
    const columns = shape[shape.length - 1] ?? 1;
    for (const [row, column, value] of entries) tensor.data[offset + row * columns + column] = value;
    return tensor;
  };
  const tensors = new Map<string, Tensor>([
    ['embed.W_E', filled([vocab, width], embed)],
    ['pos_embed.W_pos', filled([context, width], positions)],
    ['unembed.W_U', filled([width, vocab], unembed)],
  ]);
  layers.forEach((members, layer) => {
    for (const port of ['q', 'k', 'v', 'o'] as const) {
      const shape = port === 'o' ? [heads, headWidth, width] : [heads, width, headWidth];
      const weight = zeros(shape);
      for (const [index, head] of members.entries()) filled(shape, head[port] ?? [], index * width * headWidth, weight);
      tensors.set(`blocks.${layer}.attn.W_${port.toUpperCase()}`, weight);
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
  const model = decoderFromCheckpoint(memoryCheckpoint('hand-written', config, tensors), 'hand-written');
  return { model, engine: engineFor(model, referenceExecutor({ precision: 'f64' })) };
}

const run = (count: number, entry: (at: number) => Entry): Entry[] =>
  Array.from({ length: count }, (_, at) => entry(at));

/**
 * Two layers that do induction by construction. The stream is [token | position | token before]. 0.0 attends to the
 * position before and writes its token; 1.0 looks for the query's token among those and adds what it finds to the logits.
 * 0.1 attends to all copies of the query's token, its own included, and writes nothing; 1.1 attends evenly.
 */
export function inductionModel(vocab: number, context: number): KnownModel {
  const sharp = 40;
  const headWidth = Math.max(vocab, context);
  const [position, before] = [vocab, vocab + context];
  const token = run(vocab, (at) => [at, at, 1]);
  const previous: Head = {
    q: run(context, (at) => [position + at, at, 1]),
    k: [[position, 0, sharp], ...run(context - 1, (at): Entry => [position + at, at + 1, sharp])],
    v: token,
    o: run(vocab, (at) => [at, before + at, 1]),
  };
  const duplicate: Head = { q: token, k: run(vocab, (at) => [at, at, sharp]) };
  const induction: Head = {
    q: token,
    k: run(vocab, (at) => [before + at, at, sharp]),
    v: token,
    o: run(vocab, (at) => [at, at, 5]),
  };
  return attentionOnly(
    { vocab, context, width: 2 * vocab + context, headWidth },
    token,
    run(context, (at) => [at, position + at, 1]),
    token,
    [
      [previous, duplicate],
      [induction, {}],
    ],
  );
}

/**
 * No attention output. Even tokens stand at +1 along a planted unit direction p and odd ones at −1, everything else in the
 * stream is noise at right angles to p; logit 0 reads +3 p and logit 1 reads −3 p.
 */
export function plantedModel(
  vocab: number,
  context: number,
  width: number,
  seed: number,
): KnownModel & { readonly planted: Float64Array } {
  const rng = new Rng(seed, 'planted');
  const normals = (): Float64Array => Float64Array.from({ length: width }, () => rng.normal());
  const planted = unit(normals());
  const aside = (): Float64Array => {
    const noise = normals();
    const along = noise.reduce((sum, value, at) => sum + value * (planted[at] as number), 0);
    return noise.map((value, at) => 0.6 * (value - along * (planted[at] as number)));
  };
  const rows = (count: number, along: (row: number) => number): Entry[] =>
    Array.from({ length: count }, (_, row) =>
      Array.from(aside(), (value, at): Entry => [row, at, value + along(row) * (planted[at] as number)]),
    ).flat();
  const unembed = [3, -3].flatMap((gain, column) =>
    Array.from(planted, (value, at): Entry => [at, column, gain * value]),
  );
  const known = attentionOnly(
    { vocab, context, width, headWidth: 1 },
    rows(vocab, (id) => (id % 2 === 0 ? 1 : -1)),
    rows(context, () => 0),
    unembed,
    [[{}]],
  );
  return { ...known, planted };
}

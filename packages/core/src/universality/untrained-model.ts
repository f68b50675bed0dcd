import { decoderFromCheckpoint, type Model } from '../architectures/index.ts';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import { Rng, type Tensor } from '../tensor/index.ts';

/** Standard deviations of the normal start values: by the end of a stored tensor's name, else 1/√(rows of the matrix). */
export interface Initialiser {
  readonly deviations: { readonly [ending: string]: number };
}

/** As the zoo's trained induction models began (`packages/zoo/trained/induction-attn-2l/README.md`). */
export const inductionInitialiser: Initialiser = { deviations: { 'embed.W_E': 0.3, 'pos_embed.W_pos': 1.5 } };

/**
 * A model of the same shape as it is before training: normal matrices, gains of norms 1, other vectors 0. It says what
 * architecture and stimuli alone give. `config` is kept, so that everything but the weights is equal.
 */
export function untrainedModel(model: Model, { deviations }: Initialiser, seed: number): Model {
  const rng = new Rng(seed, 'universality/untrained');
  const tensors = new Map<string, Tensor>();
  for (const [name, { shape }] of model.checkpoint.tensors) {
    const size = shape.reduce((a, b) => a * b, 1);
    const stream = rng.child(name);
    const ending = Object.keys(deviations).find((key) => name.endsWith(key));
    const vector = shape.length < 2 || /(^|\.)b_[A-Z]+$/.test(name);
    const deviation =
      ending === undefined ? 1 / Math.sqrt(shape[shape.length - 2] ?? 1) : (deviations[ending] as number);
    const fill = /(^|\.)(ln\w*|norm|\w*layernorm)\.(w|weight)$/i.test(name) ? 1 : 0;
    tensors.set(name, {
      shape,
      data: Float32Array.from({ length: size }, () => (vector ? fill : deviation * stream.normal())),
    });
  }
  const name = `${model.name} untrained ${seed}`;
  return decoderFromCheckpoint(memoryCheckpoint(name, model.checkpoint.config, tensors), name);
}

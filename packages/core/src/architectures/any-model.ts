import { CircuitscopeError } from '@circuitscope/schema';
import type { ConvnetModel } from './convnet.ts';
import type { EncoderModel } from './load-encoder.ts';
import type { EncoderDecoderModel } from './load-encoder-decoder.ts';
import type { Model } from './load-model.ts';

/** Whatever a checkpoint may hold; `spec.kind` says which. All have a graph over named weights, and run alike. */
export type AnyModel = Model | EncoderModel | EncoderDecoderModel | ConvnetModel;

export type ModelKind = AnyModel['spec']['kind'];

const words: { readonly [kind in ModelKind]: string } = {
  decoder: 'a decoder',
  encoder: 'an encoder',
  encoder_decoder: 'an encoder-decoder',
  convnet: 'a convolution net',
};

export function isDecoder(model: AnyModel): model is Model {
  return model.spec.kind === 'decoder';
}

export function isEncoderDecoder(model: AnyModel): model is EncoderDecoderModel {
  return model.spec.kind === 'encoder_decoder';
}

/**
 * For acts that only decoders have: texts that grow, tasks over the next token, folded views.
 * @throws CircuitscopeError `unsupported_architecture` for every other kind
 */
export function requireDecoder(model: AnyModel): Model {
  if (isDecoder(model)) return model;
  const kind = words[model.spec.kind];
  throw new CircuitscopeError(
    'unsupported_architecture',
    `${model.name} is ${kind}, and this works on decoders alone; \`model run\` captures, changes and measures it by plans.`,
    { at: model.name, expected: words.decoder, got: kind },
  );
}

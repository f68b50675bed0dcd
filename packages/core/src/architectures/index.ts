export { type AnyModel, isDecoder, isEncoderDecoder, type ModelKind, requireDecoder } from './any-model.ts';
export { buildConvnet } from './build-convnet.ts';
export { convertCheckpoint } from './convert-checkpoint.ts';
export {
  type ConvnetModel,
  type ConvnetOptions,
  convnetConfig,
  convnetFromCheckpoint,
  layersOf,
  loadConvnet,
} from './convnet.ts';
export { layersFromModules, type ModuleEntry } from './convnet-modules.ts';
export type { ConvnetLayer, ConvnetSpec } from './convnet-spec.ts';
export { type ConvnetTemplate, convnetTemplate } from './convnet-template.ts';
export type { DecoderSpec } from './decoder-spec.ts';
export { type ConvnetDecomposition, type ConvnetReader, decomposeConvnet } from './decompose-convnet.ts';
export { buildEncoder, type EncoderSpec } from './encoder.ts';
export { buildEncoderDecoder, type EncoderDecoderSpec } from './encoder-decoder.ts';
export { endTokens } from './end-tokens.ts';
export { type FoldedGraph, foldGraph } from './fold-graph.ts';
export { dequantisedBytes, huggingFaceOf } from './gguf-names.ts';
export type { EncoderModel } from './load-encoder.ts';
export type { EncoderDecoderModel } from './load-encoder-decoder.ts';
export {
  decoderFromCheckpoint,
  engineFor,
  loadDecoder,
  loadModel,
  type Model,
  modelFromCheckpoint,
  modelRef,
} from './load-model.ts';
export { type ModelView, type ViewedModel, viewModel } from './views.ts';

export type { DecoderSpec } from './decoder.ts';
export { engineFor, loadModel, type Model, modelFromCheckpoint, modelRef } from './load-model.ts';

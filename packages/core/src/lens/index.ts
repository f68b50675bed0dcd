export { type AttributeOptions, attributeLogits, type LogitAttribution } from './attribute-logits.ts';
export { type DecomposeOptions, decomposeStream, type StreamParts, type StreamStack } from './decompose-stream.ts';
export { throughFinalNorm } from './final-norm.ts';
export { type FinalRead, readFinal, streamSites } from './final-read.ts';
export { type LogitLens, type LogitLensOptions, logitLens } from './logit-lens.ts';

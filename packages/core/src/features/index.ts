export { type AttentionScore, attentionTarget, type HeadKind, headKinds, scoreAttention } from './attention-target.ts';
export { collectActivations } from './collect-activations.ts';
export { type DetectOptions, detectHead } from './detect-head.ts';
export {
  type DirectionEffect,
  type DirectionEffectSpec,
  directionEffect,
  type NullEffects,
} from './direction-effect.ts';
export {
  type FeatureData,
  type FeatureDataOptions,
  type FeatureProperty,
  featureData,
  hasProperty,
} from './feature-data.ts';
export {
  type BestUnit,
  bestUnit,
  type DirectionMeasure,
  type FoundDirection,
  findDirection,
  type LabelledActivations,
  measureDirection,
  projectOnto,
  type Separation,
  type SeparationOptions,
} from './find-direction.ts';
export { type HeadScore, type HeadScoreOptions, type HeadScores, scoreHeads } from './head-scores.ts';
export { type ExampleMetric, perExample } from './per-example.ts';
export { type RandomKind, randomDirections, removedSquare } from './random-directions.ts';
export { type RecallPrompts, recallPrompts } from './recall-prompts.ts';
export { type ModelSize, type RepeatedTokens, repeatedTokens, type TokenChoice } from './repeated-tokens.ts';
export * from './vision/index.ts';

export { type Batch, batchRng, IGNORED, meanWeights, tokenBatch } from './batch.ts';
export { type Initialiser as WeightInitialiser, initialise } from './initialise.ts';
export { classLoss, type SquaredErrorOptions, squaredErrorLoss } from './losses.ts';
export {
  type AdamW,
  adamW,
  clipFactor,
  type Gradients as WeightGradients,
  globalNorm,
  type Moments,
  type OptimiserSettings,
} from './optimiser.ts';
export type { ExportedModel, Measurement, Metrics, Recipe, TrainableModel, Trained } from './recipe.ts';
export { findRecipe, recipes } from './recipes/index.ts';
export { antipodalLoss, crossover, dedicatedLoss } from './recipes/superposition-bounds.ts';
export {
  type BestOfSeeds,
  type BestOfSeedsOptions,
  bestOfSeeds,
  type PhaseCell,
  phaseCell,
  superpositionLoss,
  type ToySizes,
} from './recipes/superposition-phases.ts';
export {
  type FeatureGeometry,
  featureGeometry,
  type ToySuperpositionOptions,
  toySuperposition,
} from './recipes/toy-superposition.ts';
export { learningRateFactor, type Schedule } from './schedule.ts';
export { type ToyBias, type ToyTransformer, type ToyTransformerOptions, toyTransformer } from './toy-transformer.ts';
export { type Training, type TrainOptions, train } from './train.ts';
export { makeTrainer, type StepReport, type Trainer, type TrainerOptions } from './trainer.ts';
export { readTrainingFolder, trainingFiles } from './training-folder.ts';
export type { TrainingIdentity } from './training-identity.ts';
export { type LogHead, type LogLine, readTrainingLog, type TrainingLog } from './training-log.ts';

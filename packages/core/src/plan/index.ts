export type { GraphIntervention } from './apply-interventions.ts';
export { type BindContext, checkPrompt, imagePrompt, type Prompt, resolvePositions } from './bind.ts';
export { type CachedRunner, type CachedRunnerOptions, cachedRunner } from './cached-runner.ts';
export { type ChosenExecutor, chooseExecutor } from './choose-executor.ts';
export { type Compiled, compile } from './compile.ts';
export { countProducts } from './count-products.ts';
export { editWeights } from './edit-weights.ts';
export type { ExecuteOptions, Executor, ExecutorInfo } from './executor.ts';
export { fixPositions } from './fix-positions.ts';
export type { Folding } from './folding.ts';
export type { KeyValueCache } from './key-value-cache.ts';
export type { LatentReader } from './latent-readout.ts';
export { nativeExecutor } from './native-executor.ts';
export { boundShape, type Program, type ProgramValue, programBytes, type Sizes, type Step } from './program.ts';
export { referenceExecutor } from './reference-executor.ts';
export { captured, type LatentRows, latentRows, type ReadoutResult, type Run, readoutTensor, rowOf } from './run.ts';
export { runKernel } from './run-kernel.ts';
export { type Engine, makePlan, type RunOptions, requirePlanOf, runPlan } from './run-plan.ts';
export {
  addInput,
  compileTraining,
  type LossGraph,
  nextTokenLoss,
  type TrainingOptions,
  type TrainingProgram,
  trainingSizes,
  withLoss,
} from './training-program.ts';
export {
  findWeight,
  type MutableWeight,
  mutableWeight,
  readWeight,
  type Weight,
  type WeightMapping,
  type Weights,
} from './weights.ts';

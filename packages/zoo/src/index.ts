export { algorithmInputs } from './algorithm-inputs.ts';
export { type CheckMethod, type CheckOptions, checkMethods, checkZoo, RIGHT_AUROC } from './check/check-zoo.ts';
export { familyName, inductionGroups, seedFamilies } from './families.ts';
export { handwrittenInduction, inductionWithDistractors, rotatedInduction } from './handwritten-induction.ts';
export { inductionAlignment } from './induction-alignment.ts';
export {
  type InductionInputs,
  type InductionProgramRules,
  inductionInputs,
  inductionProgram,
} from './induction-program.ts';
export { type InfluenceGraph, twelveNodes } from './influence-graph.ts';
export { keptTrainings } from './kept-trainings.ts';
export { linearMembers } from './linear-models.ts';
export { type ModularAddition, modularAddition, modularAddition13, modularAddition113 } from './modular-addition.ts';
export { openDecoder, openModel, zooMember, zooMembers } from './open-model.ts';
export * from './rasp/index.ts';
export { zooRecipe, zooRecipes } from './recipes/index.ts';
export { repeatedPermutations } from './repeated-permutations.ts';
export { rmsChange } from './rms-change.ts';
export { type CurveUnit, type EdgeUnit, type ShapeUnits, type ShapeUnitsOptions, shapeUnits } from './shape-units.ts';
export * from './shapes/index.ts';
export { TRAINED_ADDITION_SEEDS, trainedAddition } from './trained-addition.ts';
export {
  TRAINED_SEEDS,
  TRAINED_SEEDS_WITH_MLPS,
  trainedInduction,
  trainedInductionWithMlps,
} from './trained-induction.ts';
export { trainedShapes } from './trained-shapes.ts';
export { sortingAlignment, sortingProgram, TRAINED_SORTING_SEEDS, trainedSorting } from './trained-sorting.ts';
export {
  keptSuperposition,
  superpositionClaims,
  type TrainedSuperposition,
  trainedSuperposition,
} from './trained-superposition.ts';
export {
  type ExpectedFailure,
  type Law,
  type SilentEdge,
  type TaskOptions,
  type Truth,
  truthOf,
  type ZooMember,
} from './zoo-member.ts';

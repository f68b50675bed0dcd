export { familyName, inductionGroups, seedFamilies } from './families.ts';
export { handwrittenInduction, inductionWithDistractors, rotatedInduction } from './handwritten-induction.ts';
export { type InfluenceGraph, twelveNodes } from './influence-graph.ts';
export { linearMembers } from './linear-models.ts';
export { type ModularAddition, modularAddition, modularAddition13, modularAddition113 } from './modular-addition.ts';
export { openModel, zooMember, zooMembers } from './open-model.ts';
export * from './rasp/index.ts';
export { repeatedPermutations } from './repeated-permutations.ts';
export { rmsChange } from './rms-change.ts';
export { TRAINED_SEEDS, trainedInduction } from './trained-induction.ts';
export {
  type ExpectedFailure,
  type Law,
  type SilentEdge,
  type TaskOptions,
  type Truth,
  truthOf,
  type ZooMember,
} from './zoo-member.ts';

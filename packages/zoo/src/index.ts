export { handwrittenInduction, inductionWithDistractors, rotatedInduction } from './handwritten-induction.ts';
export { openModel, zooMember, zooMembers } from './open-model.ts';
export { repeatedPermutations } from './repeated-permutations.ts';
export { TRAINED_SEEDS, trainedInduction } from './trained-induction.ts';
export type { TaskOptions, Truth, ZooMember } from './zoo-member.ts';

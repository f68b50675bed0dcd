export * from './choose.ts';
export * from './contract.ts';
export { type Assignment, assign } from './reference/assignment.ts';
export { ignoredId } from './reference/cross-entropy.ts';
export { descending } from './reference/descending.ts';
export { erf, erfc } from './reference/error-function.ts';
export { referenceKernels, runReference } from './reference/index.ts';
export { comesBefore, latentBin, latentBins } from './reference/latent-statistics.ts';
export { type Axis, axisOf, sidesOf } from './reference/window.ts';

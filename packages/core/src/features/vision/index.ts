export { bestTuning, channelResponses, type ResponseOptions, tuningTable } from './channel-responses.ts';
export { describeTuning, type Tuning, type TuningOptions, type TuningPeriod } from './describe-tuning.ts';
export { type ExpandedWeights, expandedWeights } from './expanded-weights.ts';
export {
  addKernels,
  averageKernel,
  type ConvolutionWeights,
  composeKernels,
  convolutionKernel,
  identityKernel,
  type PlaneKernel,
  planeOf,
  scaledKernel,
} from './plane-kernel.ts';
export {
  type Equivariance,
  type EquivarianceOptions,
  type FamilyOptions,
  rotationalEquivariance,
  type TangentOptions,
  type TangentProfile,
  tangentProfile,
} from './rotational-equivariance.ts';
export {
  type ShapeClaim,
  type ShapeUnitCriteria,
  type ShapeUnitData,
  type ShapeUnitTest,
  type ShapeVerdict,
  shapeUnitCriteria,
  testShapeUnit,
} from './test-shape-unit.ts';
export { type VarianceShares, varianceShares } from './variance-shares.ts';

export { benjaminiHochberg, benjaminiYekutieli, bonferroni, holm } from './adjust-p-values.ts';
export { type Auroc, auroc, aurocBootstrap, aurocDifference } from './auroc.ts';
export {
  type BcaTerms,
  type BootstrapDistribution,
  bcaInterval,
  bcaTerms,
  bootstrapStandardError,
  percentileInterval,
} from './bca-interval.ts';
export { binomialTail, wilson } from './binomial.ts';
export {
  type BootstrapOptions,
  bootstrapInterval,
  meanInterval,
  ratioInterval,
  type Statistic,
} from './bootstrap-interval.ts';
export { dPrime, type EffectSize, hedgesG } from './effect-size.ts';
export { type Interval, type Measured, toEstimate } from './interval.ts';
export { midranks } from './midranks.ts';
export { checkSample, covariance, mean, quantile, sortedQuantile, variance } from './moments.ts';
export { normalCdf, normalDensity, normalQuantile } from './normal.ts';
export { type PermutationResult, permutationP } from './permutation-p.ts';
export { atan2, cos, sin } from './portable-trigonometry.ts';
export { drawResamples, type Sampling } from './resample.ts';
export { spearman } from './spearman.ts';

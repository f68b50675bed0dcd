export * from './architectures/index.ts';
export * from './checkpoints/index.ts';
// Two rooms use these words; from the outside they mean the circuits' ones.
export type { MeasureOptions, Metric } from './circuits/index.ts';
export * from './circuits/index.ts';
export * from './dictionaries/index.ts';
export * from './experiments/index.ts';
export * from './features/index.ts';
export * from './graph/index.ts';
export * from './interventions/index.ts';
export * from './kernels/index.ts';
export * from './lens/index.ts';
export * from './plan/index.ts';
export * from './statistics/index.ts';
export * from './tensor/index.ts';
export * from './tokens/index.ts';
export * from './training/index.ts';
export * from './universality/index.ts';

export * from './digest-tensor.ts';
export * from './philox.ts';
export * from './rng.ts';
export * from './tensor.ts';

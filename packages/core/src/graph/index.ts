export * from './decompose.ts';
export * from './differentiate.ts';
export * from './graph.ts';
export * from './graph-builder.ts';
export * from './operations.ts';
export * from './rewrite.ts';
export * from './split-read.ts';
export * from './vector-jacobian.ts';

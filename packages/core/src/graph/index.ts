export * from './decompose.ts';
export * from './graph.ts';
export * from './graph-builder.ts';
export * from './operations.ts';
export * from './rewrite.ts';
export * from './split-read.ts';

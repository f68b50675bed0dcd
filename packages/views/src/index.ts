export { default as AttentionPattern } from './attention-pattern/AttentionPattern.svelte';
export type { AttentionHead, PatternValues } from './attention-pattern/pattern.ts';
export type { PatternCell } from './attention-pattern/state.svelte.ts';
export { default as CircuitGraph } from './circuit-graph/CircuitGraph.svelte';
export type { CircuitGraphExport } from './circuit-graph/export-view.ts';
export type { CircuitTarget, LiveEffect } from './circuit-graph/target.ts';
export { listWeightChoices, type WeightChoice } from './circuit-graph/weight-choice.ts';

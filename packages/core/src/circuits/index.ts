export { attentionOnAnswer } from './attention-on-answer.ts';
export { breakingEdit, randomEdit, type SubspaceEdit } from './breaking-edit.ts';
export { type CircuitParts, circuitRecord, recordIds } from './circuit-record.ts';
export { type Composition, composition, randomBaseline } from './composition.ts';
export { type ComposedPair, type CompositionTableOptions, compositionTable } from './composition-table.ts';
export {
  complement,
  connected,
  type Discovered,
  type DiscoverOptions,
  discoverCircuit,
  type PruneBy,
} from './discover.ts';
export { type Bounds, type EdgeEffect, type EdgeEffects, edgeEffects } from './edge-effects.ts';
export { type EffectiveWeight, effectiveWeights } from './effective-weights.ts';
export {
  embedding,
  type Matrix,
  multiply,
  positions,
  readingMatrix,
  transposed,
  unembedding,
  writingMatrix,
} from './head-matrices.ts';
export { type LiveEffect, liveEffect } from './live-effect.ts';
export {
  ablationValue,
  cutEdges,
  type MeasureOptions,
  type Metric,
  type MetricValues,
  meanOf,
  meanValue,
  measure,
  rowValues,
  sourceRuns,
} from './measure.ts';
export { type AgainstRandom, type MinimalityOfEdge, type Proof, type ProveOptions, proveCircuit } from './prove.ts';
export { type ProvenParts, provenRecord } from './proven-record.ts';
export { type HeadCounts, headCounts, queryHeads } from './query-heads.ts';
export { relabelled, sizeMatched } from './random-circuits.ts';
export { type RepeatedRandomOptions, repeatedRandomTask } from './repeated-random-task.ts';
export { strongestPath } from './strongest-path.ts';
export { hashTask, type TaskData, taskData, withoutExamplesOf } from './task-data.ts';
export { testWeightEdit, type WeightEditTest } from './test-weight-edit.ts';

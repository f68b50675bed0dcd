export { type AcdcOptions, acdc } from './acdc.ts';
export { type AcdcOrder, acdcOrder } from './acdc-order.ts';
export { acdcOrderDependence, type OrderDependence } from './acdc-order-dependence.ts';
export { acdcOrderFree, orderFreeScores } from './acdc-order-free.ts';
export { acdcSweepScores } from './acdc-sweep-scores.ts';
export { attentionOnAnswer } from './attention-on-answer.ts';
export {
  type AttributionPatching,
  attributionOfUnits,
  attributionPatching,
  type SiteAttribution,
} from './attribution-patching.ts';
export {
  type AttributionRows,
  attributionRows,
  type RowOptions,
  type RowTarget,
  type SourceBlock,
  type SourceKind,
} from './attribution-rows.ts';
export { breakingEdit, randomEdit, type SubspaceEdit } from './breaking-edit.ts';
export { type CircuitParts, circuitRecord, recordIds } from './circuit-record.ts';
export { collapse } from './collapse.ts';
export {
  compareEstimates,
  type Estimate,
  type EstimateReport,
  type EstimatesReport,
} from './compare-estimates.ts';
export { type Composition, composition, randomBaseline } from './composition.ts';
export { type ComposedPair, type CompositionTableOptions, compositionTable } from './composition-table.ts';
export {
  complement,
  connected,
  type Discovered,
  type DiscoverOptions,
  discoverCircuit,
  type KeptBy,
  type PruneBy,
} from './discover.ts';
export { type DiscoveryMethod, discoverBy, scoresBy } from './discover-by.ts';
export { type EapOptions, eapScores } from './eap.ts';
export { type Bounds, type EdgeEffect, type EdgeEffects, edgeEffects } from './edge-effects.ts';
export {
  asEffects,
  compositionScores,
  type EdgeScores,
  edgeScores,
  exactPatchScores,
  importance,
  liftToEdges,
  randomScores,
  type ScoreOptions,
  type ScoreSign,
  sourcePasses,
  type UnitScores,
  unitEffects,
} from './edge-scores.ts';
export type { SearchOptions, SearchResult, SearchStep } from './edge-search.ts';
export { type EffectiveWeight, effectiveWeights } from './effective-weights.ts';
export { expand } from './expand.ts';
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
export {
  type Attribution,
  type AttributionGraph,
  attributionGraph,
  type Influence,
  influence,
  normalisedRows,
} from './influence.ts';
export {
  compareEdgeSets,
  type EffectAgreement,
  judgeAgainst,
  judgeRanking,
  pairwiseJaccard,
  type RankAgreement,
  type SetAgreement,
} from './judge-edges.ts';
export { linearisedPathPatch } from './linearised-path-patch.ts';
export { type LiveEffect, liveEffect } from './live-effect.ts';
export { edgesBehind, type MacroEffectOptions, macroEffects } from './macro-effects.ts';
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
export { type Harm, harmOf, type SearchMetric } from './measure-harm.ts';
export { type GradientMetric, metricTarget } from './metric-target.ts';
export { type PatchedPath, type PathOptions, type PathPatch, pathPatch } from './path-patch.ts';
export { type AgainstRandom, type MinimalityOfEdge, type Proof, type ProveOptions, proveCircuit } from './prove.ts';
export { type ProvenParts, provenRecord } from './proven-record.ts';
export {
  type AttributionNode,
  type AttributionPruning,
  type GraphScores,
  graphScores,
  type PrunedAttribution,
  pruneAttribution,
} from './prune-attribution.ts';
export { type HeadCounts, headCounts, queryHeads } from './query-heads.ts';
export { relabelled, sizeMatched } from './random-circuits.ts';
export { type RepeatedRandomOptions, repeatedRandomTask } from './repeated-random-task.ts';
export {
  type PositionTable,
  type SaliencyContrast,
  type SaliencyOptions,
  type SaliencyReport,
  saliencyContrast,
} from './saliency.ts';
export { strongestPath } from './strongest-path.ts';
export { hashTask, type TaskData, taskData, withoutExamplesOf } from './task-data.ts';
export { testWeightEdit, type WeightEditTest } from './test-weight-edit.ts';

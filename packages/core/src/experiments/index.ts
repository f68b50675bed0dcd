export { type CaptureCorpusOptions, type CaptureProgress, captureCorpus } from './capture-corpus.ts';
export {
  type ExamineDirectionOptions,
  type ExaminePropertyOptions,
  examineDirection,
  examineProperty,
  requireVectorSite,
  taskHalf,
} from './examine-direction.ts';
export { type Act, acts, type Examination, type ExamineOptions, examineModel } from './examine-model.ts';
export { describeCircuit, type FindCircuitOptions, findCircuit } from './find-circuit.ts';
export {
  checkHypothesis,
  decide,
  type EstimateRange,
  stateOf,
} from './hypothesis-check.ts';
export {
  hashRecord,
  type Ledger,
  type LockedHypothesis,
  lockHypothesis,
  recordDeviation,
  recordOutcome,
  reviseHypothesis,
  seedFromLock,
  verifyLedger,
  verifyLock,
} from './hypothesis-ledger.ts';
export { inductionEstimates, inductionRanges } from './induction-estimates.ts';
export {
  type InductionHypotheses,
  type InductionHypothesesOptions,
  inductionHypotheses,
} from './induction-hypotheses.ts';
export {
  type CollectedStatistics,
  collectLatentStatistics,
  type LatentStatisticsOptions,
} from './latent-statistics.ts';
export { type PatchTaskOptions, patchTask } from './patch-task.ts';
export { type HypothesisAct, type HypothesisActOptions, runHypothesisAct } from './run-hypothesis-act.ts';
export { runUniversalityAct, type UniversalityActOptions } from './run-universality-act.ts';
export { type CircuitTest, type TestCircuitOptions, testCircuit, weightEditFinding } from './test-circuit.ts';
export { testHypothesis } from './test-hypothesis.ts';
export {
  questionOf,
  requireModelOf,
  type ValidateCircuitOptions,
  type ValidatedCircuit,
  validateCircuit,
} from './validate-circuit.ts';
export { numericsVersion, TOOL_VERSION } from './versions.ts';

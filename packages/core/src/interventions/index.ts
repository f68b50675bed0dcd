export { algorithmEvidence } from './algorithm-evidence.ts';
export { checkAlignment, partScope } from './aligned-part.ts';
export type { AlgorithmInput, CausalOverrides, CausalProgram, CausalValue, CausalValues } from './causal-program.ts';
export type { OutputLoss } from './compare-output.ts';
export type { DrawOptions } from './draw-pairs.ts';
export {
  type AlgorithmRun,
  type InterchangeAccuracy,
  type InterchangeOptions,
  type InterchangeScore,
  interchangeAccuracy,
  type NullScore,
} from './interchange.ts';
export {
  namedGrids,
  type PatchedGrid,
  type PatchGridShape,
  type PatchOptions,
  type PatchResult,
  patchGrids,
  patchSweep,
} from './patch-grid.ts';
export { type Scrubbing, type ScrubNode, type ScrubOptions, type ScrubScore, scrubAlgorithm } from './scrub.ts';
export { type WrongAlignment, wrongAlignments } from './wrong-alignments.ts';

export type { CrossLayerTranscoder } from './cross-layer.ts';
export {
  type Dictionary,
  type DictionarySpec,
  dictionaryShapes,
  type Encoder,
  makeDictionary,
} from './dictionary.ts';
export {
  activeLatents,
  applyDictionary,
  type DictionaryGraph,
  type DictionaryValues,
  dictionaryGraph,
} from './dictionary-graph.ts';
export { latentReader } from './latent-reader.ts';
export {
  type LatentExample,
  LatentStatistics,
  type LatentSummary,
  latentEdges,
  type TokenPlace,
} from './latent-statistics.ts';
export { type MemoryDictionarySpec, memoryDictionary } from './memory-dictionary.ts';
export { openDictionary } from './open-dictionary.ts';
export {
  type ActiveLatents,
  ablateLatent,
  fractionUnexplained,
  type LatentAblation,
  type LatentReading,
  readLatents,
} from './read-latents.ts';
export { readSite } from './read-site.ts';
export { type SpliceError, spliceSites } from './splice.ts';
export { spliceCrossLayer } from './splice-cross-layer.ts';
export { type ReplaceOptions, replaceMlp, type SpliceOptions, spliceDictionary } from './splice-dictionary.ts';
export { type StatisticsProgram, statisticsProgram } from './statistics-program.ts';

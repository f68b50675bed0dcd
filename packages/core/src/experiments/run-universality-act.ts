import type { Comparison } from '@circuitscope/schema';
import { type CompareModelsOptions, compareModels } from '../universality/index.ts';
import { numericsVersion, TOOL_VERSION } from './versions.ts';

export type UniversalityActOptions = Omit<CompareModelsOptions, 'provenance'>;

/** Claim 3 in one act: `compareModels`, with what made the result named in it. */
export function runUniversalityAct(options: UniversalityActOptions): Promise<Comparison> {
  const provenance = {
    tool: 'circuitscope',
    toolVersion: TOOL_VERSION,
    numericsVersion: numericsVersion(options.executor.info),
  };
  return compareModels({ ...options, provenance });
}

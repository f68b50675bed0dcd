import {
  type ModelGroup,
  modelRef,
  numericsVersion,
  runUniversalityAct,
  TOOL_VERSION,
  universalityRule,
} from '@circuitscope/core';
import type { Executor, RunOptions } from '@circuitscope/core/plan';
import { type Comparison, type Hash, parseComparison } from '@circuitscope/schema';
import {
  actionKey,
  findByAction,
  getRecord,
  putRecord,
  runRecord,
  saveRun,
  type Workspace,
} from '@circuitscope/workspace';

export interface CompareAndKeep {
  readonly name: string;
  readonly description: string;
  readonly groups: readonly ModelGroup[];
  readonly executor: Executor;
  readonly seed: number;
  readonly draws: number;
  readonly again: boolean;
  readonly command: readonly string[];
  readonly run: Pick<RunOptions, 'signal' | 'threads' | 'onProgress'>;
}

export interface KeptComparison {
  readonly comparison: Comparison;
  readonly hash: Hash;
  /** True if the same models had been compared before, and nothing was computed. */
  readonly found: boolean;
}

/** Compares models and keeps the record; a comparison that was made before is looked up. */
export async function compareAndKeep(workspace: Workspace, options: CompareAndKeep): Promise<KeptComparison> {
  const { name, description, groups, executor, seed, draws, again, command, run } = options;
  const startedAt = Date.now();
  const start = performance.now();
  const models: Hash[] = [];
  for (const group of groups) for (const { model } of group.models) models.push((await modelRef(model)).contentHash);
  const members = groups.map((group) => ({ group: group.name, models: group.models.map(({ id }) => id) }));
  const key = actionKey({
    kind: 'compare_models',
    models,
    parameters: { name, description, members, seed, draws, rule: universalityRule.id },
    data: [],
    numericsVersion: numericsVersion(executor.info),
    toolVersion: TOOL_VERSION,
  });
  const known = again ? null : findByAction(workspace, key);
  if (known) return { comparison: getRecord(workspace, known, parseComparison), hash: known, found: true };
  const comparison = await runUniversalityAct({ name, description, groups, executor, seed, draws, run });
  const { hash } = putRecord(workspace, comparison, { actionKey: key, keep: true });
  const wallTimeMs = performance.now() - start;
  saveRun(
    workspace,
    runRecord({ actionKey: key, contentDigest: hash, startedAt, wallTimeMs, executor: executor.info, command }),
  );
  return { comparison, hash, found: false };
}

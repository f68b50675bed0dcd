import { type HypothesisAct, type Model, runHypothesisAct } from '@circuitscope/core';
import type { Engine, RunOptions } from '@circuitscope/core/plan';
import { readLedger, storeLocked, storeOutcome, type Workspace } from '@circuitscope/workspace';

export interface TestAndKeep {
  readonly bos: number | null;
  readonly seed: number;
  readonly source: string;
  /** ISO 8601 in UTC; enters the lock. */
  readonly at: string;
  readonly examples?: number;
  readonly run: Pick<RunOptions, 'signal' | 'threads' | 'onProgress'>;
}

/** Locks a claim and its rival in the workspace's ledger before anything is measured, tests both, and keeps what came out. */
export async function testAndKeep(
  workspace: Workspace,
  engine: Engine,
  model: Model,
  options: TestAndKeep,
): Promise<HypothesisAct> {
  const act = await runHypothesisAct(engine, model, {
    ...options,
    ledger: readLedger(workspace),
    onLocked: (locked) => {
      for (const one of locked) storeLocked(workspace, one);
    },
  });
  for (const { outcome } of [act.claim, act.rival]) storeOutcome(workspace, outcome, new Date().toISOString());
  return act;
}

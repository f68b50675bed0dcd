import {
  type Examination,
  type ExamineOptions,
  engineFor,
  examineModel,
  hashTask,
  type Model,
  modelRef,
  numericsVersion,
  TOOL_VERSION,
} from '@circuitscope/core';
import type { Executor } from '@circuitscope/core/plan';
import { type Hash, parseReport, type Report } from '@circuitscope/schema';
import {
  actionKey,
  findByAction,
  getRecord,
  putRecord,
  runRecord,
  saveRun,
  type Workspace,
} from '@circuitscope/workspace';

export interface Kept {
  readonly report: Report;
  readonly reportHash: Hash;
  readonly circuitHash: Hash;
  /** True if the same question had been answered before, and nothing was computed. */
  readonly found: boolean;
  readonly wallTimeMs: number;
}

/** Examines a model and keeps report, circuit and task; a question that was answered before is looked up. */
export async function examineAndKeep(
  workspace: Workspace,
  model: Model,
  executor: Executor,
  options: ExamineOptions,
  { again, command }: { readonly again: boolean; readonly command: readonly string[] },
): Promise<Kept> {
  const startedAt = Date.now();
  const start = performance.now();
  const { contentHash, graphHash } = await modelRef(model);
  const { ablation, metric, prune, seed, examples, randomCircuits, bos, name, source } = options;
  const tasks = [seed, seed + 1].map((each) => hashTask(options.task({ seed: each, examples })));
  const key = actionKey({
    kind: 'examine_model',
    models: [contentHash],
    ...(graphHash ? { graph: graphHash } : {}),
    parameters: { ablation, metric, prune: { ...prune }, seed, examples, randomCircuits, bos, name, source },
    data: tasks,
    numericsVersion: numericsVersion(executor.info),
    toolVersion: TOOL_VERSION,
  });
  const known = again ? null : findByAction(workspace, key);
  if (known) {
    const report = getRecord(workspace, known, parseReport);
    const circuit = putRecord(workspace, report.circuit, { keep: true });
    return { report, reportHash: known, circuitHash: circuit.hash, found: true, wallTimeMs: performance.now() - start };
  }
  const examined: Examination = await examineModel(engineFor(model, executor), model, options);
  putRecord(workspace, examined.task, { keep: true });
  const circuit = putRecord(workspace, examined.circuit, { keep: true });
  const report = putRecord(workspace, examined.report, { actionKey: key, keep: true });
  const wallTimeMs = performance.now() - start;
  for (const contentDigest of [report.hash, circuit.hash]) {
    saveRun(
      workspace,
      runRecord({ actionKey: key, contentDigest, startedAt, wallTimeMs, executor: executor.info, command }),
    );
  }
  return { report: examined.report, reportHash: report.hash, circuitHash: circuit.hash, found: false, wallTimeMs };
}

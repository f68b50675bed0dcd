import type { Patching, Task } from '@circuitscope/schema';
import { type Model, modelRef } from '../architectures/index.ts';
import { hashTask, taskData } from '../circuits/index.ts';
import { type PatchOptions, patchSweep } from '../interventions/index.ts';
import type { Engine } from '../plan/index.ts';
import { numericsVersion, TOOL_VERSION } from './versions.ts';

export interface PatchTaskOptions extends Pick<PatchOptions, 'grids' | 'direction' | 'metric'> {
  readonly task: Task;
  /** How the examples came about: `generated`, `given`. */
  readonly how: string;
  readonly seeds: readonly number[];
  /** Where the model can be opened again: a path or `zoo:NAME`. */
  readonly source: string;
  readonly run?: Pick<PatchOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'>;
}

/** Patches a task's places over grids and keeps the result as a record. */
export async function patchTask(engine: Engine, model: Model, options: PatchTaskOptions): Promise<Patching> {
  const { task, how, seeds, source, grids, direction, metric = 'logit_diff', run } = options;
  // A grid has no intervals, so one pair of prompts is enough.
  const data = taskData(task, 1);
  const swept = await patchSweep(engine, data, { ...run, grids, direction, metric });
  const mean = (values: Float64Array): number => values.reduce((a, b) => a + b, 0) / values.length;
  const [example] = task.examples;
  const sides = direction === 'denoise' ? (['corrupt', 'clean'] as const) : (['clean', 'corrupt'] as const);
  const [base = [], patched = []] = sides.map((side) =>
    (example?.[side] ?? []).map((id) => task.tokenStrings?.[String(id)] ?? String(id)),
  );
  return {
    kind: 'patching',
    version: 1,
    name: task.name,
    model: { ...(await modelRef(model)), source },
    direction,
    metric,
    base: mean(swept.base),
    source: mean(swept.source),
    examples: data.examples,
    grids: swept.grids.map(({ site, axes, shape, values }) => ({
      site,
      axes: [...axes],
      shape: [...shape],
      values: Array.from(values),
    })),
    tokens: { base, source: patched },
    work: swept.work,
    provenance: {
      tool: 'circuitscope',
      toolVersion: TOOL_VERSION,
      numericsVersion: numericsVersion(engine.executor.info),
      method: 'activation_patching',
      parameters: { direction, metric, grids: grids.map(({ site, axes }) => ({ site, axes: [...axes] })) },
      seeds: [...seeds],
      data: [{ hash: hashTask(task), n: data.examples, how }],
    },
  };
}

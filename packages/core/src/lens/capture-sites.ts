import type { Pos, Site } from '@circuitscope/schema';
import { type Engine, makePlan, type Prompt, type RunOptions, readoutTensor, runPlan } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';

export type LensRun = Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads'>;

/** Sites at chosen positions of a prompt, each [batch, position, …], from one run. */
export async function captureSites(
  engine: Engine,
  prompt: Prompt,
  sites: readonly Site[],
  at: Pos,
  run: LensRun = {},
): Promise<ReadonlyMap<Site, Tensor>> {
  const unique = [...new Set(sites)];
  const scope = at.kind === 'all' ? {} : { at };
  const plan = makePlan(engine.graph, {
    readouts: unique.map((site) => ({ kind: 'capture', at: { site, ...scope } })),
  });
  const done = await runPlan(engine, plan, prompt, run);
  return new Map(unique.map((site, index) => [site, readoutTensor(done, index)]));
}

import type { Ablation, Site } from '@circuitscope/schema';
import { captured, type Engine, makePlan, type Prompt, type Run, runPlan } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import type { MeasureOptions } from './measure.ts';
import type { TaskData } from './task-data.ts';

export interface SiteChange {
  /** [example, …site] */
  readonly shape: readonly number[];
  /** What ablation puts in place, minus what stands there on the clean prompts. */
  readonly change: Floats;
}

export interface SiteChanges {
  readonly sites: ReadonlyMap<Site, SiteChange>;
  readonly clean: Run;
  readonly forwards: number;
}

/**
 * ã − a at whole sites: what ablation changes there. Means are over all clean examples and their real positions. Masked
 * attention scores do not change.
 */
export async function siteChanges(
  engine: Engine,
  data: TaskData,
  ablation: Ablation,
  sites: readonly Site[],
  { signal, memoryBytes, threads }: MeasureOptions = {},
): Promise<SiteChanges> {
  const plan = makePlan(engine.graph, { readouts: sites.map((site) => ({ kind: 'capture', at: { site } })) });
  const options = {
    ...(signal ? { signal } : {}),
    ...(memoryBytes ? { memoryBytes } : {}),
    ...(threads ? { threads } : {}),
  };
  const read = (prompt: Prompt): Promise<Run> => runPlan(engine, plan, prompt, options);
  const clean = await read(data.clean);
  const corrupt = ablation === 'resample' ? await read(data.corrupt) : null;
  const changes = new Map<Site, SiteChange>();
  for (const site of sites) {
    const { shape, data: here } = captured(clean, site);
    const other = corrupt ? captured(corrupt, site).data : null;
    const mean = ablation === 'mean' ? meanOverTokens(here, shape, clean) : null;
    const width = mean?.length ?? 1;
    const change = here.slice();
    for (let at = 0; at < here.length; at++) {
      const a = here[at] as number;
      const instead = other ? (other[at] as number) : mean ? (mean[at % width] as number) : 0;
      change[at] = instead === a ? 0 : instead - a;
    }
    changes.set(site, { shape, change });
  }
  return { sites: changes, clean, forwards: corrupt ? 2 : 1 };
}

function meanOverTokens(data: Floats, shape: readonly number[], { batch, pos, mask }: Run): Float64Array {
  const width = shape.slice(2).reduce((a, b) => a * b, 1);
  const mean = new Float64Array(width);
  let count = 0;
  for (let token = 0; token < batch * pos; token++) {
    if (mask?.[Math.floor(token / pos)]?.[token % pos] === 0) continue;
    count++;
    for (let i = 0; i < width; i++) mean[i] = (mean[i] as number) + (data[token * width + i] as number);
  }
  return mean.map((sum) => sum / count);
}

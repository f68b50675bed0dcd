import type { Intervention, UnitRef } from '@circuitscope/schema';
import { attentionSite, blockSite, type Graph, inputSites } from '../graph/index.ts';
import type { Floats } from '../tensor/index.ts';
import type { BindContext } from './bind.ts';
import { captured } from './run.ts';

type EdgeIntervention = Extract<Intervention, { kind: 'edge' }>;

/**
 * Finds the first position at which the writer of an edge wrote something else in the run that the edge takes its value
 * from. Before it the reader is given Δ = 0, and prompts that begin alike have nothing to compute there.
 * @param base what a run without changes gave, by node
 */
export function edgeStarts(
  graph: Graph,
  base: ReadonlyMap<number, Floats>,
  { runs, batch, pos }: BindContext,
): (change: EdgeIntervention) => number {
  const known = new Map<string, number>();
  const has = (site: string): boolean => graph.nodes.some(({ sites }) => sites.includes(site));
  const startOf = (site: string, name: string): number => {
    const key = JSON.stringify([site, name]);
    const found = known.get(key) ?? firstDifference(site, name);
    known.set(key, found);
    return found;
  };
  const firstDifference = (site: string, name: string): number => {
    const node = graph.nodes.find(({ sites }) => sites.includes(site));
    const [own, run] = [base.get(node?.id ?? -1), runs.get(name)];
    if (!own || !run) return 0;
    const other = captured(run, site, node?.sites ?? [site]).data;
    if (other.length !== own.length) return 0;
    const width = own.length / (batch * pos);
    let first = pos;
    for (let example = 0; example < batch; example++) {
      const start = example * pos * width;
      let at = 0;
      while (at < first * width && own[start + at] === other[start + at]) at++;
      first = Math.min(first, Math.floor(at / width));
    }
    return first;
  };
  return ({ from, value }) => {
    if (value.kind !== 'run') return 0;
    const sites = sitesOf(from, has);
    return sites.length === 0 ? 0 : Math.min(...sites.map((site) => startOf(site, value.name)));
  };
}

/** What an edge's Δ is made of. */
function sitesOf(from: UnitRef, has: (site: string) => boolean): readonly string[] {
  if (from.kind === 'input') return inputSites(has, from.stack);
  if (from.kind === 'head') return [`${attentionSite(from)}.hook_z`];
  return from.kind === 'mlp' ? [`${blockSite(from)}.hook_mlp_out`] : [];
}

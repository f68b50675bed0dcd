import { canonicalJson, type Intervention, type Site } from '@circuitscope/schema';
import { type Graph, headReadsThrough, productSites, readerOfSite } from '../graph/index.ts';
import type { GraphIntervention } from './apply-interventions.ts';
import type { WeightEdit } from './edit-weights.ts';

export interface VariantGroup {
  /** Indices into the plan's variants. */
  readonly members: number[];
  /** Of each member, in the same order. */
  readonly changes: GraphIntervention[][];
  readonly weightEdits: WeightEdit[];
  readonly detached: readonly Site[];
}

/**
 * Variants with the same weight edits and the same first changed value share a program. Those that change a norm which
 * heads share stay apart from the others, whose edges may give heads a norm of their own.
 */
export function groupVariants(graph: Graph, variants: readonly (readonly Intervention[])[]): VariantGroup[] {
  const groups = new Map<string, VariantGroup>();
  const entry = entryFinder(graph);
  const through = new Map<Site, readonly Site[]>();
  const readsThrough = (site: Site): readonly Site[] => {
    const known = through.get(site) ?? headReadsThrough(graph, site);
    through.set(site, known);
    return known;
  };
  variants.forEach((list, index) => {
    const weightEdits = list.filter((change) => change.kind === 'weight');
    const detached = list.flatMap((change) => (change.kind === 'detach' ? [change.at.site] : []));
    const changes = list.filter((change) => change.kind !== 'weight' && change.kind !== 'detach');
    const first = changes.length === 0 ? -1 : Math.min(...changes.map(entry));
    const sites = changes.flatMap((change) => (change.kind === 'edge' ? [] : [change.at.site]));
    const norms = new Set(sites.flatMap(readsThrough));
    const key = canonicalJson([weightEdits, first, [...norms].sort(), detached]);
    const group = groups.get(key) ?? { members: [], changes: [], weightEdits, detached };
    group.members.push(index);
    group.changes.push(changes);
    groups.set(key, group);
  });
  return [...groups.values()];
}

/** Where in the order of computation an intervention enters; sites that do not exist are reported by the compiler. */
function entryFinder(graph: Graph): (change: GraphIntervention) => number {
  const bySite = new Map(graph.nodes.flatMap((node) => node.sites.map((site) => [site, node.id] as const)));
  return (change) => {
    // A reader's own read enters where its product stands.
    const reader = change.kind === 'edge' ? change.to : readerOfSite(change.at.site);
    const sites = reader ? productSites(reader) : change.kind === 'edge' ? [] : [change.at.site];
    return sites.map((site) => bySite.get(site)).find((id) => id !== undefined) ?? 0;
  };
}

import { CircuitscopeError, canonicalJson, type Intervention, type Site } from '@circuitscope/schema';
import {
  attentionSite,
  type GraphRewrite,
  headProductSites,
  placeOf,
  readerOfSite,
  splitRead,
  unknownSite,
} from '../graph/index.ts';
import { addChange, type SiteIntervention } from './add-change.ts';
import { applyEdges } from './apply-edges.ts';
import type { ExternalInput } from './bind.ts';

// Interventions become nodes of the graph. The j-th change of a site is one node for all variants that change it in the
// same manner: which variant, example, position, head or unit it touches is data of the call, so a sweep over heads or
// positions is one program.

/** Interventions that change values in the graph; weight edits are applied to the weights before, detached sites to gradients. */
export type GraphIntervention = Exclude<Intervention, { kind: 'weight' | 'detach' }>;

export interface AppliedInterventions {
  /** The inputs that the call must make. */
  readonly externals: readonly ExternalInput[];
  /** The nodes that make the changes; one that no readout depends on never fires. */
  readonly changed: readonly { readonly node: number; readonly site: Site }[];
}

/** Rewrites the graph for the given variants. */
export function applyInterventions(
  rewrite: GraphRewrite,
  variants: readonly (readonly GraphIntervention[])[],
): AppliedInterventions {
  const edges = applyEdges(rewrite, variants);
  const externals: ExternalInput[] = [...edges.externals];
  const changed = [...edges.changed];
  for (const [site, perVariant] of changesBySite(rewrite, variants)) {
    const longest = Math.max(...perVariant.map((list) => list.length));
    for (let step = 0; step < longest; step++) {
      const manners = new Map<string, (SiteIntervention | null)[]>();
      perVariant.forEach((list, variant) => {
        const change = list[step];
        if (!change) return;
        const manner = mannerOf(change);
        const list_ = manners.get(manner) ?? new Array<SiteIntervention | null>(variants.length).fill(null);
        list_[variant] = change;
        manners.set(manner, list_);
      });
      for (const changes of manners.values()) {
        externals.push(...addChange(rewrite, requireSite(rewrite, site), changes));
        changed.push({ node: requireSite(rewrite, site).id, site });
      }
    }
  }
  return { externals, changed };
}

/** Makes sure that a site exists, splitting a read if it is a reader's own. */
export function requireSite(rewrite: GraphRewrite, site: Site) {
  const found = rewrite.find(site);
  if (found) return found;
  const reader = readerOfSite(site);
  if (reader) return rewrite.node(splitRead(rewrite, reader));
  const result = resultSite(rewrite, site);
  if (result) return result;
  throw unknownSite(rewrite.source, site);
}

/** `hook_result` (each head's own output) exists only when asked for: it is larger than the stream by the head count. */
function resultSite(rewrite: GraphRewrite, site: Site) {
  const found = placeOf(site);
  if (!found || site !== `${attentionSite(found.place)}.hook_result`) return undefined;
  const [normed, plain] = headProductSites(found.place);
  const out = rewrite.find(normed) ?? rewrite.find(plain);
  const z = rewrite.find(`${attentionSite(found.place)}.hook_z`);
  if (!out || !z) return undefined;
  const id = rewrite.add('head_result', [z.id], {
    params: [out.params[0] ?? null],
    attrs: { width: out.shape[2] ?? 0 },
    sites: [site],
  });
  return rewrite.node(id);
}

function changesBySite(
  rewrite: GraphRewrite,
  variants: readonly (readonly GraphIntervention[])[],
): Map<Site, SiteIntervention[][]> {
  const bySite = new Map<Site, SiteIntervention[][]>();
  variants.forEach((list, variant) => {
    for (const change of list) {
      if (change.kind === 'edge') continue;
      // Two names of one value are one site.
      const site = requireSite(rewrite, change.at.site).sites[0] ?? change.at.site;
      if (site.endsWith('.hook_result')) throw readOnly(change.at.site);
      const perVariant = bySite.get(site) ?? variants.map(() => []);
      perVariant[variant]?.push(change);
      bySite.set(site, perVariant);
    }
  });
  return bySite;
}

function readOnly(site: Site): CircuitscopeError {
  return new CircuitscopeError(
    'read_only_site',
    `${site} can be read but not changed, because the stream adds all heads in one product; change hook_z or cut edges instead.`,
    { at: site },
  );
}

function mannerOf(change: SiteIntervention): string {
  switch (change.kind) {
    case 'write':
      return canonicalJson(['write', change.op, change.value.kind === 'const' ? 'const' : change.value]);
    case 'freeze':
      return canonicalJson(['write', 'set', change.value.kind === 'const' ? 'const' : change.value]);
    case 'direction':
      return canonicalJson(['direction', change.op]);
  }
}

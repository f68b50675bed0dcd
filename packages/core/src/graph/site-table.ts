import { describeOperation, describeSite } from './describe-site.ts';
import { findSite, type Graph, listSites } from './graph.ts';
import { readerSite } from './split-read.ts';
import { attentionOutSite, attentionSite, headInputSite, mlpProductNames, placeOf } from './stack-sites.ts';

export interface SiteRow {
  readonly name: string;
  /** Sizes that a call decides stay symbols: batch, pos, key. */
  readonly shape: readonly (number | string)[];
  readonly meaning: string;
  /** It is computed only when a plan names it. */
  readonly onRequest: boolean;
}

/** Every site of a graph that can be read or changed, with what it holds; those on request last. */
export function siteTable(graph: Graph): readonly SiteRow[] {
  const computed = listSites(graph).map(({ site, shape }) => ({
    name: site,
    shape: symbolic(site, shape),
    meaning: describeSite(site) || describeOperation(findSite(graph, site).op),
    onRequest: false,
  }));
  return [...computed, ...onRequest(graph)];
}

/** The last axis of scores and pattern runs over the positions that are read. */
function symbolic(site: string, shape: readonly (number | string)[]): (number | string)[] {
  const attention = /\.attn\.hook_(attn_scores|pattern)$/.test(site);
  return shape.map((dim, axis) => (attention && axis === shape.length - 1 && dim === 'pos' ? 'key' : dim));
}

/** Sites that exist only when a plan asks for them. */
function onRequest(graph: Graph): readonly SiteRow[] {
  const entry = (name: string, shape: readonly (number | string)[]) => ({
    name,
    shape: [...shape],
    meaning: describeSite(name),
    onRequest: true,
  });
  const made = listSites(graph).flatMap(({ site, shape }) => {
    const found = placeOf(site);
    if (!found) return [];
    const { place, rest } = found;
    const port = /^hook_([qkv])$/.exec(rest)?.[1];
    if (port === 'q' || port === 'k' || port === 'v') {
      const width = findSite(graph, attentionOutSite(place)).shape[2] ?? 0;
      return [entry(headInputSite(place, port), [...shape.slice(0, 3), width])];
    }
    if (site === `${attentionSite(place)}.hook_z`) {
      const width = findSite(graph, attentionOutSite(place)).shape[2] ?? 0;
      return [entry(`${attentionSite(place)}.hook_result`, [...shape.slice(0, 3), width])];
    }
    if (!mlpProductNames.includes(rest)) return [];
    const stack = place.stack === 'encoder' || place.stack === 'decoder' ? { stack: place.stack } : {};
    const out = findSite(graph, site.replace(/mlp\.\w+$/, 'hook_mlp_out'));
    return [entry(readerSite({ kind: 'mlp', ...stack, layer: place.layer, port: 'in' }), out.shape)];
  });
  const logits = findSite(graph, 'logits');
  const read = graph.nodes[logits.in[0] ?? -1];
  // What has no positions has no stream that logits read.
  return logits.shape.length === 3 && read
    ? [...made, entry(readerSite({ kind: 'logits', port: 'in' }), read.shape)]
    : made;
}

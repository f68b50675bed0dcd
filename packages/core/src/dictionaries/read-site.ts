import type { Site } from '@circuitscope/schema';
import type { Graph } from '../graph/index.ts';

/**
 * The site of this graph that a transcoder's own name for its input means. `hook_mlp_in` is what the MLP reads of the stream,
 * before its norm; circuit-tracer's `mlp.hook_in` is that after the norm.
 */
export function readSite(graph: Graph, site: Site): Site {
  const has = (name: Site): boolean => graph.nodes.some(({ sites }) => sites.includes(name));
  if (has(site)) return site;
  const stream = site.replace(/\.(?:hook_mlp_in|mlp\.hook_in)$/, '.hook_resid_mid');
  const normed = site.replace(/\.mlp\.hook_in$/, '.ln2.hook_out');
  return has(normed) ? normed : has(stream) ? stream : site;
}

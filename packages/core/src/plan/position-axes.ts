import type { Scope, Site } from '@circuitscope/schema';
import { type Dim, type Graph, GraphRewrite } from '../graph/index.ts';
import { requireSite } from './apply-interventions.ts';
import { layoutOf } from './site-layout.ts';

/** Which text the positions of a scope at a site count: `source` is an encoder-decoder's encoder's. */
export function positionAxes(graph: Graph, site: Site): { readonly [which in keyof Pick<Scope, 'at' | 'key'>]-?: Dim } {
  const { dims, pattern } = layoutOf(requireSite(new GraphRewrite(graph), site), site);
  return pattern ? { at: dims[1], key: dims[2] } : { at: dims[0], key: dims[0] };
}

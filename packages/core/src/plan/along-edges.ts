import { CircuitscopeError, type Hash, type Readout, type Site } from '@circuitscope/schema';
import type { GraphRewrite } from '../graph/index.ts';
import { requireSite } from './apply-interventions.ts';
import type { ExternalInput } from './bind.ts';
import { boundLayout, layoutOf } from './site-layout.ts';
import { resolveValue } from './values.ts';

// A gradient where a reader reads, times what changes of writers would write there. The writes of a layer's heads are made
// of their z in the program, so that neither they nor the gradients ever leave it.

type Edges = Extract<Extract<Readout, { kind: 'gradient' }>['wrt'], { kind: 'edges' }>;

interface Written {
  readonly node: number;
  readonly external: ExternalInput;
}

/** What changes of sites write, by site and change: many readers meet the same. */
export type WritesOf = Map<string, Written>;

/** The node [rows, writers, heads of the reader or 1]: products over positions and width. */
export function alongEdges(
  rewrite: GraphRewrite,
  gradient: number,
  { at, from }: Edges,
  known: WritesOf,
): { readonly node: number; readonly externals: readonly ExternalInput[] } {
  if (at.at || at.key || at.head || at.unit) {
    throw new CircuitscopeError(
      'bad_scope',
      `A gradient along edges is taken of all that ${at.site} reads; its scope names the site alone.`,
      { at: at.site },
    );
  }
  const fresh: ExternalInput[] = [];
  const writes = from.map(({ site, change }) => {
    const key = `${site} ${change}`;
    const made = known.get(key) ?? writtenBy(rewrite, site, change);
    if (!known.has(key)) fresh.push(made.external);
    known.set(key, made);
    const [width, wanted] = [made.node, gradient].map((node) => rewrite.node(node).shape.at(-1));
    if (width === wanted) return made.node;
    throw new CircuitscopeError(
      'bad_scope',
      `${site} writes vectors ${width} wide, and ${at.site} reads vectors ${wanted} wide; an edge needs both in one stream.`,
      { at: site, expected: String(wanted), got: String(width) },
    );
  });
  return { node: rewrite.add('pair_dots', [gradient, ...writes]), externals: fresh };
}

/** The change of a site's value as the stream gets it: heads, kept as z, through their own rows of the product behind them. */
function writtenBy(rewrite: GraphRewrite, site: Site, change: Hash): Written {
  const of = rewrite.root(requireSite(rewrite, site).id);
  const layout = layoutOf(of, site);
  const [rows = 0, ...inner] = of.shape;
  if (layout.pattern || inner.length === 0 || of.dtype === 'i32') {
    throw new CircuitscopeError('bad_scope', `${site} writes nothing into the stream; name what a unit gives.`, {
      at: site,
    });
  }
  const external = rewrite.external(`change:${site}:${change}`, [rows, ...inner]);
  const whole = /^(.*)\.hook_z$/.exec(site)?.[1];
  const result = whole === undefined ? null : requireSite(rewrite, `${whole}.hook_result`);
  if (result && result.params[0] === null) {
    throw new CircuitscopeError(
      'unsupported',
      `What heads write at ${site} is not one product, so it cannot be told apart by head; cut edges exactly.`,
      { at: site },
    );
  }
  const node = result
    ? rewrite.add('head_result', [external], { params: result.params, attrs: result.attrs })
    : external;
  return {
    node,
    external: {
      node: external,
      make: (context) => {
        const bound = boundLayout(layout, context);
        const { rows: given, data } = resolveValue({ kind: 'artefact', hash: change }, bound, context);
        if (given === context.batch) return data;
        throw new CircuitscopeError(
          'bad_shape',
          `The change of ${site} has ${given} examples; the prompt has ${context.batch}.`,
          { at: site, expected: String(context.batch), got: String(given) },
        );
      },
    },
  };
}

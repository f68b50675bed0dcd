import { CircuitscopeError, canonicalJson, type Intervention, type Site } from '@circuitscope/schema';
import { type GraphRewrite, readerOfSite, splitRead, unknownSite } from '../graph/index.ts';
import { applyEdges } from './apply-edges.ts';
import { type ExternalInput, rowsOf } from './bind.ts';
import { boundLayout, layoutOf, scopeMasks } from './site-layout.ts';
import { unitVector } from './unit-vector.ts';
import { artefact, resolveValue } from './values.ts';

// Interventions become nodes of the graph. The j-th change of a site is one node for all variants that change it in the
// same manner: which variant, example, position, head or unit it touches is data of the call, so a sweep over heads or
// positions is one program.

type SiteIntervention = Extract<Intervention, { kind: 'write' | 'direction' | 'freeze' }>;

/** Interventions that live in the graph; weight edits are applied to the weights before. */
export type GraphIntervention = Exclude<Intervention, { kind: 'weight' }>;

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
        externals.push(...addChange(rewrite, site, changes));
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
  const layer = /^blocks\.(\d+)\.attn\.hook_result$/.exec(site)?.[1];
  if (layer === undefined) return undefined;
  const out = rewrite.find(`blocks.${layer}.hook_attn_out`);
  const z = rewrite.find(`blocks.${layer}.attn.hook_z`);
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

/**
 * Heads that got a read of their own have a norm of their own too, so a change of the norm that the others share would
 * silently pass them by.
 */
function refuseSharedNorm(rewrite: GraphRewrite, site: Site): void {
  const layer = /^blocks\.(\d+)\.ln1\./.exec(site)?.[1];
  const split = ['q', 'k', 'v'].map((port) => `blocks.${layer}.hook_${port}_input`).find((read) => rewrite.find(read));
  if (layer === undefined || split === undefined) return;
  throw new CircuitscopeError(
    'shared_norm',
    `${site} is changed in a plan where heads of that layer read through a norm of their own (an edge into them, or ${split}); the change would not reach them. Use two plans.`,
    { at: site, got: split },
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

function addChange(rewrite: GraphRewrite, site: Site, changes: readonly (SiteIntervention | null)[]): ExternalInput[] {
  const node = requireSite(rewrite, site);
  refuseSharedNorm(rewrite, site);
  const layout = layoutOf(rewrite.root(node.id), site, node.sites);
  const first = changes.find((change) => change !== null);
  if (!first) return [];
  const same = canonicalJson(first);
  const uniform = changes.every((change) => change !== null && (change === first || canonicalJson(change) === same));
  const level = uniform ? 'batch' : 'rows';
  const externals: ExternalInput[] = [];
  const external = (
    shape: readonly (number | string)[],
    dtype: 'f32' | 'i32',
    make: ExternalInput['make'],
    sizes?: ExternalInput['sizes'],
  ): number => {
    const id = rewrite.external(`${site}#${rewrite.find(site)?.id}.${externals.length}`, shape, dtype);
    externals.push(sizes ? { node: id, make, sizes } : { node: id, make });
    return id;
  };
  const masks = scopeMasks(
    layout,
    changes.map((change) => change?.at ?? null),
    level,
  ).map((mask) => (mask ? external(mask.shape, 'i32', mask.make) : -1));
  const perRow = (value: (change: SiteIntervention) => number): number =>
    external([level], 'f32', (context) =>
      Float64Array.from(rowsOf(context, level), ({ variant }) => {
        const change = changes[variant];
        return change ? value(change) : 0;
      }),
    );
  const dims = layout.dims;
  let changed: number;
  if (first.kind === 'direction') {
    const unit = external([level, dims[2]], 'f32', (context) => {
      const width = boundLayout(layout, context).dims[2];
      const rows = rowsOf(context, level);
      const data = new Float64Array(rows.length * width);
      rows.forEach(({ variant }, row) => {
        const change = changes[variant];
        if (change?.kind !== 'direction') return;
        data.set(unitVector(artefact(change.direction, context).data, width, site), row * width);
      });
      return data;
    });
    const amount = perRow((change) => (change.kind === 'direction' ? (change.value ?? 0) : 0));
    changed = rewrite.add('direction', [node.id, unit, masks[0] ?? -1, masks[1] ?? -1, amount], {
      attrs: { op: first.op, dims, perRow: true },
    });
    if ((masks[2] ?? -1) >= 0)
      throw new CircuitscopeError(
        'bad_scope',
        `A direction is a whole vector at ${site}; its scope cannot name single units.`,
        { at: site },
      );
  } else {
    const op = first.kind === 'write' ? first.op : 'set';
    const factor = (change: SiteIntervention): number => (change.kind === 'write' ? (change.coefficient ?? 1) : 1);
    const source = first.value;
    if (source.kind === 'const') {
      const coefficient = perRow((change) =>
        change.kind !== 'direction' && change.value.kind === 'const' ? change.value.value * factor(change) : 0,
      );
      changed = rewrite.add('edit', [node.id, -1, ...masks, coefficient], {
        attrs: { op, dims, valueShape: 'none', constant: 1 },
      });
    } else {
      const symbol = rewrite.fresh('copies');
      const value = external(
        [symbol, ...dims],
        'f32',
        (context) => resolveValue(source, boundLayout(layout, context), context).data,
        (context) => ({ [symbol]: resolveValue(source, boundLayout(layout, context), context).rows }),
      );
      const coefficient = changes.every((change) => change === null || factor(change) === 1) ? -1 : perRow(factor);
      changed = rewrite.add('edit', [node.id, value, ...masks, coefficient], {
        attrs: { op, dims, valueShape: 'rows', constant: 1 },
      });
    }
  }
  rewrite.moveSites(node.id, changed);
  rewrite.redirect(node.id, changed);
  return externals;
}

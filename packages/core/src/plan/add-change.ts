import { CircuitscopeError, canonicalJson, type Intervention, type Site } from '@circuitscope/schema';
import { type Dim, type GraphNode, type GraphRewrite, headReadsThrough } from '../graph/index.ts';
import { type BindContext, type ExternalInput, resolvePositions, rowsOf } from './bind.ts';
import { directionOverKeys, refuseLookingAhead } from './refuse-looking-ahead.ts';
import { boundLayout, layoutOf, type SymbolicLayout, scopeMasks } from './site-layout.ts';
import { unitVector } from './unit-vector.ts';
import { artefact, type ResolvedValue, resolveValue, valueOfPadding } from './values.ts';

export type SiteIntervention = Extract<Intervention, { kind: 'write' | 'direction' | 'freeze' }>;

type Changes<T> = readonly (T | null)[];

/**
 * One node that changes a value, for all variants at once.
 * @param changes by variant, null where a variant leaves the value alone; all of one kind, operation and source of values
 * @returns the inputs that a call must make: masks, values, factors
 */
export function addChange(rewrite: GraphRewrite, node: GraphNode, changes: Changes<SiteIntervention>): ExternalInput[] {
  const site = node.sites[0] ?? '';
  refuseSharedNorm(rewrite, site);
  const first = changes.find((change) => change !== null);
  if (!first) return [];
  const inputs = new ChangeInputs(rewrite, node, site, changes);
  const changed = first.kind === 'direction' ? addDirection(inputs, first.op) : addEdit(inputs, first);
  rewrite.moveSites(node.id, changed);
  rewrite.redirect(node.id, changed);
  return inputs.externals;
}

/**
 * Heads that got a read of their own have a norm of their own too, so a change of the norm that the others share would
 * silently pass them by.
 */
function refuseSharedNorm(rewrite: GraphRewrite, site: Site): void {
  const split = headReadsThrough(rewrite.source, site).find((read) => rewrite.find(read));
  if (split === undefined) return;
  throw new CircuitscopeError(
    'shared_norm',
    `${site} is changed in a plan where readers of that layer read through a norm of their own (an edge into them, or ${split}); the change would not reach them. Use two plans.`,
    { at: site, got: split },
  );
}

/** What directions and edits have in common: where they act, and how their inputs are made. */
class ChangeInputs {
  readonly rewrite: GraphRewrite;
  readonly node: GraphNode;
  readonly site: Site;
  readonly changes: Changes<SiteIntervention>;
  readonly layout: SymbolicLayout;
  /** Where all variants make the same change, one row per example serves them all. */
  readonly level: 'batch' | 'rows';
  /** Ids of the masks of the three axes, -1 where the whole axis is meant. */
  readonly masks: readonly number[];
  readonly externals: ExternalInput[] = [];

  constructor(rewrite: GraphRewrite, node: GraphNode, site: Site, changes: Changes<SiteIntervention>) {
    this.rewrite = rewrite;
    this.node = node;
    this.site = site;
    this.changes = changes;
    this.layout = layoutOf(rewrite.root(node.id), site, node.sites);
    const first = changes.find((change) => change !== null);
    const same = canonicalJson(first ?? null);
    const uniform = changes.every((change) => change === first || (change !== null && canonicalJson(change) === same));
    this.level = uniform ? 'batch' : 'rows';
    const scopes = changes.map((change) => change?.at ?? null);
    this.masks = scopeMasks(this.layout, scopes, this.level).map((mask) =>
      mask ? this.external(mask.shape, 'i32', mask.make) : -1,
    );
  }

  external(
    shape: readonly Dim[],
    dtype: 'f32' | 'i32',
    make: ExternalInput['make'],
    sizes?: ExternalInput['sizes'],
  ): number {
    const node = this.rewrite.external(`${this.site}#${this.node.id}.${this.externals.length}`, shape, dtype);
    this.externals.push(sizes ? { node, make, sizes } : { node, make });
    return node;
  }

  /** An input [rows] with a number of each variant's change. */
  perRow(value: (change: SiteIntervention) => number, check: (context: BindContext) => void = () => {}): number {
    return this.external([this.level], 'f32', (context) => {
      check(context);
      return Float64Array.from(rowsOf(context, this.level), ({ variant }) => {
        const change = this.changes[variant];
        return change ? value(change) : 0;
      });
    });
  }
}

function addDirection(inputs: ChangeInputs, op: 'project_out' | 'steer' | 'clamp'): number {
  const { rewrite, node, site, changes, layout, level, masks } = inputs;
  const [positions = -1, heads = -1, units = -1] = masks;
  if (units >= 0) {
    throw new CircuitscopeError(
      'bad_scope',
      `A direction is a whole vector at ${site}; its scope cannot name single units.`,
      { at: site },
    );
  }
  const unit = inputs.external([level, layout.dims[2]], 'f32', (context) => {
    if (growsKeys(layout, context)) throw directionOverKeys(site);
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
  const amount = inputs.perRow((change) => (change.kind === 'direction' ? (change.value ?? 0) : 0));
  return rewrite.add('direction', [node.id, unit, positions, heads, amount], {
    attrs: { op, dims: layout.dims, perRow: true },
  });
}

function addEdit(inputs: ChangeInputs, first: Exclude<SiteIntervention, { kind: 'direction' }>): number {
  const { rewrite, node, changes, layout, masks } = inputs;
  const { dims } = layout;
  const op = first.kind === 'write' ? first.op : 'set';
  const factor = (change: SiteIntervention): number => (change.kind === 'write' ? (change.coefficient ?? 1) : 1);
  const source = first.value;
  if (source.kind === 'const') {
    const constantOf = (change: SiteIntervention): number =>
      change.kind !== 'direction' && change.value.kind === 'const' ? change.value.value * factor(change) : 0;
    const constants = inputs.perRow(constantOf, (context) =>
      refuseLooking(inputs, op, constantOf, context, () => 1, 1),
    );
    const attrs = { op, dims, valueShape: 'none', constant: 1 };
    return rewrite.add('edit', [node.id, -1, ...masks, constants], { attrs });
  }
  const symbol = rewrite.fresh('copies');
  const resolve = (context: BindContext): ResolvedValue =>
    resolveValue(source, boundLayout(layout, context), context, reachedBy(layout, changes, context));
  const value = inputs.external(
    [symbol, ...dims],
    'f32',
    (context) => {
      const { rows, data } = resolve(context);
      const row = data.length / rows;
      const valueAt = (example: number, at: number): number => data[(example % rows) * row + at] ?? 0;
      refuseLooking(inputs, op, factor, context, valueAt, valueOfPadding(layout));
      return data;
    },
    (context) => ({ [symbol]: resolve(context).rows }),
  );
  const plain = changes.every((change) => change === null || factor(change) === 1);
  const attrs = { op, dims, valueShape: 'rows', constant: 1 };
  return rewrite.add('edit', [node.id, value, ...masks, plain ? -1 : inputs.perRow(factor)], { attrs });
}

/** How many positions the changes reach at most. */
function reachedBy(layout: SymbolicLayout, changes: Changes<SiteIntervention>, context: BindContext): number {
  if (!context.prompt.grows) return context.pos;
  // The text of an encoder does not grow.
  if (layout.dims[layout.pattern ? 1 : 0] === 'source') return 0;
  let reached = 0;
  for (const change of changes) {
    if (!change) continue;
    const { at } = change.at;
    if (!at) return context.pos;
    for (let example = 0; example < context.batch; example++) {
      for (const position of resolvePositions(at, example, context)) reached = Math.max(reached, position + 1);
    }
  }
  return reached;
}

/** Whether queries may come to read keys that are not there yet; those of an encoder all are. */
function growsKeys({ pattern, dims }: SymbolicLayout, { prompt }: BindContext): boolean {
  return pattern && prompt.grows !== undefined && dims[2] !== 'source';
}

function refuseLooking(
  { layout, changes, level }: ChangeInputs,
  op: 'set' | 'add' | 'scale',
  factor: (change: SiteIntervention) => number,
  context: BindContext,
  valueAt: (example: number, entry: number) => number,
  later: number,
): void {
  if (!growsKeys(layout, context)) return;
  for (const { variant, example } of rowsOf(context, level)) {
    const change = changes[variant];
    if (!change) continue;
    const by = factor(change);
    refuseLookingAhead(layout, change.at, op, example, context, (entry) => by * valueAt(example, entry), by * later);
  }
}

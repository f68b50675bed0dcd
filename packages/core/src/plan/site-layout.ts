import { CircuitscopeError, type Scope, type Site } from '@circuitscope/schema';
import { type Dim, type GraphNode, isSquare } from '../graph/index.ts';
import { type BindContext, type ExternalInput, positionSizes, resolvePositions, rowsOf } from './bind.ts';
import { boundShape } from './program.ts';
import type { SiteLayout } from './values.ts';

// Edits see every activation as [rows, n1, n2, n3]. Activations by position are [pos, heads or 1, width], attention
// scores and patterns are [head, query, key], images [channel, height, width] with channels as their units, and values
// without positions [1, 1, width]. A scope becomes one 0/1 mask per axis and row.

export interface SymbolicLayout {
  readonly site: Site;
  /** Every name of the value; `blocks.0.hook_resid_post` and `blocks.1.hook_resid_pre` are one. */
  readonly names: readonly Site[];
  readonly dims: readonly [Dim, Dim, Dim];
  readonly pattern: boolean;
  readonly heads: boolean;
  /** Whether it is an image: units are channels, the first axis. */
  readonly image: boolean;
}

export function layoutOf(node: GraphNode, site: Site, names: readonly Site[] = [site]): SymbolicLayout {
  const [, a = 1, b = 1, c = 1] = node.shape;
  if (isSquare(node)) {
    return { site, names, dims: [a, b, c], pattern: true, heads: true, image: false };
  }
  const own = { site, names, pattern: false, heads: false, image: false };
  if (node.shape.length === 2) return { ...own, dims: [1, 1, a] };
  if (node.shape.length !== 4) return { ...own, dims: [a, 1, b] };
  // Positions are a symbol, channels a number.
  return typeof a === 'number' ? { ...own, dims: [a, b, c], image: true } : { ...own, dims: [a, b, c], heads: true };
}

export function boundLayout(layout: SymbolicLayout, context: BindContext): SiteLayout {
  const [n1 = 1, n2 = 1, n3 = 1] = boundShape(layout.dims, positionSizes(context));
  // Over the places of an image no mean is taken either: its first axis is no position.
  return {
    site: layout.site,
    names: layout.names,
    symbols: layout.dims,
    dims: [n1, n2, n3],
    pattern: layout.pattern || layout.image,
  };
}

type Axis = 0 | 1 | 2;

/** Which parts of a scope limit an axis. */
function limits(layout: SymbolicLayout, scope: Scope, axis: Axis): boolean {
  if (layout.image) return axis === 0 && !!scope.unit;
  if (layout.pattern)
    return axis === 0 ? !!scope.head : axis === 1 ? narrows(scope.at) : narrows(scope.key) || !!scope.unit;
  return axis === 0 ? narrows(scope.at) : axis === 1 ? !!scope.head : !!scope.unit;
}

function narrows(pos: Scope['at']): boolean {
  return pos !== undefined && pos.kind !== 'all';
}

/**
 * The mask inputs [rows, n] of an edit, one per axis, null where every variant takes the whole axis. A null scope means
 * that the variant is not touched.
 */
export function scopeMasks(
  layout: SymbolicLayout,
  scopes: readonly (Scope | null)[],
  level: 'batch' | 'rows',
): ((Pick<ExternalInput, 'make'> & { readonly shape: readonly Dim[] }) | null)[] {
  for (const scope of scopes) if (scope) checkScope(layout, scope);
  const partial = scopes.some((scope) => scope === null);
  return ([0, 1, 2] as const).map((axis) => {
    const needed = scopes.some((scope) => scope && limits(layout, scope, axis)) || (axis === 0 && partial);
    if (!needed) return null;
    return {
      shape: [level, layout.dims[axis]],
      make: (context) => {
        const size = boundLayout(layout, context).dims[axis];
        const rows = rowsOf(context, level);
        const mask = new Int32Array(rows.length * size);
        rows.forEach(({ variant, example }, row) => {
          const scope = scopes[variant];
          if (!scope) return;
          for (const index of chosen(layout, scope, axis, size, example, context)) mask[row * size + index] = 1;
        });
        return mask;
      },
    };
  });
}

function chosen(
  layout: SymbolicLayout,
  scope: Scope,
  axis: Axis,
  size: number,
  example: number,
  context: BindContext,
): readonly number[] {
  const all = Array.from({ length: size }, (_, index) => index);
  if (!limits(layout, scope, axis)) return all;
  if (layout.image) return inRange(scope.unit ?? all, size, 'channel', layout.site);
  const headAxis = layout.pattern ? 0 : 1;
  const posAxis = layout.pattern ? 1 : 0;
  if (axis === headAxis) return inRange(scope.head ?? all, size, 'head', layout.site);
  const dim = layout.dims[axis];
  if (axis === posAxis) return scope.at ? resolvePositions(scope.at, example, context, dim) : all;
  if (layout.pattern) return scope.key ? resolvePositions(scope.key, example, context, dim) : all;
  return inRange(scope.unit ?? all, size, 'unit', layout.site);
}

function inRange(indices: readonly number[], size: number, what: string, site: Site): readonly number[] {
  for (const index of indices) {
    if (index < 0 || index >= size) {
      throw new CircuitscopeError('out_of_range', `${site} has ${size} ${what}s; there is no ${what} ${index}.`, {
        at: site,
        expected: `0 to ${size - 1}`,
        got: String(index),
      });
    }
  }
  return indices;
}

/** A scope that names an axis which the site lacks is an error, never ignored. */
export function checkScope(layout: SymbolicLayout, scope: Scope): void {
  const complain = (what: string): never => {
    throw new CircuitscopeError('bad_scope', `${layout.site} has no ${what} axis, so a scope there cannot name one.`, {
      at: layout.site,
      got: what,
    });
  };
  if (layout.image && narrows(scope.at)) complain('position');
  if (scope.head && !layout.heads) complain('head');
  if (scope.key && !layout.pattern) complain('key');
  if (scope.unit && layout.pattern) complain('unit');
  const dim = (axis: Axis): number =>
    typeof layout.dims[axis] === 'number' ? (layout.dims[axis] as number) : Number.POSITIVE_INFINITY;
  if (scope.head) inRange(scope.head, dim(layout.pattern ? 0 : 1), 'head', layout.site);
  if (scope.unit) inRange(scope.unit, dim(layout.image ? 0 : 2), layout.image ? 'channel' : 'unit', layout.site);
}

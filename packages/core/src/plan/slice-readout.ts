import type { Pos, Readout, Scope } from '@circuitscope/schema';
import { type Graph, GraphRewrite } from '../graph/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { requireSite } from './apply-interventions.ts';
import { type BindContext, resolvePositions } from './bind.ts';
import { positionAxis, sliceLatents } from './latent-readout.ts';
import type { ReadoutResult, Run } from './run.ts';
import { layoutOf } from './site-layout.ts';

/** Cuts a capture, a projection or a gradient down to the scope that was asked for; whole sites pass through. */
export function sliceReadout(
  graph: Graph,
  readout: Readout | undefined,
  result: ReadoutResult,
  run: Run,
  context: BindContext,
): ReadoutResult {
  if (result.kind === 'latents' || readout?.kind === 'latents') {
    if (result.kind !== 'latents' || readout?.kind !== 'latents') return result;
    return sliceLatents(readout, result, positionAxis(new GraphRewrite(graph), readout), context);
  }
  const scope = scopeOf(readout);
  if (!scope || result.kind === 'topK') return result;
  if (!scope.at && !scope.key && !scope.head && !scope.unit) return result;
  const layout = layoutOf(requireSite(new GraphRewrite(graph), scope.site), scope.site);
  const lead = (run.variants === null ? 1 : 2) + (result.kind === 'gradient' ? 1 : 0);
  const inner = result.tensor.shape.slice(lead);
  const axes = inner.map((size, axis) => ({ size, axis }));
  const posAxis = layout.pattern ? 1 : 0;
  const headAxis = layout.pattern ? 0 : 1;
  // A projection lacks the last axis, so its scope has no units to choose from.
  const flat = inner.length === 1 && layout.dims[0] === 1;
  const unitAxis = layout.image || flat ? 0 : layout.heads ? 2 : 1;
  const pick = (axis: number, size: number, example: number): number[] => {
    const positions = (at: Pos): number[] => resolvePositions(at, example, context, layout.dims[axis as 0 | 1 | 2]);
    if (!layout.image && !flat && axis === posAxis && scope.at) return positions(scope.at);
    if (layout.heads && axis === headAxis && scope.head) return [...scope.head];
    if (layout.pattern && axis === 2 && scope.key) return positions(scope.key);
    if (!layout.pattern && axis === unitAxis && scope.unit) return [...scope.unit];
    return Array.from({ length: size }, (_, index) => index);
  };
  const chosen = (example: number): number[][] => axes.map(({ size, axis }) => pick(axis, size, example));
  const shape = [...result.tensor.shape.slice(0, lead), ...chosen(0).map((list) => list.length)];
  const rowSize = inner.reduce((a, b) => a * b, 1);
  const strides = inner.map((_, axis) => inner.slice(axis + 1).reduce((a, b) => a * b, 1));
  const out: number[] = [];
  for (let row = 0; row * rowSize < result.tensor.data.length; row++) {
    const lists = chosen(row % run.batch);
    const walk = (axis: number, base: number): void => {
      if (axis === lists.length) out.push(result.tensor.data[base] ?? 0);
      else for (const index of lists[axis] ?? []) walk(axis + 1, base + index * (strides[axis] ?? 0));
    };
    walk(0, row * rowSize);
  }
  const data = result.tensor.data instanceof Float64Array ? Float64Array.from(out) : Float32Array.from(out);
  const tensor: Tensor = { shape, data };
  return { ...result, tensor };
}

function scopeOf(readout: Readout | undefined): Scope | undefined {
  if (readout?.kind === 'capture' || readout?.kind === 'project') return readout.at;
  return readout?.kind === 'gradient' && readout.wrt.kind === 'site' ? readout.wrt.at : undefined;
}

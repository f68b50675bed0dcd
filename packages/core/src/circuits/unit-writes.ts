import { CircuitscopeError, type Site, type UnitRef, unitLabel } from '@circuitscope/schema';
import {
  attentionOutSite,
  attentionSite,
  blockSite,
  type Graph,
  inputSites,
  listSites,
  type Place,
} from '../graph/index.ts';
import { type Engine, findWeight } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import type { SiteChanges } from './site-changes.ts';

// What units write into the stream, made from what is kept of them: heads are kept as z, d_head wide instead of d_model,
// and their writes are made for one layer at a time.

/** The sites that hold what a unit writes, and whether each of its heads writes by its own. */
export function sitesOfUnit(graph: Graph, unit: UnitRef): readonly Site[] {
  switch (unit.kind) {
    case 'input': {
      const known = new Set(listSites(graph).map(({ site }) => site));
      return inputSites((site) => known.has(site), unit.stack);
    }
    case 'head':
      return [`${attentionSite(unit)}.hook_z`];
    case 'mlp':
      return [`${blockSite(unit)}.hook_mlp_out`];
    default:
      throw new CircuitscopeError(
        'unsupported_unit',
        `Edges can start at the input, a head or an MLP, not at ${unitLabel(unit)}.`,
        { got: unitLabel(unit) },
      );
  }
}

/** What changes in the writes of the units that one group of sites holds: [token, head or 1, model]. */
export interface Writes {
  readonly heads: number;
  readonly model: number;
  readonly change: Floats;
}

/** @param tokens a range of tokens, example-major */
export function changeOfWrites(
  engine: Engine,
  { sites }: SiteChanges,
  unit: UnitRef,
  tokens: { readonly from: number; readonly to: number },
): Writes {
  const parts = sitesOfUnit(engine.graph, unit).flatMap((site) => sites.get(site) ?? []);
  const [first] = parts;
  if (!first) throw new Error(`${unitLabel(unit)} was not read`);
  const { from, to } = tokens;
  const width = first.shape.slice(2).reduce((a, b) => a * b, 1);
  if (unit.kind !== 'head') {
    const change = first.change.slice(from * width, to * width);
    for (const part of parts.slice(1))
      for (let at = 0; at < change.length; at++)
        change[at] = (change[at] as number) + (part.change[from * width + at] as number);
    return { heads: 1, model: width, change };
  }
  const [, , heads = 1, inner = 1] = first.shape;
  const { data: w, model } = writingWeight(engine, unit);
  const change =
    first.change instanceof Float64Array
      ? new Float64Array((to - from) * heads * model)
      : new Float32Array((to - from) * heads * model);
  const sum = new Float64Array(model);
  for (let row = 0; row < (to - from) * heads; row++) {
    const head = row % heads;
    sum.fill(0);
    for (let e = 0; e < inner; e++) {
      const z = first.change[(from * heads + row) * inner + e] as number;
      if (z === 0) continue;
      const start = (head * inner + e) * model;
      for (let d = 0; d < model; d++) sum[d] = (sum[d] as number) + z * (w[start + d] as number);
    }
    change.set(sum, row * model);
  }
  return { heads, model, change };
}

/** W_O of a layer, [heads × d_head, model]; the product that stands at `hook_attn_out`. */
function writingWeight({ graph, weights }: Engine, place: Place): { readonly data: Floats; readonly model: number } {
  const site = attentionOutSite(place);
  const node = graph.nodes.find(({ sites }) => sites.includes(site));
  const name = node?.op === 'linear' ? node.params[0] : null;
  if (!node || name == null) {
    throw new CircuitscopeError(
      'unsupported',
      `What heads write at ${site} is not one product, so it cannot be told apart by head; cut edges exactly.`,
      { at: site, got: node?.op ?? 'nothing' },
    );
  }
  return { data: findWeight(weights, name).read(), model: Number(node.shape[2]) };
}

import {
  CircuitscopeError,
  type Intervention,
  type PatchAxis,
  type PatchMetric,
  type PatchSite,
  type Readout,
  type Scope,
  type Site,
} from '@circuitscope/schema';
import type { TaskData } from '../circuits/index.ts';
import { countLayers, findSite, type Graph, GraphRewrite, traceRead } from '../graph/index.ts';
import {
  compile,
  countProducts,
  type Engine,
  makePlan,
  type Prompt,
  type Run,
  type RunOptions,
  readoutTensor,
  runPlan,
} from '../plan/index.ts';

// Activation patching (Vig et al. 2020, Meng et al. 2022) over grids of places: a run of one prompt in which a single place
// holds what it holds on the other. A grid is one sweep, so what lies before a place is computed once for all cells.

export interface PatchGridShape {
  readonly site: PatchSite;
  readonly axes: readonly PatchAxis[];
}

/** Grids that people ask for by name. */
export const patchGrids = {
  resid: [{ site: 'resid_pre', axes: ['layer', 'position'] }],
  block: (['resid_pre', 'attn_out', 'mlp_out'] as const).map((site) => ({ site, axes: ['layer', 'position'] })),
  head: [{ site: 'z', axes: ['layer', 'head'] }],
  'head-position': [{ site: 'z', axes: ['layer', 'position', 'head'] }],
  ports: (['z', 'q', 'k', 'v', 'pattern'] as const).map((site) => ({ site, axes: ['layer', 'head'] })),
  'ports-position': [
    ...(['z', 'q', 'k', 'v'] as const).map((site) => ({ site, axes: ['layer', 'position', 'head'] as const })),
    { site: 'pattern', axes: ['layer', 'query', 'head'] },
  ],
  pattern: [{ site: 'pattern', axes: ['layer', 'head', 'query', 'key'] }],
} as const satisfies { readonly [name: string]: readonly PatchGridShape[] };

/** A grid by name, of the places that a model has: one of attention alone has no MLP to patch. */
export function namedGrids(graph: Graph, name: keyof typeof patchGrids): readonly PatchGridShape[] {
  const known = new Set(graph.nodes.flatMap(({ sites }) => sites));
  return patchGrids[name].filter(({ site }) => known.has(siteOf(site, 0)));
}

export interface PatchOptions extends Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads' | 'onProgress'> {
  readonly grids: readonly PatchGridShape[];
  /** `denoise`: the corrupt prompts run, places come from the clean ones. `noise`: the other way round. */
  readonly direction: 'denoise' | 'noise';
  /** By default `logit_diff`. */
  readonly metric?: PatchMetric;
}

export interface PatchedGrid extends PatchGridShape {
  readonly shape: readonly number[];
  /** Row-major over the axes, then examples: [...shape, example]. */
  readonly perExample: Float64Array;
  /** Means over examples [...shape]. */
  readonly values: Float64Array;
}

export interface PatchResult {
  readonly grids: readonly PatchedGrid[];
  /** The metric of the prompts that are run, and of those patched from; per example. */
  readonly base: Float64Array;
  readonly source: Float64Array;
  /** Multiply-adds of matrix products: computed here, and for a whole forward pass with all logits per cell. */
  readonly work: { readonly multiplyAdds: number; readonly dense: number };
}

/** @throws CircuitscopeError `bad_grid` for axes that a site lacks; `unknown_site` where a model has no such value */
export async function patchSweep(engine: Engine, data: TaskData, options: PatchOptions): Promise<PatchResult> {
  const { graph } = engine;
  const { grids, direction, metric: wanted = 'logit_diff', onProgress, ...run } = options;
  const [base, source] = direction === 'denoise' ? [data.corrupt, data.clean] : [data.clean, data.corrupt];
  const pos = base.tokens[0]?.length ?? 0;
  const laid = grids.map((grid) => layOut(graph, grid, pos));
  const sites = [...new Set(laid.flatMap((grid) => grid.layers))];
  const { metric, runs, extra } = await readingOf(engine, data, wanted, run);
  const read = (from: Run): Float64Array =>
    Float64Array.from(readoutTensor(from, 0).data, wanted === 'prob' ? Math.exp : (value) => value);
  const given = await runPlan(
    engine,
    makePlan(graph, { readouts: [metric, ...sites.map((site) => ({ kind: 'capture' as const, at: { site } }))] }),
    source,
    { ...run, runs },
  );
  const plain = await runPlan(engine, makePlan(graph, { readouts: [metric] }), base, { ...run, runs });
  runs.set('source', given);
  const cells = laid.flatMap((grid) => grid.cells);
  const changing = cells.filter((cell) => cell !== null);
  const sweep = changing.map((at): Intervention[] => [
    { kind: 'write', at, op: 'set', value: { kind: 'run', name: 'source' } },
  ]);
  const swept =
    sweep.length === 0
      ? null
      : await runPlan(engine, makePlan(graph, { readouts: [metric], sweep }), base, {
          ...run,
          runs,
          ...(onProgress ? { onProgress } : {}),
        });
  const baseMetric = read(plain);
  const patched = swept ? read(swept) : new Float64Array(0);
  let next = 0;
  const results = laid.map(({ site, axes, shape, cells: own }): PatchedGrid => {
    const perExample = new Float64Array(own.length * data.examples);
    own.forEach((cell, at) => {
      const row = cell === null ? baseMetric : patched.subarray(next * data.examples, ++next * data.examples);
      perExample.set(row, at * data.examples);
    });
    return { site, axes, shape, perExample, values: meansOf(perExample, data.examples) };
  });
  return {
    grids: results,
    base: baseMetric,
    source: read(given),
    work: {
      multiplyAdds: extra + given.multiplyAdds + plain.multiplyAdds + (swept?.multiplyAdds ?? 0),
      dense: cells.length * denseForward(engine, base),
    },
  };
}

/** What is read of every run, the runs that this needs, and what those took. */
async function readingOf(
  engine: Engine,
  { at, answer, wrong, clean }: TaskData,
  metric: PatchMetric,
  run: Pick<RunOptions, 'signal' | 'memoryBytes' | 'threads'>,
): Promise<{ readonly metric: Readout; readonly runs: Map<string, Run>; readonly extra: number }> {
  const runs = new Map<string, Run>();
  if (metric === 'logit_diff')
    return { metric: { kind: 'logitDiff', at, answer: [...answer], wrong: [...wrong] }, runs, extra: 0 };
  if (metric !== 'kl') return { metric: { kind: 'logProb', at, answer: [...answer] }, runs, extra: 0 };
  const rewrite = new GraphRewrite(engine.graph);
  const { stream } = traceRead(rewrite, engine.graph, { kind: 'logits', port: 'in' });
  const [site = ''] = rewrite.node(stream).sites;
  const plan = makePlan(engine.graph, { readouts: [{ kind: 'capture', at: { site } }] });
  const reference = await runPlan(engine, plan, clean, run);
  runs.set('clean', reference);
  return { metric: { kind: 'kl', at, run: 'clean' }, runs, extra: reference.multiplyAdds };
}

interface LaidGrid extends PatchGridShape {
  readonly shape: readonly number[];
  /** Sites by layer. */
  readonly layers: readonly Site[];
  /** What each cell patches; null where there is nothing to patch, above the diagonal of a causal pattern. */
  readonly cells: readonly (Scope | null)[];
}

/** Which axes a site can have, in any order that begins with the layer. */
const axesOf: { readonly [S in PatchSite]: readonly PatchAxis[] } = {
  resid_pre: ['position'],
  resid_mid: ['position'],
  resid_post: ['position'],
  attn_out: ['position'],
  mlp_out: ['position'],
  z: ['position', 'head'],
  q: ['position', 'head'],
  k: ['position', 'head'],
  v: ['position', 'head'],
  pattern: ['head', 'query', 'key'],
};

function layOut(graph: Graph, { site, axes }: PatchGridShape, pos: number): LaidGrid {
  const [first, ...rest] = axes;
  const known = axesOf[site];
  if (first !== 'layer' || rest.some((axis) => !known.includes(axis)) || new Set(axes).size < axes.length) {
    throw new CircuitscopeError(
      'bad_grid',
      `A grid of ${site} begins with the axis layer and may go on with ${known.join(', ')}; ${axes.join(', ')} is none.`,
      { at: site, expected: `layer, ${known.join(', ')}`, got: axes.join(', ') },
    );
  }
  const layers = Array.from({ length: countLayers(graph) }, (_, layer) => siteOf(site, layer));
  const node = findSite(graph, layers[0] ?? '');
  const heads = Number(site === 'pattern' ? node.shape[1] : node.shape[2]);
  const causal = graph.nodes.every(({ op, attrs }) => op !== 'scores' || attrs.causal === true);
  const sizes = { layer: layers.length, position: pos, head: heads, query: pos, key: pos };
  const shape = axes.map((axis) => sizes[axis]);
  const cells = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, flat): Scope | null => {
    let left = flat;
    const at: Partial<Record<PatchAxis, number>> = {};
    for (const [axis, size] of axes.map((name, i) => [name, shape[i] ?? 1] as const).reverse()) {
      at[axis] = left % size;
      left = Math.floor(left / size);
    }
    const { layer = 0, position, head, query, key } = at;
    if (causal && key !== undefined && query !== undefined && key > query) return null;
    const row = position ?? query;
    return {
      site: layers[layer] ?? '',
      ...(row === undefined ? {} : { at: { kind: 'positions', positions: [row] } }),
      ...(key === undefined ? {} : { key: { kind: 'positions', positions: [key] } }),
      ...(head === undefined ? {} : { head: [head] }),
    };
  });
  return { site, axes, shape, layers, cells };
}

function siteOf(site: PatchSite, layer: number): Site {
  const inAttention = site === 'z' || site === 'q' || site === 'k' || site === 'v' || site === 'pattern';
  return `blocks.${layer}.${inAttention ? 'attn.' : ''}hook_${site}`;
}

function meansOf(perExample: Float64Array, examples: number): Float64Array {
  return Float64Array.from({ length: perExample.length / examples }, (_, cell) => {
    let sum = 0;
    for (let example = 0; example < examples; example++) sum += perExample[cell * examples + example] ?? 0;
    return sum / examples;
  });
}

/** Multiply-adds of one forward pass with logits at every position. */
function denseForward({ graph, weights }: Engine, prompt: Prompt): number {
  const readouts = [{ kind: 'capture' as const, at: { site: 'logits' } }];
  const { program, bind } = compile({ graph, variants: [[]], readouts });
  const [batch, pos] = [prompt.tokens.length, prompt.tokens[0]?.length ?? 0];
  const { sizes } = bind({ prompt, batch, pos, variants: [0], runs: new Map(), artefacts: new Map() });
  return countProducts(program, sizes, weights);
}

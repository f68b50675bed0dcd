import {
  CircuitscopeError,
  type GradientTarget,
  type Intervention,
  type Readout,
  type Site,
} from '@circuitscope/schema';
import { findSite, type Graph, listSites } from '../graph/index.ts';
import {
  type Engine,
  makePlan,
  type Prompt,
  type RunOptions,
  readoutTensor,
  readWeight,
  runPlan,
} from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';

// Attribution in the model that is left when attention patterns, the scales of norms and activations are held at the
// values of one run: what remains between a source and a target is linear, so a gradient times a value is exact there.

/** A number that rows are made of: a logit difference, or entries of a site, such as one pre-activation. */
export type RowTarget = Exclude<GradientTarget, { kind: 'loss' }>;

export type SourceKind = 'embed' | 'pos_embed' | 'head' | 'neuron' | 'mlp' | 'latent' | 'error';

/** Sources that one site holds. */
export interface SourceBlock {
  readonly kind: SourceKind;
  readonly site: Site;
  /** [pos], or [pos, head], [pos, neuron], [pos, latent]: a source each. */
  readonly shape: readonly number[];
  /** [target, …shape] A[s→t]: what source s adds to target t. */
  readonly weights: Float64Array;
}

export interface AttributionRows {
  readonly sources: readonly SourceBlock[];
  /** What biases add to each target, through all that lies between: by name of the weight. */
  readonly biases: readonly { readonly param: string; readonly weights: Float64Array }[];
  /** [target] the targets' own values. */
  readonly values: Float64Array;
  /** [target] all sources and biases together: equal to `values` but for rounding. */
  readonly sums: Float64Array;
}

export interface RowOptions extends Omit<RunOptions, 'runs' | 'checkpoint' | 'onProgress'> {
  /** Heads as `paths`, that carry what they read by their patterns, or as `sources`, which end every path. */
  readonly heads?: 'paths' | 'sources';
  /** Activations of single neurons, or MLPs whole. Where a dictionary stands in an MLP's place its latents are sources. */
  readonly mlps?: 'neurons' | 'whole';
}

/** Gradients that are held at once, in bytes, or an eighth of `memoryBytes`: what they are made of lies beside them. */
const HELD_BYTES = 64 * 2 ** 20;

/**
 * Rows of an attribution graph (Ameisen et al. 2025): for one prompt, A[s→t] = a_s · ∂t/∂a_s with patterns, scales of norms
 * and activations detached. A source that reads through another source counts for what it adds directly. Rows and biases
 * add up to the target, whatever is on the way. One backward serves all targets that fit the budget.
 *
 * @throws CircuitscopeError `bad_prompt` for more than one prompt, `no_targets`, `unknown_site`
 */
export async function attributionRows(
  engine: Engine,
  prompt: Prompt,
  targets: readonly RowTarget[],
  { heads = 'paths', mlps = 'neurons', ...options }: RowOptions = {},
): Promise<AttributionRows> {
  const { graph } = engine;
  if (prompt.tokens.length !== 1) {
    throw new CircuitscopeError(
      'bad_prompt',
      `Attribution rows are of one prompt, as biases are shared among prompts; got ${prompt.tokens.length}.`,
      { expected: '1', got: String(prompt.tokens.length) },
    );
  }
  if (targets.length === 0)
    throw new CircuitscopeError('no_targets', 'Name at least one target that rows should be made for.');
  const { detached, sources, biases } = frozenModel(graph, targets, heads, mlps);
  const own = await valuesOf(engine, prompt, targets, sources, options);
  const rowBytes = 4 * (own.activations.reduce((sum, { length }) => sum + length, 0) + paramSize(graph, biases));
  const budget = Math.min((options.memoryBytes ?? Number.POSITIVE_INFINITY) / 8, HELD_BYTES);
  const together = Math.max(1, Math.floor(budget / rowBytes));
  const interventions = detached.map((site): Intervention => ({ kind: 'detach', at: { site } }));
  const blocks = sources.map(({ kind, site, sumsOver }, at): SourceBlock => {
    const shape = sourceShape(graph, site, sumsOver, own.activations[at]?.length ?? 0);
    return { kind, site, shape, weights: new Float64Array(targets.length * shape.reduce((a, b) => a * b, 1)) };
  });
  const constants = biases.map((param) => ({ param, weights: new Float64Array(targets.length) }));
  const values = [...own.activations, ...biases.map((param) => readWeight(engine.weights, param).data)];
  for (let from = 0; from < targets.length; from += together) {
    const of = targets.slice(from, from + together);
    const wanted = [
      ...sources.map(({ site }) => ({ kind: 'site' as const, at: { site } })),
      ...biases.map((name) => ({ kind: 'param' as const, name })),
    ];
    const plan = makePlan(graph, {
      interventions,
      readouts: wanted.map((wrt): Readout => ({ kind: 'gradient', of, wrt })),
    });
    const { results } = await runPlan(engine, plan, prompt, options);
    const gradients = results.map((result) => (result.kind === 'gradient' ? result.tensor.data : new Float64Array(0)));
    const rows = { from, count: of.length };
    [...blocks, ...constants].forEach(({ weights }, at) => {
      const size = weights.length / targets.length;
      addRows({ weights, size }, rows, gradients[at], values[at]);
    });
  }
  const sums = new Float64Array(targets.length);
  for (const { weights } of [...blocks, ...constants]) {
    const size = weights.length / targets.length;
    weights.forEach((value, at) => {
      const target = Math.floor(at / size);
      sums[target] = (sums[target] as number) + value;
    });
  }
  return { sources: blocks, biases: constants, values: own.targets, sums };
}

interface Source {
  readonly kind: SourceKind;
  readonly site: Site;
  /** A source is a vector along the last axis; else each entry is one. */
  readonly sumsOver: boolean;
}

/** Sites where gradients end, and what of sources and biases the targets can still see. */
function frozenModel(graph: Graph, targets: readonly RowTarget[], heads: string, mlps: string) {
  const sites = listSites(graph).map(({ site }) => site);
  const replaced = new Set(
    sites.flatMap((site) => /^(\w+\.\d+)\.hook_mlp_out\.hook_sae_acts_post$/.exec(site)?.[1] ?? []),
  );
  const sourceAt = (site: Site): Source[] => {
    if (/^(?:encoder\.|decoder\.|embed\.)?hook_(?:token_type_)?embed$/.test(site))
      return [{ kind: 'embed', site, sumsOver: true }];
    if (/^(?:embed\.)?hook_pos_embed$/.test(site)) return [{ kind: 'pos_embed', site, sumsOver: true }];
    // The head for masked tokens has an activation of its own, which no block's setting speaks of.
    if (site === 'mlm_head.hook_post') return [{ kind: 'neuron', site, sumsOver: false }];
    if (site.endsWith('.hook_sae_acts_post')) return [{ kind: 'latent', site, sumsOver: false }];
    if (site.endsWith('.hook_sae_error')) return [{ kind: 'error', site, sumsOver: true }];
    if (/\.(?:cross_)?attn\.hook_z$/.test(site))
      return heads === 'sources' ? [{ kind: 'head', site, sumsOver: true }] : [];
    const mlp = /^((?:blocks|encoder|decoder)\.\d+)\.(mlp\.hook_post|hook_mlp_out)$/.exec(site);
    if (!mlp || replaced.has(mlp[1] ?? '')) return [];
    if (mlp[2] === 'mlp.hook_post') return mlps === 'neurons' ? [{ kind: 'neuron', site, sumsOver: false }] : [];
    return mlps === 'whole' ? [{ kind: 'mlp', site, sumsOver: true }] : [];
  };
  const all = sites.flatMap(sourceAt);
  const held = sites.filter(
    (site) => /\.hook_(?:scale|pattern)$/.test(site) || /(?:\.mlp|^mlm_head)\.hook_post$/.test(site),
  );
  const ends = [...new Set([...held, ...all.map(({ site }) => site)])];
  const endNodes = new Set(ends.map((site) => findSite(graph, site).id));
  const seen = new Set<number>();
  const params = new Set<string>();
  const waiting = targets.map((target) => findSite(graph, target.kind === 'site' ? target.at.site : 'logits').id);
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    const node = graph.nodes[id];
    if (!node || endNodes.has(id)) continue;
    for (const name of node.params) if (name !== null) params.add(name);
    waiting.push(...node.in.filter((input) => input >= 0));
  }
  const visible = (site: Site): boolean => seen.has(findSite(graph, site).id);
  return {
    // Only what lies on a way to a target can be detached where a plan is checked for changes that do nothing.
    detached: ends.filter((site) => visible(site)),
    sources: all.filter(({ site }) => visible(site)),
    // A bias is a vector that is added; gains are part of the linear map.
    biases: [...params].filter((name) => isBias(graph, name)),
  };
}

function isBias(graph: Graph, name: string): boolean {
  return /\.b(?:_\w+)?$/.test(name) && graph.params.find((param) => param.name === name)?.shape.length === 1;
}

function paramSize({ params }: Graph, names: readonly string[]): number {
  const sizes = new Map(params.map(({ name, shape }) => [name, shape.reduce((a, b) => a * b, 1)]));
  return names.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
}

function sourceShape(graph: Graph, site: Site, sumsOver: boolean, entries: number): readonly number[] {
  const { shape } = findSite(graph, site);
  const inner = shape.slice(2).map(Number);
  const width = inner.reduce((a, b) => a * b, 1);
  return [entries / width, ...(sumsOver ? inner.slice(0, -1) : inner)];
}

/** Own values of sources, whole sites of the one example, and of targets. */
async function valuesOf(
  engine: Engine,
  prompt: Prompt,
  targets: readonly RowTarget[],
  sources: readonly Source[],
  options: Omit<RunOptions, 'onProgress'>,
): Promise<{ readonly activations: readonly Floats[]; readonly targets: Float64Array }> {
  const plan = makePlan(engine.graph, {
    readouts: [
      ...sources.map(({ site }): Readout => ({ kind: 'capture', at: { site } })),
      ...targets.map((target): Readout => {
        if (target.kind === 'site') return { kind: 'capture', at: target.at };
        const { at, answer, wrong } = target;
        return { kind: 'logitDiff', at, answer, wrong };
      }),
    ],
  });
  const run = await runPlan(engine, plan, prompt, options);
  const data = run.results.map((_, at) => readoutTensor(run, at).data);
  const values = targets.map((target, at) => {
    const entries = data[sources.length + at] ?? new Float64Array(0);
    if (target.kind !== 'site' || target.direction === undefined)
      return Float64Array.from(entries).reduce((a, b) => a + b, 0);
    const direction = options.artefacts?.get(target.direction)?.data ?? new Float64Array(0);
    const { unit } = target.at;
    const width = unit?.length ?? direction.length;
    let sum = 0;
    entries.forEach((value, entry) => {
      sum += value * (direction[unit?.[entry % width] ?? entry % width] ?? 0);
    });
    return sum;
  });
  return { activations: data.slice(0, sources.length), targets: Float64Array.from(values) };
}

/** Gradient times value, summed to the sources of each row. */
function addRows(
  { weights, size }: { readonly weights: Float64Array; readonly size: number },
  rows: { readonly from: number; readonly count: number },
  gradient: Floats = new Float64Array(0),
  values: Floats = new Float64Array(0),
): void {
  const width = values.length;
  const each = width / size;
  for (let row = 0; row < rows.count; row++) {
    for (let at = 0; at < width; at++) {
      const place = (rows.from + row) * size + Math.floor(at / each);
      weights[place] = (weights[place] as number) + (gradient[row * width + at] as number) * (values[at] as number);
    }
  }
}

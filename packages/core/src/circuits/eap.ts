import { CircuitscopeError, type Intervention, type Site, unitLabel } from '@circuitscope/schema';
import { type Edge, readerSite } from '../graph/index.ts';
import { type Engine, makePlan, runPlan } from '../plan/index.ts';
import { digestTensor, type Floats, type Tensor } from '../tensor/index.ts';
import { type EdgeScores, edgeScores, type ScoreOptions } from './edge-scores.ts';
import { metricTarget } from './metric-target.ts';
import { type SiteChanges, siteChanges } from './site-changes.ts';
import { someExamples } from './some-examples.ts';
import type { TaskData } from './task-data.ts';
import { changeOfWrites, sitesOfUnit } from './unit-writes.ts';

export interface EapOptions extends ScoreOptions {
  /**
   * Integrated gradients: gradients with the input at ã + (k / steps)(a − ã), averaged over k = 1 … steps (`paper`) or
   * k = 0 … steps − 1 (`code`, as the authors' program sums). Left out: EAP, the gradient at the clean prompt.
   */
  readonly integrate?: { readonly steps: number; readonly sum: 'paper' | 'code' };
}

/** Gradients that are held at once, in bytes, or an eighth of `memoryBytes`: what they are made of lies beside them. */
const HELD_BYTES = 64 * 2 ** 20;

/**
 * Edge attribution patching (Syed et al. 2023): the effect of an edge u→v to first order, as whole minus cut,
 * −Σ (ã_u − a_u)·∂metric/∂x_v over positions and width, averaged over examples; x_v is what the reader reads before its norm.
 * The authors' tables have the other sign. With `integrate` EAP-IG (Hanna et al. 2024): the gradient is an average along a
 * straight way of the input; the change of u stays that between the two ends. One forward and one backward a step serve all
 * edges, whatever their number.
 *
 * @throws CircuitscopeError `no_gradient` for accuracy, `bad_steps`, `unsupported` where heads do not write apart
 */
export async function eapScores(
  engine: Engine,
  data: TaskData,
  edges: readonly Edge[],
  { ablation, metric, integrate, ...options }: EapOptions,
): Promise<EdgeScores> {
  const shares = stepsOf(integrate);
  metricTarget(metric, data);
  const writers = new Map(edges.map(({ from }) => [unitLabel(from), from]));
  const unitSites = [...new Set([...writers.values()].flatMap((unit) => sitesOfUnit(engine.graph, unit)))];
  const inputSites = sitesOfUnit(engine.graph, { kind: 'input' });
  const changes = await siteChanges(engine, data, ablation, [...new Set([...unitSites, ...inputSites])], options);
  const table = groupEdges(edges);
  const sums = new Float64Array(edges.length);
  const positions = data.clean.tokens[0]?.length ?? 0;
  const rowBytes = 4 * positions * gradientWidth(engine, edges);
  const rows = Math.max(
    1,
    Math.floor(Math.min((options.memoryBytes ?? Number.POSITIVE_INFINITY) / 8, HELD_BYTES) / rowBytes),
  );
  const steps = Math.min(shares.length, rows);
  const together = Math.max(1, Math.floor(rows / steps));
  for (let from = 0; from < data.examples; from += together) {
    const to = Math.min(from + together, data.examples);
    let gradients: ReadonlyMap<Site, Floats> = new Map();
    for (let step = 0; step < shares.length; step += steps) {
      const some = shares.slice(step, step + steps);
      const found = await gradientsOf(engine, data, { from, to }, metric, table.readers, changes, some, options);
      gradients = step === 0 ? found : added(gradients, found);
      const done = (from + ((to - from) * (step + some.length)) / shares.length) / data.examples;
      options.onProgress?.(0.95 * done);
    }
    addProducts(engine, changes, table, gradients, { from: from * positions, to: to * positions }, sums);
  }
  options.onProgress?.(1);
  return edgeScores({
    method: integrate ? `EAP-IG, ${integrate.steps} steps, ${integrate.sum} sum` : 'EAP',
    edges,
    // 0 − x: the sums are the change that the cut makes; whole minus cut is the project's sign, and 0 stays 0.
    scores: sums.map((sum) => 0 - sum / (shares.length * data.examples)),
    sign: 'clean_minus_cut',
    ablation,
    metric,
    forwards: changes.forwards + shares.length,
    backwards: shares.length,
  });
}

/** Coefficients of ã − a at the input, one a step. */
function stepsOf(integrate: EapOptions['integrate']): number[] {
  if (!integrate) return [0];
  const { steps, sum } = integrate;
  if (!Number.isInteger(steps) || steps < 1) {
    throw new CircuitscopeError('bad_steps', 'EAP-IG needs a whole number of steps, at least one.', {
      expected: 'at least 1',
      got: String(steps),
    });
  }
  const first = sum === 'paper' ? 1 : 0;
  return Array.from({ length: steps }, (_, at) => 1 - (at + first) / steps);
}

interface Place {
  readonly edge: number;
  readonly writer: number;
  readonly reader: number;
}

interface EdgeTable {
  /** Virtual sites of readers, each with a reader that reads there. */
  readonly readers: readonly Site[];
  /** By the group of writers that share a site, then by the site of the reader. */
  readonly groups: readonly { readonly unit: Edge['from']; readonly readers: ReadonlyMap<Site, readonly Place[]> }[];
}

function groupEdges(edges: readonly Edge[]): EdgeTable {
  const groups = new Map<string, { unit: Edge['from']; readers: Map<Site, Place[]> }>();
  const readers = new Set<Site>();
  edges.forEach(({ from, to }, edge) => {
    const site = readerSite(to);
    readers.add(site);
    const key = from.kind === 'head' ? `heads ${from.layer}` : unitLabel(from);
    const group = groups.get(key) ?? { unit: from, readers: new Map<Site, Place[]>() };
    groups.set(key, group);
    const places = group.readers.get(site) ?? [];
    group.readers.set(site, places);
    places.push({
      edge,
      writer: from.kind === 'head' ? from.head : 0,
      reader: to.kind === 'head' ? to.head : 0,
    });
  });
  return { readers: [...readers], groups: [...groups.values()] };
}

/** Numbers a position of all gradients: readers, times the width of the stream; heads that nobody asks for come along. */
function gradientWidth({ graph }: Engine, edges: readonly Edge[]): number {
  const heads = new Map<Site, number>();
  for (const { to } of edges) {
    const product = to.kind === 'head' ? `blocks.${to.layer}.attn.hook_${to.port}` : '';
    const node = graph.nodes.find(({ sites }) => product !== '' && sites.includes(product));
    heads.set(readerSite(to), Number(node?.shape[2] ?? 1));
  }
  const stream = graph.nodes.find(({ sites }) => sites.includes('hook_embed'));
  return [...heads.values()].reduce((a, b) => a + b, 0) * Number(stream?.shape[2] ?? 1);
}

/** ∂metric/∂x of every reader, [token, head or 1, model], added up over steps. */
async function gradientsOf(
  engine: Engine,
  data: TaskData,
  { from, to }: { readonly from: number; readonly to: number },
  metric: EapOptions['metric'],
  readers: readonly Site[],
  changes: SiteChanges,
  shares: readonly number[],
  { signal, memoryBytes, threads }: Omit<EapOptions, 'ablation' | 'metric'>,
): Promise<ReadonlyMap<Site, Floats>> {
  const artefacts = new Map<`sha256:${string}`, Tensor>();
  const moves = (share: number): Intervention[] =>
    [...inputs].map(([site, hash]) => ({
      kind: 'write',
      at: { site },
      op: 'add',
      value: { kind: 'artefact', hash },
      coefficient: share,
    }));
  const inputs = new Map<Site, `sha256:${string}`>();
  const still = shares.every((share) => share === 0);
  for (const site of still ? [] : sitesOfUnit(engine.graph, { kind: 'input' })) {
    const change = changes.sites.get(site);
    // Positions that stay where they are need no write.
    if (!change || change.change.every((value) => value === 0)) continue;
    const size = change.change.length / data.examples;
    const tensor = {
      shape: [to - from, ...change.shape.slice(1)],
      data: change.change.slice(from * size, to * size),
    };
    const hash = digestTensor(tensor);
    inputs.set(site, hash);
    artefacts.set(hash, tensor);
  }
  const target = metricTarget(metric, data, from, to);
  const plan = makePlan(engine.graph, {
    readouts: readers.map((site) => ({ kind: 'gradient', of: [target], wrt: { kind: 'site', at: { site } } })),
    sweep: shares.map(moves),
  });
  const run = await runPlan(engine, plan, someExamples(data.clean, from, to), {
    artefacts,
    ...(signal ? { signal } : {}),
    ...(memoryBytes ? { memoryBytes } : {}),
    ...(threads ? { threads } : {}),
  });
  return new Map(
    readers.map((site, at) => {
      const result = run.results[at];
      const all = result?.kind === 'gradient' ? result.tensor.data : new Float64Array(0);
      return [site, overVariants(all, shares.length)];
    }),
  );
}

function overVariants(all: Floats, variants: number): Floats {
  const size = all.length / variants;
  const sum = all.subarray(0, size);
  for (let variant = 1; variant < variants; variant++)
    for (let at = 0; at < size; at++) sum[at] = (sum[at] as number) + (all[variant * size + at] as number);
  return sum;
}

function added(to: ReadonlyMap<Site, Floats>, more: ReadonlyMap<Site, Floats>): ReadonlyMap<Site, Floats> {
  for (const [site, sum] of to) {
    const values = more.get(site);
    if (values) for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] as number) + (values[at] as number);
  }
  return to;
}

/** ΔᵀG: every writer's change times every reader's gradient. Writes are made for one layer at a time, from z. */
function addProducts(
  engine: Engine,
  changes: SiteChanges,
  { groups }: EdgeTable,
  gradients: ReadonlyMap<Site, Floats>,
  tokens: { readonly from: number; readonly to: number },
  sums: Float64Array,
): void {
  const count = tokens.to - tokens.from;
  for (const { unit, readers } of groups) {
    const { heads, model, change } = changeOfWrites(engine, changes, unit, tokens);
    for (const [site, places] of readers) {
      const gradient = gradients.get(site);
      if (!gradient) continue;
      const readerHeads = gradient.length / (count * model);
      // A token at a time: its changes and gradients are met by all pairs while they are near.
      for (let token = 0; token < count; token++) {
        for (const { edge, writer, reader } of places) {
          const a = (token * heads + writer) * model;
          const b = (token * readerHeads + reader) * model;
          sums[edge] = (sums[edge] as number) + product(change, a, gradient, b, model);
        }
      }
    }
  }
}

function product(x: Floats, a: number, y: Floats, b: number, length: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let at = 0;
  for (; at + 3 < length; at += 4) {
    s0 += (x[a + at] as number) * (y[b + at] as number);
    s1 += (x[a + at + 1] as number) * (y[b + at + 1] as number);
    s2 += (x[a + at + 2] as number) * (y[b + at + 2] as number);
    s3 += (x[a + at + 3] as number) * (y[b + at + 3] as number);
  }
  for (; at < length; at++) s0 += (x[a + at] as number) * (y[b + at] as number);
  return s0 + s1 + (s2 + s3);
}

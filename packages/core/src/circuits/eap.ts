import { CircuitscopeError, type Intervention, type Site, unitLabel } from '@circuitscope/schema';
import { type Edge, readerSite } from '../graph/index.ts';
import { type Engine, makePlan, runPlan } from '../plan/index.ts';
import { digestTensor, type Tensor } from '../tensor/index.ts';
import { type EdgeScores, edgeScores, type ScoreOptions } from './edge-scores.ts';
import { metricTarget } from './metric-target.ts';
import { type SiteChanges, siteChanges } from './site-changes.ts';
import { sitesOfUnit } from './sites-of-unit.ts';
import { someExamples } from './some-examples.ts';
import type { TaskData } from './task-data.ts';

export interface EapOptions extends ScoreOptions {
  /**
   * Integrated gradients: gradients with the input at ã + (k / steps)(a − ã), averaged over k = 1 … steps (`paper`) or
   * k = 0 … steps − 1 (`code`, as the authors' program sums). Left out: EAP, the gradient at the clean prompt.
   */
  readonly integrate?: { readonly steps: number; readonly sum: 'paper' | 'code' };
}

/** What one pass may hold, in bytes, where nothing else is said; a quarter of `memoryBytes` else. */
const HELD_BYTES = 256 * 2 ** 20;

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
  const table = groupEdges(engine, edges);
  const sums = new Float64Array(edges.length);
  const rows = rowsAtOnce(engine, data, unitSites, options);
  const steps = Math.min(shares.length, rows);
  const together = Math.max(1, Math.floor(rows / steps));
  for (let from = 0; from < data.examples; from += together) {
    const to = Math.min(from + together, data.examples);
    for (let step = 0; step < shares.length; step += steps) {
      const some = shares.slice(step, step + steps);
      await addProducts(engine, data, { from, to }, metric, table, changes, some, sums, options);
      const done = (from + ((to - from) * (step + some.length)) / shares.length) / data.examples;
      options.onProgress?.(done);
    }
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
  /** Where its writer stands among all vectors of the sites that its reader is multiplied with. */
  readonly writer: number;
  readonly reader: number;
}

/** What is read at one virtual site, and which sites write it. */
interface Reader {
  readonly site: Site;
  readonly writers: readonly Site[];
  readonly places: readonly Place[];
}

function groupEdges({ graph }: Engine, edges: readonly Edge[]): readonly Reader[] {
  const heads = new Map<Site, number>();
  for (const { sites, shape } of graph.nodes)
    for (const site of sites) heads.set(site, shape.length === 4 ? Number(shape[2]) : 1);
  const readers = new Map<Site, { first: Map<Site, number>; count: number; places: Place[] }>();
  edges.forEach(({ from, to }, edge) => {
    const site = readerSite(to);
    const reader = readers.get(site) ?? { first: new Map<Site, number>(), count: 0, places: [] };
    readers.set(site, reader);
    for (const writes of sitesOfUnit(graph, from)) {
      const first = reader.first.get(writes) ?? reader.count;
      if (first === reader.count) {
        reader.first.set(writes, first);
        reader.count += heads.get(writes) ?? 1;
      }
      reader.places.push({
        edge,
        writer: first + (from.kind === 'head' ? from.head : 0),
        reader: to.kind === 'head' ? to.head : 0,
      });
    }
  });
  return [...readers].map(([site, { first, places }]) => ({ site, writers: [...first.keys()], places }));
}

/**
 * Rows of one pass: [step, example]. A row holds the changes of all writers, and what a forward keeps for its backward,
 * which is about twice the width of the residual stream at each of its parts.
 */
function rowsAtOnce(
  { graph }: Engine,
  data: TaskData,
  writers: readonly Site[],
  { memoryBytes }: Pick<EapOptions, 'memoryBytes'>,
): number {
  const stream = Number(graph.nodes.find(({ sites }) => sites.includes('hook_embed'))?.shape[2] ?? 1);
  const wide = graph.nodes.filter(({ sites }) => sites.some((site) => writers.includes(site)));
  const vectors = wide.reduce((sum, { shape }) => sum + (shape.length === 4 ? Number(shape[2]) : 1), 0);
  const positions = data.clean.tokens[0]?.length ?? 1;
  const held = memoryBytes === undefined ? HELD_BYTES : Math.min(memoryBytes / 4, HELD_BYTES);
  return Math.max(1, Math.floor(held / (4 * positions * stream * (vectors + 16 * wide.length))));
}

/** Adds Σ over steps and examples of each writer's change times each reader's gradient. */
async function addProducts(
  engine: Engine,
  data: TaskData,
  { from, to }: { readonly from: number; readonly to: number },
  metric: EapOptions['metric'],
  readers: readonly Reader[],
  changes: SiteChanges,
  shares: readonly number[],
  sums: Float64Array,
  { signal, memoryBytes, threads }: Omit<EapOptions, 'ablation' | 'metric'>,
): Promise<void> {
  const artefacts = new Map<`sha256:${string}`, Tensor>();
  const named = new Map<Site, `sha256:${string}`>();
  const changeOf = (site: Site): `sha256:${string}` => {
    const known = named.get(site);
    if (known) return known;
    const whole = changes.sites.get(site);
    if (!whole) throw new Error(`${site} was not read`);
    const size = whole.change.length / data.examples;
    const tensor = { shape: [to - from, ...whole.shape.slice(1)], data: whole.change.subarray(from * size, to * size) };
    const hash = digestTensor(tensor);
    named.set(site, hash);
    artefacts.set(hash, tensor);
    return hash;
  };
  // Positions that stay where they are need no write.
  const moving = shares.every((share) => share === 0)
    ? []
    : sitesOfUnit(engine.graph, { kind: 'input' }).filter((site) =>
        changes.sites.get(site)?.change.some((value) => value !== 0),
      );
  const moves = (share: number): Intervention[] =>
    moving.map((site) => ({
      kind: 'write',
      at: { site },
      op: 'add',
      value: { kind: 'artefact', hash: changeOf(site) },
      coefficient: share,
    }));
  const target = metricTarget(metric, data, from, to);
  const plan = makePlan(engine.graph, {
    readouts: readers.map(({ site, writers }) => ({
      kind: 'gradient',
      of: [target],
      wrt: { kind: 'edges', at: { site }, from: writers.map((writer) => ({ site: writer, change: changeOf(writer) })) },
    })),
    sweep: shares.map(moves),
  });
  const run = await runPlan(engine, plan, someExamples(data.clean, from, to), {
    artefacts,
    ...(signal ? { signal } : {}),
    ...(memoryBytes ? { memoryBytes } : {}),
    ...(threads ? { threads } : {}),
  });
  readers.forEach(({ places }, at) => {
    const result = run.results[at];
    if (result?.kind !== 'gradient') throw new Error('the run gave no gradient');
    const { shape, data: products } = result.tensor;
    // [variant, target, example, writer, head of the reader]
    const [writers = 0, heads = 0] = shape.slice(-2);
    for (let row = 0; row < products.length; row += writers * heads) {
      for (const { edge, writer, reader } of places)
        sums[edge] = (sums[edge] as number) + (products[row + writer * heads + reader] as number);
    }
  });
}

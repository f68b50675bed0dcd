import { CircuitscopeError, type Intervention, type Plan, type Readout } from '@circuitscope/schema';
import { type Graph, GraphRewrite, type GraphWithPast, withPast } from '../graph/index.ts';
import type { Floats } from '../tensor/index.ts';
import { type BindContext, resolvePositions } from './bind.ts';
import { graphInput } from './compile.ts';
import { countProducts } from './count-products.ts';
import type { edgeStarts } from './edge-start.ts';
import { lower } from './lower.ts';
import { boundShape, programBytes, type Sizes } from './program.ts';
import type { Engine, RunOptions } from './run-plan.ts';

// What all variants of a sweep share. Nothing before the first change differs, neither in layers nor, where no query reads
// later keys, in positions: both are taken from one run without changes. Every kernel gives a row the same bits whatever is
// computed beside it, so this changes no bit either.

export interface SweepGraph {
  readonly graph: Graph;
  /** Keys and values that later positions read; none where positions must be run together. */
  readonly state: GraphWithPast['state'];
}

/** What a run without changes gave at some nodes of a sweep's graph, by id. */
export interface SweepBase {
  readonly values: ReadonlyMap<number, Floats>;
  readonly multiplyAdds: number;
}

/** Values that are kept for a sweep take at most this much. */
const BASE_BYTES = 1 << 28;
/** Variants that first change later positions are run together until they have so many rows. */
const ROWS = 192;

/** Readouts of chosen positions, which need no others. */
type PlacedReadout = Extract<Readout, { kind: 'logitDiff' | 'topK' | 'entropy' | 'logProb' | 'rank' | 'kl' }>;
/** Changes that say where they are. */
type PlacedChange = Extract<Intervention, { kind: 'write' | 'direction' | 'freeze' }>;

const placedReadouts: ReadonlySet<string> = new Set(['logitDiff', 'topK', 'entropy', 'logProb', 'rank', 'kl']);
const placedChanges: ReadonlySet<string> = new Set(['write', 'direction', 'freeze']);
const sharingChanges: ReadonlySet<string> = new Set([...placedChanges, 'edge', 'weight']);

const isPlaced = (readout: Readout): readout is PlacedReadout => placedReadouts.has(readout.kind);
const isPlacedChange = (change: Intervention): change is PlacedChange => placedChanges.has(change.kind);

/**
 * The graph that a sweep runs on if it can share. Positions are shared where all readouts name theirs and all changes do, or
 * are edges that carry what another prompt gave; other edges and edited weights change every position, and share layers.
 */
export function sharedGraph(
  graph: Graph,
  plan: Plan,
  variants: readonly (readonly Intervention[])[],
  { prompt, source }: BindContext,
): SweepGraph | null {
  const changes = variants.flat();
  const { readouts } = plan;
  if (variants.length < 2 || changes.some(({ kind }) => !sharingChanges.has(kind))) return null;
  if (readouts.some(({ kind }) => kind === 'gradient' || kind === 'latents')) return null;
  if (prompt.grows || prompt.images || source !== undefined) return null;
  const placed = readouts.every((one) => isPlaced(one) && one.at.kind !== 'all' && one.at.kind !== 'generated');
  const inPlaces = (change: Intervention): boolean =>
    isPlacedChange(change) || (change.kind === 'edge' && change.value.kind === 'run');
  if (!placed || !changes.every(inPlaces)) return { graph, state: [] };
  try {
    return withPast(graph);
  } catch (error) {
    if (error instanceof CircuitscopeError && error.code === 'no_cache') return { graph, state: [] };
    throw error;
  }
}

/** The first position at which a variant differs from the run without changes, or at which it is read. */
export function firstPosition(
  changes: readonly Intervention[],
  { readouts }: Plan,
  context: BindContext,
  startOf: ReturnType<typeof edgeStarts>,
): number {
  const edges = changes.filter((change) => change.kind === 'edge');
  const places = changes
    .filter(({ kind }) => kind !== 'edge')
    .map((change) => (isPlacedChange(change) ? change.at.at : undefined));
  const reads = readouts.map((readout) => (isPlaced(readout) ? readout.at : undefined));
  let first = edges.reduce((least, edge) => Math.min(least, startOf(edge)), context.pos);
  for (const at of [...places, ...reads]) {
    if (!at) return 0;
    for (let example = 0; example < context.batch; example++)
      first = Math.min(first, ...resolvePositions(at, example, context));
  }
  return first;
}

export interface Bucket {
  /** Positions before it are taken from the run without changes. */
  readonly past: number;
  /** Indices of variants. */
  readonly members: readonly number[];
}

/** Variants whose first positions are near each other, the latest first. */
export function bucketsOf(firsts: readonly number[], batch: number, pos: number): Bucket[] {
  const order = firsts.map((_, index) => index).sort((a, b) => (firsts[b] ?? 0) - (firsts[a] ?? 0) || a - b);
  const buckets: { past: number; members: number[] }[] = [];
  let open: { past: number; members: number[] } | null = null;
  for (const index of order) {
    const past = firsts[index] ?? 0;
    const full = open !== null && open.members.length * batch * (pos - open.past) >= ROWS && past < open.past;
    if (open === null || full) {
      open = { past, members: [] };
      buckets.push(open);
    }
    open.past = past;
    open.members.push(index);
  }
  return buckets;
}

/**
 * Values of nodes in a run without changes.
 * @returns null where they would take too much memory; a sweep then computes them where it needs them
 */
export async function runBase(
  { executor, weights }: Engine,
  { graph, state }: SweepGraph,
  nodes: readonly number[],
  context: BindContext,
  options: Pick<RunOptions, 'signal' | 'threads' | 'memoryBytes'>,
): Promise<SweepBase | null> {
  const { batch, pos, prompt } = context;
  const sizes: Sizes = { batch, rows: batch, pos, ...(state.length > 0 ? { past: 0, keys: pos } : {}) };
  const ids = [...new Set([...nodes, ...state.map(({ joined }) => graph.nodes[joined]?.in[1] ?? -1)])].sort(
    (a, b) => a - b,
  );
  const entries = ids.reduce(
    (sum, id) => sum + boundShape(graph.nodes[id]?.shape ?? [], sizes).reduce((a, b) => a * b, 1),
    0,
  );
  if (4 * entries > Math.min(BASE_BYTES, (options.memoryBytes ?? BASE_BYTES) / 2)) return null;
  const rewrite = new GraphRewrite(graph);
  const outputs = ids.map((node) => ({ name: `n${node}`, node }));
  const { program, inputs } = lower(rewrite, outputs, { variants: 1 });
  if (programBytes(program, sizes) > (options.memoryBytes ?? Number.POSITIVE_INFINITY)) return null;
  const given: { [name: string]: Floats | Int32Array } = {};
  const whole = { ...context, prompt, past: emptyPast(state) };
  for (const { name, node } of inputs) given[name] = graphInput(rewrite.node(node), whole);
  const out = await executor.execute(program, weights, { sizes, inputs: given }, options);
  const values = new Map<number, Floats>();
  for (const id of ids) {
    const data = out[`n${id}`];
    if (data && !(data instanceof Int32Array)) values.set(id, data);
  }
  return { values, multiplyAdds: countProducts(program, sizes, weights) };
}

type Past = NonNullable<BindContext['past']>;

function emptyPast(state: GraphWithPast['state']): Past {
  return { length: 0, state: new Map(state.map(({ name }) => [name, new Float32Array(0)])) };
}

/** Keys and values before a position, as the inputs of a run of what follows. */
export function pastOf({ graph, state }: SweepGraph, base: SweepBase, length: number, batch: number): Past | undefined {
  if (state.length === 0) return undefined;
  if (length === 0) return emptyPast(state);
  const kept = state.map(({ name, joined }) => {
    const all = base.values.get(graph.nodes[joined]?.in[1] ?? -1) ?? new Float32Array(0);
    const row = all.length / batch;
    const width = (graph.nodes[joined]?.shape ?? []).slice(2).reduce<number>((n, dim) => n * Number(dim), 1);
    const out =
      all instanceof Float64Array ? new Float64Array(batch * length * width) : new Float32Array(batch * length * width);
    for (let example = 0; example < batch; example++)
      out.set(all.subarray(example * row, example * row + length * width), example * length * width);
    return [name, out] as const;
  });
  return { length, state: new Map(kept) };
}

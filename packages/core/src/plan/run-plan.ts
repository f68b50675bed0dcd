import { CircuitscopeError, type Hash, type Intervention, type Plan } from '@circuitscope/schema';
import { type Graph, hashGraph } from '../graph/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { type BindContext, checkPrompt, type Prompt, textOf } from './bind.ts';
import { checkInputs } from './check-inputs.ts';
import { Collector } from './collect-results.ts';
import { type Compiled, compile, rowSizes } from './compile.ts';
import { countProducts } from './count-products.ts';
import { edgeStarts } from './edge-start.ts';
import { editedNames, editWeights } from './edit-weights.ts';
import type { ExecuteOptions, Executor } from './executor.ts';
import { requireFixed } from './fix-positions.ts';
import { groupVariants, type VariantGroup } from './group-variants.ts';
import type { LatentReader } from './latent-readout.ts';
import { boundShape, programBytes } from './program.ts';
import type { Run } from './run.ts';
import { sliceReadout } from './slice-readout.ts';
import {
  bucketsOf,
  firstPosition,
  pastOf,
  runBase,
  type SweepBase,
  type SweepGraph,
  sharedGraph,
} from './sweep-base.ts';
import type { Weights } from './weights.ts';

/** What a plan runs on: a graph with its weights, and the executor that computes. */
export interface Engine {
  readonly graph: Graph;
  readonly weights: Weights;
  readonly executor: Executor;
}

export interface RunOptions extends Omit<ExecuteOptions, 'onProgress'> {
  /** Runs that values are taken from, by name. */
  readonly runs?: ReadonlyMap<string, Run>;
  readonly artefacts?: ReadonlyMap<Hash, Tensor>;
  /** What readouts of latents read through. */
  readonly dictionaries?: ReadonlyMap<Hash, LatentReader>;
  /** For gradients of long prompts: keep only the stream between blocks and compute each block again on the way back. */
  readonly checkpoint?: boolean;
  /** Called with the share of the variants that are done. */
  readonly onProgress?: (share: number) => void;
}

/** Variants are run together up to this many bytes of activations; larger arenas cost more in fresh pages than they save. */
const CHUNK_BYTES = 64 * 2 ** 20;

export function makePlan(
  graph: Graph,
  parts: Pick<Plan, 'readouts'> & Partial<Pick<Plan, 'interventions' | 'sweep'>>,
): Plan {
  const { readouts, interventions = [], sweep } = parts;
  const base = {
    kind: 'plan',
    version: 1,
    graph: hashGraph(graph),
    interventions: [...interventions],
    readouts: [...readouts],
  } as const;
  return sweep ? { ...base, sweep: sweep.map((list) => [...list]) } : base;
}

/** @throws CircuitscopeError `wrong_graph` for a plan of another model */
export function requirePlanOf(graph: Graph, plan: Plan): void {
  const expected = hashGraph(graph);
  if (plan.graph === expected) return;
  throw new CircuitscopeError(
    'wrong_graph',
    'This plan was made for another model graph; make it anew for this model.',
    {
      expected,
      got: plan.graph,
    },
  );
}

/**
 * Runs a plan. A sweep's variants are grouped by the first value they change: what lies before is computed once per
 * example, what lies after in one batch for as many variants as the memory budget holds.
 */
export async function runPlan(engine: Engine, plan: Plan, prompt: Prompt, options: RunOptions = {}): Promise<Run> {
  const { graph } = engine;
  requirePlanOf(graph, plan);
  if (plan.sweep?.length === 0) {
    throw new CircuitscopeError(
      'empty_sweep',
      'The sweep of this plan has no variants; leave the sweep out, or list some.',
    );
  }
  const sizes = checkPrompt(prompt);
  const { batch, pos, source } = sizes;
  checkInputs(graph, prompt);
  const variants = (plan.sweep ?? [[]]).map((list) => [...plan.interventions, ...list]);
  if (prompt.grows) requireFixed(variants.flat());
  const results = new Collector(plan.readouts, plan.sweep ? variants.length : null, batch);
  const artefacts = options.artefacts ?? new Map<Hash, Tensor>();
  const runs = options.runs ?? new Map<string, Run>();
  const budget = Math.min(options.memoryBytes ?? CHUNK_BYTES, CHUNK_BYTES);
  let done = 0;
  let multiplyAdds = 0;
  const all: BindContext = { prompt, ...sizes, variants: [0], runs, artefacts };
  const { signal, threads, memoryBytes } = options;
  const limits = {
    ...(signal ? { signal } : {}),
    ...(threads ? { threads } : {}),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
  };
  const shared = await shareSweep(engine, plan, variants, all, limits);
  multiplyAdds += shared?.base.multiplyAdds ?? 0;
  const starts = shared && shared.of.state.length > 0 ? edgeStarts(shared.of.graph, shared.base.values, all) : null;
  for (const group of shared?.groups ?? groupVariants(graph, variants)) {
    const edited = editWeights(graph, engine.weights, group.weightEdits, artefacts);
    const compiled =
      shared?.compiled.get(group) ??
      compile({
        graph,
        variants: group.changes,
        readouts: plan.readouts,
        renamedParams: edited.renamed,
        detached: group.detached,
        checkpoint: options.checkpoint ?? false,
        dictionaries: options.dictionaries ?? new Map(),
      });
    const weights = compiled.weights.size > 0 ? new Map([...edited.weights, ...compiled.weights]) : edited.weights;
    const firsts = starts ? group.changes.map((list) => firstPosition(list, plan, all, starts)) : null;
    const buckets = firsts ? bucketsOf(firsts, batch, pos) : [{ past: 0, members: group.members.map((_, at) => at) }];
    for (const { past: from, members: bucket } of buckets) {
      const past = shared ? pastOf(shared.of, shared.base, from, batch) : undefined;
      const context = (indices: readonly number[]): BindContext => ({
        ...all,
        variants: indices,
        ...(past ? { past } : {}),
        ...(shared ? { base: shared.base.values } : {}),
      });
      const chunk = chunkSize(compiled, context, bucket, budget);
      for (let start = 0; start < bucket.length; start += chunk) {
        const indices = bucket.slice(start, start + chunk);
        const binding = compiled.bind(context(indices));
        multiplyAdds += countProducts(compiled.program, binding.sizes, weights);
        const outputs = await engine.executor.execute(compiled.program, weights, binding, {
          ...limits,
          onProgress: (share) => options.onProgress?.((done + share * indices.length) / variants.length),
        });
        const shapes = new Map(
          compiled.program.outputs.map(({ name, value }) => [
            name,
            boundShape(compiled.program.values[value]?.shape ?? [], binding.sizes),
          ]),
        );
        const members = indices.map((index) => group.members[index] ?? 0);
        results.add(members, compiled, outputs, shapes);
        done += indices.length;
        options.onProgress?.(done / variants.length);
      }
    }
  }
  const whole: Run = {
    variants: plan.sweep ? variants.length : null,
    batch,
    pos,
    mask: textOf(prompt).mask ?? null,
    ...(source === undefined ? {} : { source: { pos: source, mask: prompt.mask ?? null } }),
    readouts: plan.readouts,
    results: results.finish(),
    multiplyAdds,
  };
  return {
    ...whole,
    results: whole.results.map((result, index) => sliceReadout(graph, plan.readouts[index], result, whole, all)),
  };
}

/** As many variants at once as the budget holds, by the size of the arena at one and at two variants. */
function chunkSize(
  compiled: Compiled,
  context: (indices: readonly number[]) => BindContext,
  members: readonly number[],
  budget: number,
): number {
  const count = members.length;
  if (count <= 1) return 1;
  const { sizes } = compiled.bind(context(members.slice(0, 1)));
  const bytes = (variants: number): number =>
    programBytes(compiled.program, {
      ...sizes,
      ...rowSizes(sizes.batch ?? 1, sizes.pos ?? 1, variants, compiled.targets),
    });
  const one = bytes(1);
  const each = Math.max(bytes(2) - one, 1);
  return Math.max(1, Math.min(count, 1 + Math.floor((budget - one) / each)));
}

interface SharedSweep {
  readonly of: SweepGraph;
  readonly base: SweepBase;
  readonly groups: readonly VariantGroup[];
  readonly compiled: ReadonlyMap<VariantGroup, Compiled>;
}

/** A sweep's programs with what they share, or null where they share nothing. */
async function shareSweep(
  engine: Engine,
  plan: Plan,
  variants: readonly (readonly Intervention[])[],
  context: BindContext,
  limits: Pick<RunOptions, 'signal' | 'threads' | 'memoryBytes'>,
): Promise<SharedSweep | null> {
  const of = plan.sweep ? sharedGraph(engine.graph, plan, variants, context) : null;
  if (!of) return null;
  const groups = groupVariants(of.graph, variants);
  // One program without positions to share runs what its variants share once anyway.
  if (groups.length < 2 && of.state.length === 0) return null;
  const { readouts } = plan;
  const compiled = new Map(
    groups.map((group) => [
      group,
      compile({
        graph: of.graph,
        variants: group.changes,
        readouts,
        renamedParams: editedNames(group.weightEdits),
        fromBase: true,
      }),
    ]),
  );
  const nodes = [...compiled.values()].flatMap(({ given }) => given);
  const base = await runBase(engine, of, nodes, context, limits);
  if (!base) return null;
  // What is given takes room too: with a budget that this would break, each variant computes for itself.
  const past = pastOf(of, base, 0, context.batch);
  const one = { ...context, base: base.values, ...(past ? { past } : {}) };
  const { memoryBytes } = limits;
  const fits =
    memoryBytes === undefined ||
    [...compiled.values()].every(({ program, bind }) => programBytes(program, bind(one).sizes) <= memoryBytes);
  return fits ? { of, base, groups, compiled } : null;
}

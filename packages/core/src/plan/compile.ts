import { CircuitscopeError, type Hash, type Readout, type Site } from '@circuitscope/schema';
import { type Graph, type GraphNode, GraphRewrite, type GraphWithPast } from '../graph/index.ts';
import type { Floats } from '../tensor/index.ts';
import { addGradients } from './add-gradients.ts';
import { addReadout } from './add-readouts.ts';
import { applyInterventions, type GraphIntervention, requireSite } from './apply-interventions.ts';
import { type BindContext, type ExternalInput, graphInputs, positionSizes } from './bind.ts';
import { encodedName, encodedNodes, giveEncoded } from './encoded-once.ts';
import type { ReadoutNodes } from './final-read.ts';
import { gatherEarly } from './gather-early.ts';
import { addLatentReadout, type LatentReader } from './latent-readout.ts';
import { lower } from './lower.ts';
import { newPositions } from './new-positions.ts';
import { boundShape, type Program, type Sizes } from './program.ts';
import { type BucketRule, relativeBuckets } from './relative-buckets.ts';
import { rotaryWaves } from './rotary-waves.ts';
import type { Weight } from './weights.ts';

/** A program, and how a call makes its inputs. Depends on the graph and the plan alone, not on prompts. */
export interface Compiled {
  readonly program: Program;
  /** Names of the outputs of each readout, in plan order. */
  readonly outputs: readonly (readonly string[])[];
  /** How many targets each gradient has. */
  readonly targets: number;
  /** Nodes of the graph that are taken from the run without changes. */
  readonly given: readonly number[];
  /** Weights of its dictionaries, which the model has not. */
  readonly weights: ReadonlyMap<string, Weight>;
  readonly bind: (context: BindContext) => {
    readonly sizes: Sizes;
    readonly inputs: { readonly [name: string]: Floats | Int32Array };
  };
}

export interface CompileRequest {
  readonly graph: Graph;
  /** One list of interventions per variant; a plan without sweep has one. */
  readonly variants: readonly (readonly GraphIntervention[])[];
  readonly readouts: readonly Readout[];
  /** Weights to use in place of others (copy on write). */
  readonly renamedParams?: ReadonlyMap<string, string>;
  /** Sites that gradients do not pass. */
  readonly detached?: readonly Site[];
  /** Keep little for gradients, and compute it again. */
  readonly checkpoint?: boolean;
  /** Take what no variant changes from a run without changes (`BindContext.base`). */
  readonly fromBase?: boolean;
  /** What readouts of latents read through. */
  readonly dictionaries?: ReadonlyMap<Hash, LatentReader>;
  /** Values that re-enter the next run; what is new of them becomes an output of that name. */
  readonly state?: GraphWithPast['state'];
  /** Of an encoder-decoder: what its decoder reads of the encoder becomes outputs, or is given instead of computed. */
  readonly encoded?: 'keep' | 'give';
}

export function compile(request: CompileRequest): Compiled {
  const { graph, variants, readouts, renamedParams = new Map<string, string>() } = request;
  if (readouts.length === 0)
    throw new CircuitscopeError('no_readouts', 'A plan without readouts computes nothing; add a capture or a metric.');
  const rewrite = new GraphRewrite(graph);
  if (renamedParams.size > 0) {
    for (const { id, params } of graph.nodes) {
      rewrite.replaceNode(id, {
        params: params.map((name) => (name === null ? null : (renamedParams.get(name) ?? name))),
      });
    }
  }
  // Reader sites and head results that are only read out must exist before changes of a norm hide it from tracing.
  for (const readout of readouts) for (const site of sitesOf(readout)) requireSite(rewrite, site);
  const applied = applyInterventions(rewrite, variants);
  const read = readouts.map((readout) =>
    addOne(rewrite, readout, { dictionaries: request.dictionaries ?? new Map(), sweeps: variants.length > 1 }),
  );
  const { detached = [], checkpoint = false, state = [] } = request;
  const gradients = addGradients(rewrite, { readouts, detached, renamedParams, checkpoint });
  const results = read.flatMap(({ nodes }, index) =>
    [...nodes, ...(gradients?.nodes.get(index) === undefined ? [] : [gradients.nodes.get(index) ?? -1])].map(
      (node) => ({
        name: `r${index}`,
        node,
      }),
    ),
  );
  const kept = state.map(({ name, joined }) => ({ name, node: rewrite.node(joined).in[1] ?? -1 }));
  const outputs = [...results, ...kept];

  const needed = new Set(rewrite.order(outputs.map(({ node }) => node)));
  for (const { node, site } of applied.changed) {
    if (needed.has(node)) continue;
    throw new CircuitscopeError(
      'never_fires',
      `A change at ${site} reaches none of the readouts, so it would do nothing; read out something that comes after it.`,
      {
        at: site,
      },
    );
  }

  const encoded = request.encoded ? encodedNodes(rewrite, outputs) : [];
  if (request.encoded === 'keep') outputs.push(...encoded.map((node, at) => ({ name: encodedName(at), node })));
  const given = request.fromBase ? giveUnchanged(rewrite, outputs, applied.changed, renamedParams) : [];
  const targets = gradients?.targets ?? 1;
  const ofEncoder = request.encoded === 'give' ? giveEncoded(rewrite, encoded) : [];
  const makers = [
    ...applied.externals,
    ...ofEncoder,
    ...read.flatMap((one) => one.externals),
    ...(gradients?.externals ?? []),
  ];
  // A backward reads the values that its forward had, at every position.
  if (!gradients) makers.push(...gatherEarly(rewrite, outputs, makers));
  const { program, inputs } = lower(rewrite, outputs, {
    variants: variants.length,
    targets,
    ...(gradients ? { gradientsFrom: gradients.from } : {}),
  });
  const externals = new Map<number, ExternalInput>(makers.map((one) => [one.node, one]));
  for (const node of given) externals.set(node, { node, make: (context) => givenValue(node, context) });
  return {
    program,
    targets,
    given,
    weights: new Map(read.flatMap(({ weights }) => [...(weights ?? [])])),
    outputs: readouts.map((_, index) =>
      program.outputs.map(({ name }) => name).filter((name) => name.split('.')[0] === `r${index}`),
    ),
    bind: (context) => {
      const past = context.past?.length ?? 0;
      let sizes: Sizes = {
        ...rowSizes(context.batch, context.pos - past, context.variants.length, targets),
        ...(context.source === undefined ? {} : { source: context.source }),
        ...(context.past ? { past, keys: context.pos } : {}),
      };
      for (const one of read) sizes = { ...sizes, ...one.sizes?.(context) };
      const made: { [name: string]: Floats | Int32Array } = {};
      for (const { name, node, tile: level } of inputs) {
        const external = externals.get(node);
        const of = rewrite.node(node);
        const data = external
          ? newPositions(external.make(context), of.shape, external.positions ?? false, context)
          : graphInput(of, context);
        if (external?.sizes) sizes = { ...sizes, ...external.sizes(context) };
        // How often the value stands in the rows that its readers have.
        const own = rewrite.node(node).shape[0] === 'rows' ? (sizes.rows ?? 1) : context.batch;
        made[name] = level ? tile(data, (sizes[level] ?? 1) / own) : data;
      }
      return { sizes, inputs: made };
    },
  };
}

function addOne(
  rewrite: GraphRewrite,
  readout: Readout,
  latents: Parameters<typeof addLatentReadout>[2],
): ReadoutNodes {
  if (readout.kind === 'latents') return addLatentReadout(rewrite, readout, latents);
  return readout.kind === 'gradient' ? { nodes: [], externals: [] } : addReadout(rewrite, readout);
}

/** What the call makes of an input of the graph. */
export function graphInput(of: GraphNode, context: BindContext): Floats | Int32Array {
  const name = String(of.attrs.name);
  const past = context.past?.state.get(name);
  if (past) return past;
  const { images } = context.prompt;
  const fixed: { readonly [name: string]: Floats | Int32Array } = {
    ...graphInputs(context.prompt),
    ...(images ? { images: images.data } : {}),
  };
  const whole = fixed[name] ?? madeInput(of, context);
  if (whole) return newPositions(whole, of.shape, false, context);
  throw new CircuitscopeError('bad_graph', `The graph has an input ${name} that no call can make.`, { at: name });
}

/**
 * Lets values that no variant changes, and that something changed reads, be given.
 * @returns their ids
 */
function giveUnchanged(
  rewrite: GraphRewrite,
  outputs: readonly { readonly node: number }[],
  changed: readonly { readonly node: number }[],
  renamedParams: ReadonlyMap<string, string>,
): number[] {
  const own = rewrite.source.nodes.length;
  const changing = new Set(changed.map(({ node }) => node));
  const edited = new Set(renamedParams.values());
  const given = new Set<number>();
  const order = rewrite.order(outputs.map(({ node }) => node));
  for (const id of order) {
    const { shape, params, in: inputs } = rewrite.node(id);
    if (params.some((name) => name !== null && edited.has(name))) changing.add(id);
    if (shape[0] === 'rows' || inputs.some((input) => changing.has(input))) changing.add(id);
  }
  const visit = (id: number): void => {
    const { op, in: inputs } = rewrite.node(id);
    if (changing.has(id) || op === 'input' || op === 'external' || given.has(id)) return;
    if (id < own) given.add(id);
    else for (const input of inputs) if (input >= 0) visit(input);
  };
  for (const id of changing) for (const input of rewrite.node(id).in) if (input >= 0) visit(input);
  for (const id of given) {
    const { shape } = rewrite.node(id);
    rewrite.replaceNode(id, { op: 'external', in: [], params: [], attrs: { name: `base:${id}`, shape } });
  }
  return [...given];
}

function givenValue(node: number, { base }: BindContext): Floats {
  const found = base?.get(node);
  if (found) return found;
  throw new CircuitscopeError('bad_program', `The run without changes did not keep node ${node}.`, {
    at: String(node),
  });
}

/** An input that follows from the sizes of a call, or from the positions of its prompt. */
function madeInput({ attrs, shape }: GraphNode, context: BindContext): Floats | Int32Array | undefined {
  const { buckets } = attrs;
  if (typeof buckets !== 'object' || buckets === null || !('count' in buckets))
    return rotaryWaves(attrs, context.prompt);
  const rule: BucketRule = {
    count: Number(buckets.count),
    maxDistance: Number(buckets.maxDistance),
    causal: buckets.causal === true,
  };
  return relativeBuckets(boundShape(shape, positionSizes(context))[0] ?? 0, rule);
}

/** What the symbols of shapes are in a call. */
export function rowSizes(batch: number, pos: number, variants: number, targets: number): Sizes {
  const rows = batch * variants;
  return { batch, rows, pos, cotangents: rows * targets, groups: variants * targets };
}

function sitesOf(readout: Readout): readonly Site[] {
  if (readout.kind === 'gradient') {
    const targets = readout.of.flatMap((target) => (target.kind === 'site' ? [target.at.site] : []));
    return readout.wrt.kind === 'param' ? targets : [...targets, readout.wrt.at.site];
  }
  return 'at' in readout && readout.at && 'site' in readout.at ? [readout.at.site] : [];
}

function tile(data: Floats | Int32Array, times: number): Floats | Int32Array {
  const length = data.length * times;
  const all =
    data instanceof Int32Array
      ? new Int32Array(length)
      : data instanceof Float64Array
        ? new Float64Array(length)
        : new Float32Array(length);
  for (let time = 0; time < times; time++) all.set(data, time * data.length);
  return all;
}

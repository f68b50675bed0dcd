import { CircuitscopeError, type Readout } from '@circuitscope/schema';
import { type Graph, GraphRewrite } from '../graph/index.ts';
import type { Floats } from '../tensor/index.ts';
import { addReadout } from './add-readouts.ts';
import { applyInterventions, type GraphIntervention, requireSite } from './apply-interventions.ts';
import { type BindContext, type ExternalInput, graphInputs } from './bind.ts';
import { lower } from './lower.ts';
import type { Program, Sizes } from './program.ts';

/** A program, and how a call makes its inputs. Depends on the graph and the plan alone, not on prompts. */
export interface Compiled {
  readonly program: Program;
  /** Names of the outputs of each readout, in plan order. */
  readonly outputs: readonly (readonly string[])[];
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
}

export function compile({ graph, variants, readouts, renamedParams }: CompileRequest): Compiled {
  if (readouts.length === 0)
    throw new CircuitscopeError('no_readouts', 'A plan without readouts computes nothing; add a capture or a metric.');
  const rewrite = new GraphRewrite(graph);
  if (renamedParams && renamedParams.size > 0) {
    for (const { id, params } of graph.nodes) {
      rewrite.replaceNode(id, {
        params: params.map((name) => (name === null ? null : (renamedParams.get(name) ?? name))),
      });
    }
  }
  // Reader sites and head results that are only read out must exist before changes of a norm hide it from tracing.
  for (const readout of readouts)
    if ('at' in readout && readout.at && 'site' in readout.at) requireSite(rewrite, readout.at.site);
  const applied = applyInterventions(rewrite, variants);
  const read = readouts.map((readout) => addReadout(rewrite, readout));
  const outputs = read.flatMap(({ nodes }, index) => nodes.map((node) => ({ name: `r${index}`, node })));

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

  const { program, inputs } = lower(rewrite, outputs, variants.length);
  const externals = new Map<number, ExternalInput>(
    [...applied.externals, ...read.flatMap((one) => one.externals)].map((one) => [one.node, one]),
  );
  return {
    program,
    outputs: readouts.map((_, index) =>
      program.outputs.map(({ name }) => name).filter((name) => name.split('.')[0] === `r${index}`),
    ),
    bind: (context) => {
      const fixed = graphInputs(context.prompt);
      let sizes: Sizes = { batch: context.batch, rows: context.batch * context.variants.length, pos: context.pos };
      const made: { [name: string]: Floats | Int32Array } = {};
      for (const { name, node, repeat } of inputs) {
        const external = externals.get(node);
        const data = external ? external.make(context) : fixed[String(rewrite.node(node).attrs.name)];
        if (!data)
          throw new CircuitscopeError('bad_graph', `The graph has an input ${name} that no call can make.`, {
            at: name,
          });
        if (external?.sizes) sizes = { ...sizes, ...external.sizes(context) };
        made[name] = repeat ? tile(data, context.variants.length) : data;
      }
      return { sizes, inputs: made };
    },
  };
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

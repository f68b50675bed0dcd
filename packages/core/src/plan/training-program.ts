import { CircuitscopeError } from '@circuitscope/schema';
import { differentiate, findSite, type Graph, GraphRewrite } from '../graph/index.ts';
import { isBoundary } from './add-gradients.ts';
import { rowSizes } from './compile.ts';
import { lower } from './lower.ts';
import type { Program, Sizes } from './program.ts';

// A loss, and its gradients with respect to weights, as one program. Unlike a plan it takes its targets as inputs, so that
// one program serves every batch of a training.

/** A graph with a loss: one number a row, or a row and position, which the seed weighs and adds. */
export interface LossGraph {
  readonly graph: Graph;
  /** Id of the node that holds the losses, f32 [batch] or [batch, n]. */
  readonly loss: number;
}

/** Cross entropy of the logits at every position with the input `targets`, i32 [batch, pos]; −100 is not counted. */
export function nextTokenLoss(graph: Graph): LossGraph {
  const logits = findSite(graph, 'logits');
  return withLoss(graph, (rewrite) => {
    const targets = addInput(rewrite, 'targets', [...logits.shape.slice(0, -1)], 'i32');
    return rewrite.add('cross_entropy', [logits.id, targets]);
  });
}

/** A graph with a loss that the caller adds. Inputs are made by `addInput`. */
export function withLoss(graph: Graph, add: (rewrite: GraphRewrite) => number): LossGraph {
  const rewrite = new GraphRewrite(graph);
  const loss = add(rewrite);
  const nodes = Array.from({ length: rewrite.nextId }, (_, id) => rewrite.node(id));
  const inputs = Object.fromEntries(
    nodes.filter(({ op }) => op === 'input').map(({ id, attrs }) => [String(attrs.name), id]),
  );
  return { graph: { ...graph, nodes, inputs }, loss };
}

/** A further input of a graph that is being rewritten, such as the targets of a loss. */
export function addInput(
  rewrite: GraphRewrite,
  name: string,
  shape: readonly (number | string)[],
  dtype: 'f32' | 'i32' = 'f32',
): number {
  return rewrite.add('input', [], { attrs: { name, shape }, dtype });
}

export interface TrainingProgram {
  readonly program: Program;
  /** Name of the program's output that holds the losses. */
  readonly lossOutput: string;
  /** By weight, the name of the output with its gradient, [1, …weight]. */
  readonly gradientOutput: ReadonlyMap<string, string>;
  /** The loss's sizes after the first; `seed` has a row per example in front. */
  readonly lossShape: readonly (number | string)[];
}

export interface TrainingOptions {
  /** Weights to train; all others get no gradient. */
  readonly params: readonly string[];
  /** Keep only the stream between blocks, and compute the rest again on the way back. */
  readonly checkpoint?: boolean;
  /** Sites to read out beside the loss, by their names. */
  readonly capture?: readonly string[];
}

/**
 * The program's inputs are those of the graph, by name, and `seed`: the cotangent of the loss, f32, shaped as the loss
 * (1/count where counted, for a mean).
 * @throws CircuitscopeError `no_gradient` for a weight that the loss does not depend on
 */
export function compileTraining({ graph, loss }: LossGraph, options: TrainingOptions): TrainingProgram {
  const rewrite = new GraphRewrite(graph);
  const lossShape = rewrite.node(loss).shape.slice(1);
  const seed = addInput(rewrite, 'seed', ['cotangents', ...lossShape]);
  const shapes = new Map(graph.params.map(({ name, shape }) => [name, shape]));
  const gradients = differentiate(rewrite, {
    seeds: new Map([[loss, [seed]]]),
    nodes: new Set(),
    params: new Set(options.params),
    frozen: new Set(),
    paramShape: (name) => shapes.get(name) ?? [],
    ...(options.checkpoint ? { keep: isBoundary } : {}),
  });
  const gradientOutput = new Map<string, string>();
  const outputs = [
    { name: 'loss', node: loss },
    ...(options.capture ?? []).map((site) => ({ name: site, node: findSite(graph, site).id })),
  ];
  for (const name of options.params) {
    const node = gradients.params.get(name);
    if (node === undefined) {
      throw new CircuitscopeError('no_gradient', `The loss does not depend on the weight ${name}; leave it out.`, {
        at: name,
      });
    }
    gradientOutput.set(name, `grad:${name}`);
    outputs.push({ name: `grad:${name}`, node });
  }
  const { program } = lower(rewrite, outputs, { variants: 1, gradientsFrom: gradients.from });
  return { program, lossOutput: 'loss', gradientOutput, lossShape };
}

/** Sizes of a call with `batch` examples of `pos` positions. */
export function trainingSizes(batch: number, pos: number): Sizes {
  return rowSizes(batch, pos, 1, 1);
}

import { CircuitscopeError } from '@circuitscope/schema';
import type { Graph } from '../graph/index.ts';
import { addInput, type LossGraph, withLoss } from '../plan/index.ts';

/**
 * Cross entropy of the graph's output [batch, n, classes] with the input `targets`, i32 [batch, n], −100 where not counted;
 * of one answer an example, [batch, classes], the targets are [batch].
 * @throws CircuitscopeError `bad_loss` for an output of another rank
 */
export function classLoss(graph: Graph): LossGraph {
  const logits = graph.nodes[graph.output]?.shape ?? [];
  if (logits.length !== 3 && logits.length !== 2) {
    throw new CircuitscopeError(
      'bad_loss',
      'A class loss needs logits of shape [batch, classes] or [batch, n, classes].',
      {
        expected: '[batch, classes] or [batch, n, classes]',
        got: `[${logits.join(', ')}]`,
      },
    );
  }
  return withLoss(graph, (rewrite) => {
    const targets = addInput(rewrite, 'targets', logits.slice(0, -1), 'i32');
    return rewrite.add('cross_entropy', [graph.output, targets]);
  });
}

export interface SquaredErrorOptions {
  /** The value that the output should be: a node of the graph (its input, for an autoencoder), or the new f32 input `targets`. */
  readonly target: { readonly kind: 'node'; readonly id: number } | { readonly kind: 'input' };
}

/**
 * Σ_i importance_i·(target_i − output_i)² over the last axis of the graph's output; importance is an f32 input [n].
 * The loss has the shape of the output without its last axis.
 */
export function squaredErrorLoss(graph: Graph, { target }: SquaredErrorOptions): LossGraph {
  const shape = graph.nodes[graph.output]?.shape ?? [];
  return withLoss(graph, (rewrite) => {
    const wanted = target.kind === 'node' ? target.id : addInput(rewrite, 'targets', shape);
    const importance = addInput(rewrite, 'importance', shape.slice(-1));
    const difference = rewrite.add('subtract', [wanted, graph.output]);
    return rewrite.add('project_dot', [rewrite.add('mul', [difference, difference]), importance]);
  });
}

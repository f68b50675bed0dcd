import { CircuitscopeError } from '@circuitscope/schema';
import type { Folding, Weight } from '../plan/index.ts';
import { type FoldedGraph, foldGraph } from './fold-graph.ts';
import { foldedWeight } from './folded-weight.ts';
import type { Model } from './load-model.ts';

// Two numeric views of one mapped model. `raw` computes as its authors do. `folded` computes the same function with norms
// folded into the weights that read them, writing weights centred, the unembedding centred, biases of values folded into
// the output's: its logits are those of `raw`, less a constant per row. Neither touches the other; both stay open.

export type ModelView = 'raw' | 'folded';

export interface ViewedModel extends Model {
  readonly view: ModelView;
  /** The model as its authors run it. */
  readonly raw: Model;
  /** Sites of norms that stay as they are, because something else than a product reads them. */
  readonly unfolded: readonly string[];
}

/**
 * A view of a model. Nothing is computed until a weight is read.
 * @throws CircuitscopeError `cannot_fold` where no part of the model can be folded
 */
export function viewModel(model: Model, view: ModelView): ViewedModel {
  const raw = isViewed(model) ? model.raw : model;
  if (view === 'raw') return { ...raw, view, raw, unfolded: [] };
  const folded = foldGraph(raw.graph);
  if (folded.foldings.size === 0) {
    throw new CircuitscopeError(
      'cannot_fold',
      `${raw.name} has no norm, bias or unembedding that can be folded; use its raw view.`,
      { at: raw.name, expected: 'a norm that products alone read, or an unembedding' },
    );
  }
  const { left } = folded;
  return {
    ...raw,
    spec: { ...raw.spec, tied: false },
    graph: folded.graph,
    weights: weightsOf(raw, folded),
    view,
    raw,
    unfolded: left,
  };
}

const isViewed = (model: Model): model is ViewedModel => 'raw' in model;

/** Weights that nothing is folded into stay views of the file. Executors keep what they pack by a map's first weight. */
function weightsOf(raw: Model, { graph, foldings }: FoldedGraph): Model['weights'] {
  const weights = new Map<string, Weight>();
  for (const { name, shape } of graph.params) {
    const folding = foldings.get(name);
    const stored = raw.weights.get(name);
    if (folding) weights.set(name, foldedWeight(name, shape, asStored(folding, name, raw), raw.weights));
    else if (stored) weights.set(name, { ...stored });
  }
  return weights;
}

/** A tied table is read as it is stored, where the model names it: turning the unembedding round costs as much again. */
function asStored(folding: Folding, name: string, { weights }: Model): Folding {
  const table = weights.get(name);
  if (folding.kind !== 'matrix' || !folding.transposed || !table) return folding;
  const turned = weights.get(folding.from);
  if (table.shape.join() !== [...(turned?.shape ?? [])].reverse().join()) return folding;
  return { ...folding, from: name, transposed: false };
}

import type { AlgorithmInput, CausalProgram, Edge, Model } from '@circuitscope/core';
import { type Ablation, type Alignment, type Task, type UnitRef, unitLabel } from '@circuitscope/schema';

/** What is true of a member's circuit. An ablation and a metric are part of the truth: another pair, another answer. */
export interface Truth {
  readonly ablation: Ablation;
  readonly metric: 'accuracy' | 'logit_diff';
  /** Exactly these edges matter, cut one at a time: they change the metric of some example, and no other edge does. */
  readonly edges: readonly Edge[];
  /** Changes up to this are rounding; 0 where even that cannot be. */
  readonly tolerance: number;
  /** The units at the ends of those edges. */
  readonly nodes: readonly UnitRef[];
  /** Edges that were written and yet have no effect under this ablation and metric. */
  readonly silent: readonly SilentEdge[];
}

export interface SilentEdge {
  readonly edge: Edge;
  readonly why: string;
}

/** The nodes follow from the edges. */
export function truthOf(
  truth: Pick<Truth, 'ablation' | 'metric' | 'edges'> & Partial<Pick<Truth, 'silent' | 'tolerance'>>,
): Truth {
  const nodes = new Map<string, UnitRef>();
  for (const { from, to } of truth.edges)
    for (const unit of [from, unitOf(to)]) if (!nodes.has(unitLabel(unit))) nodes.set(unitLabel(unit), unit);
  return { tolerance: 0, silent: [], ...truth, nodes: [...nodes.values()] };
}

/** The unit that a reader belongs to. */
function unitOf(reader: Edge['to']): UnitRef {
  switch (reader.kind) {
    case 'head':
      return { kind: 'head', layer: reader.layer, head: reader.head };
    case 'mlp':
      return { kind: 'mlp', layer: reader.layer };
    case 'logits':
      return { kind: 'logits' };
  }
}

/** A method that must go wrong on a member, and where: what a good report of that method shows. */
export interface ExpectedFailure {
  /** `single_cut`: exact effects of edges cut one at a time; `attribution`: the gradient at the clean prompt, times the change. */
  readonly method: 'single_cut' | 'attribution';
  /** Labels of the edges that it gets wrong. */
  readonly edges: readonly string[];
  readonly why: string;
}

/**
 * An identity that holds to rounding. `edge_sum`: the effects of these edges, each cut alone, sum to metric(clean) −
 * metric(all of them cut). `attribution_is_exact`: the attribution of any edge is its exact effect, so its sums are the same.
 */
export type Law =
  | {
      readonly kind: 'edge_sum';
      readonly edges: 'from_input' | 'into_logits';
      readonly ablation: Ablation;
      /** Largest |sum − total| / max(1, |total|), in float32. */
      readonly tolerance: number;
    }
  | { readonly kind: 'attribution_is_exact'; readonly ablation: Ablation; readonly tolerance: number };

export interface TaskOptions {
  readonly seed: number;
  /** Number of examples. */
  readonly examples: number;
}

/** A model whose circuit is known, or at least known to exist: the model, its task, the truth, how it was made. */
export interface ZooMember {
  readonly name: string;
  readonly title: string;
  /** How it was made, in one or two sentences. */
  readonly made: string;
  /** Built anew at each call, in well under 50 ms where nothing is read from disk. */
  readonly model: () => Model;
  readonly task: (options: TaskOptions) => Task;
  /** Empty where the circuit was learnt and nobody wrote it down. */
  readonly truth: readonly Truth[];
  readonly bos: number;
  /** Text of each token id. */
  readonly tokens: readonly string[];
  /** What the model computes, as variables with parents, and where in the model each of them lies. */
  readonly program?: CausalProgram;
  readonly alignment?: Alignment;
  /** Prompts on which the program and the model are compared; those of the task if left out. */
  readonly inputs?: (options: TaskOptions) => readonly AlgorithmInput[];
  readonly expectedFailures?: readonly ExpectedFailure[];
  readonly laws?: readonly Law[];
}

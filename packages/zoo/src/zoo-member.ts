import type { Edge, Model } from '@circuitscope/core';
import type { Ablation, Task } from '@circuitscope/schema';

/** What is true of a member's circuit. An ablation and a metric are part of the truth: another pair, another answer. */
export interface Truth {
  readonly ablation: Ablation;
  readonly metric: 'accuracy' | 'logit_diff';
  /** Exactly these edges matter, cut one at a time; every other edge has an effect of exactly zero. */
  readonly edges: readonly Edge[];
}

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
  readonly model: () => Model;
  readonly task: (options: TaskOptions) => Task;
  /** Empty where the circuit was learnt and nobody wrote it down. */
  readonly truth: readonly Truth[];
  readonly bos: number;
  /** Text of each token id. */
  readonly tokens: readonly string[];
}

import type { Json } from '@circuitscope/schema';
import type { Graph } from '../graph/index.ts';
import type { Engine, LossGraph, RunOptions } from '../plan/index.ts';
import type { Floats, Tensor } from '../tensor/index.ts';
import type { Batch } from './batch.ts';
import type { OptimiserSettings } from './optimiser.ts';
import type { Schedule } from './schedule.ts';

// A recipe says everything that makes a trained model, apart from the seed: what it is, from which data, how long, how.
// Recipe and seed decide every byte of the result.

export interface Recipe {
  /** What the command line calls it: lower case with dashes. */
  readonly name: string;
  /** A few words for lists and headings. */
  readonly title: string;
  /** What the trained model shows, and against which known answer: one or two sentences. */
  readonly shows: string;
  /** Sizes and data settings as plain data. Kept beside the weights; a checkpoint of another configuration is refused. */
  readonly config: { readonly [setting: string]: Json };
  readonly steps: number;
  readonly optimiser: OptimiserSettings;
  readonly schedule: Schedule;
  /** A line of the log each so many steps; measurements each so many; a checkpoint each so many. */
  readonly every: { readonly log: number; readonly evaluate: number; readonly checkpoint: number };
  readonly model: (seed: number) => TrainableModel;
  /**
   * The batch of a step. It depends on seed and step alone, never on batches drawn before, so that a resumed training
   * reads what an uninterrupted one does: draw from `batchRng(seed, step)`.
   */
  readonly batch: (seed: number, step: number) => Batch;
  /** Numbers to watch, of the weights as they are now: head scores, accuracy, loss on held-back data. Finite. */
  readonly evaluate?: (trained: Trained) => Metrics | Promise<Metrics>;
  /** The trained weights as a checkpoint: `config.json` and `model.safetensors`. */
  readonly export: (weights: ReadonlyMap<string, Tensor>) => ExportedModel;
}

export interface TrainableModel {
  /** The model alone, as plans run it. */
  readonly graph: Graph;
  /** The same with its loss; `nextTokenLoss`, `classLoss`, `squaredErrorLoss` make one. */
  readonly loss: LossGraph;
  /** What is trained, at its start: by name, shaped as the graph says. */
  readonly weights: ReadonlyMap<string, Tensor>;
  /** What the graph reads beside that and nobody trains: rotary tables, a fixed embedding. */
  readonly fixed?: ReadonlyMap<string, Tensor>;
}

export type Metrics = { readonly [name: string]: number };

/** The model in training, to be looked at. */
export interface Trained {
  readonly step: number;
  readonly seed: number;
  /** Weights by name; the arrays are those that training changes, so copy what outlives the call. */
  readonly weights: ReadonlyMap<string, Tensor>;
  /** The model's graph, these weights and the executor that trains it: for plans and for analyses such as `scoreHeads`. */
  readonly engine: Engine;
  /** To be handed on to whatever runs plans: threads, and the signal that cancels. */
  readonly run: Pick<RunOptions, 'signal' | 'threads'>;
  /** The loss of a batch without a step, and sites of the model on it by name. */
  readonly measure: (batch: Batch, sites?: readonly string[]) => Promise<Measurement>;
}

export interface Measurement {
  /** Σ weight·loss, as training counts it. */
  readonly loss: number;
  /** The losses themselves, shaped as the loss node: [batch] or [batch, pos]. */
  readonly losses: Floats;
  readonly sites: ReadonlyMap<string, Tensor>;
}

export interface ExportedModel {
  readonly config: { readonly [setting: string]: Json };
  readonly tensors: ReadonlyMap<string, Tensor>;
}

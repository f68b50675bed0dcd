import type { RopeScaling } from '../graph/index.ts';

// What a decoder is made of, as data: architecture files say which parts there are, `decoder.ts` builds the graph.

export interface DecoderSpec {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly width: number;
  readonly headWidth: number;
  /** Width of the MLP's hidden layer, or of each expert's; 0 for attention-only models. */
  readonly inner: number;
  readonly vocab: number;
  readonly context: number;
  readonly norm: Norm | null;
  readonly embedding?: Embedding;
  readonly positions: Positions;
  /** Left out: one branch after the other, each reading the norm of the stream. */
  readonly block?: Block;
  readonly attention?: Attention;
  /** `solu`: x·softmax(x) over all neurons of a layer (Elhage et al. 2022). */
  readonly activation: 'gelu_tanh' | 'gelu_erf' | 'silu' | 'relu' | 'solu';
  /** A norm between the activation and W_out, of the model's kind, with weights of its own. */
  readonly mlpNorm?: boolean;
  readonly gated: boolean;
  /** In place of one MLP so many, of which each token has `perToken`, weighed by the router's probabilities among them. */
  readonly experts?: { readonly count: number; readonly perToken: number };
  readonly biases: { readonly qkv: boolean; readonly out: boolean; readonly mlp: boolean; readonly unembed: boolean };
  /** Factor on q·k, by layer. */
  readonly scoreScale: (layer: number) => number;
  /** Logits x become cap·tanh(x/cap). */
  readonly logitSoftCap?: number;
  /** The unembedding is the transposed embedding: one stored weight serves both. */
  readonly tied: boolean;
}

export interface Norm {
  readonly kind: 'layer' | 'rms';
  readonly eps: number;
}

/** What happens to token embeddings before they enter the stream. */
export interface Embedding {
  readonly scale?: number;
  /** The model's norm, with weights of its own. */
  readonly normed?: boolean;
}

export type Positions =
  | { readonly kind: 'learned' }
  | Rotary
  /** Scores get the head's slope times the key's position: `slopes` by head. */
  | { readonly kind: 'alibi'; readonly slopes: readonly number[] };

export interface Rotary {
  readonly kind: 'rotary';
  readonly base: number;
  /** How many entries of a head are rotated. */
  readonly dims: number;
  readonly layout: 'half' | 'adjacent';
  readonly scaling?: RopeScaling | null;
  /** Layers that turn by another base, unscaled. */
  readonly local?: { readonly base: number; readonly layers: readonly boolean[] };
}

export interface Block {
  /** Where norms stand: before each branch, behind each branch's output, or both. */
  readonly norms: 'pre' | 'post' | 'both';
  /**
   * `sequential`: the MLP reads the stream after attention. `parallel`: both read the stream before either, through norms
   * of their own; `shared`: through one norm.
   */
  readonly residual: 'sequential' | 'parallel' | 'shared';
  /** What a branch is added to: the stream, or the norm's output that the branch read. */
  readonly adds?: 'stream' | 'normed';
}

export interface Attention {
  /** RMS norm of queries and keys before they turn: of each head, or of all heads together. */
  readonly qkNorm?: 'head' | 'whole';
  /** By layer: how many keys a query reads, itself the last of them; null where it reads all. */
  readonly windows?: readonly (number | null)[];
  /** Scores s become cap·tanh(s/cap) before they are masked. */
  readonly softCap?: number;
}

export const plainBlock: Block = { norms: 'pre', residual: 'sequential' };

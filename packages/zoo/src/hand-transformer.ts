import {
  decoderFromCheckpoint,
  type GraphNode,
  type Model,
  memoryCheckpoint,
  Rng,
  type Tensor,
} from '@circuitscope/core';

// Transformers whose weights are written cell by cell: no norm, no biases, scores not scaled. What is not written is 0.

/** One entry of a matrix that is multiplied from the right. */
export type Cell = readonly [row: number, column: number, value: number];

/** q, k and v read the stream [model, head]; o writes into it [head, model]. */
export interface HandHead {
  readonly q?: readonly Cell[];
  readonly k?: readonly Cell[];
  readonly v?: readonly Cell[];
  readonly o?: readonly Cell[];
}

/** `in` and `gate` read the stream [model, unit]; `out` writes into it [unit, model]. With a gate: (relu(gate) · in) · out. */
export interface HandMlp {
  readonly in?: readonly Cell[];
  readonly gate?: readonly Cell[];
  readonly out?: readonly Cell[];
}

export interface HandLayer {
  /** Heads that are left out are dead. */
  readonly heads: readonly HandHead[];
  readonly mlp?: HandMlp;
}

export interface HandTransformer {
  /** Without `zoo:`. */
  readonly name: string;
  readonly width: number;
  readonly headWidth: number;
  readonly vocab: number;
  readonly context: number;
  /** [token, model] */
  readonly embed: readonly Cell[];
  /** [position, model] */
  readonly positions: readonly Cell[];
  readonly layers: readonly HandLayer[];
  /** [model, token] */
  readonly unembed: readonly Cell[];
  /** Width of every MLP's ReLU layer; 0 for attention alone. */
  readonly inner?: number;
  readonly gated?: boolean;
  /** A seed: the stream is turned by a random orthogonal matrix. */
  readonly rotate?: number;
  /** Every position reads every other one, as in an encoder; else only earlier ones. */
  readonly bidirectional?: boolean;
  /** The MLP is a product of two matrices: nothing stands where its activation was. */
  readonly linear?: boolean;
  /** 0 if left out. */
  readonly bos?: number;
}

export const range = (length: number): number[] => Array.from({ length }, (_, index) => index);

/** value·I from `rows` on, to `columns` on. */
export const diagonal = (rows: number, columns: number, length: number, value = 1): Cell[] =>
  range(length).map((i) => [rows + i, columns + i, value]);

export function handTransformer(hand: HandTransformer): Model {
  const { name, width, headWidth, vocab, context, inner = 0, gated = false } = hand;
  const heads = Math.max(1, ...hand.layers.map((layer) => layer.heads.length));
  const tensors = new Map<string, Tensor>();
  const basis = hand.rotate === undefined ? null : rotation(width, hand.rotate);
  // Rows of what writes into the stream are turned by R, columns of what reads from it by Rᵀ: nothing changes but the basis.
  const writes = (cells: readonly Cell[], rows: number): Float64Array =>
    turn(dense(cells, rows, width), rows, width, basis);
  const reads = (cells: readonly Cell[], columns: number): Float64Array =>
    transpose(turn(transpose(dense(cells, width, columns), width, columns), columns, width, basis), columns, width);
  const put = (key: string, shape: readonly number[], data: Float64Array): void => {
    tensors.set(key, { shape, data });
  };
  put('embed.W_E', [vocab, width], writes(hand.embed, vocab));
  put('pos_embed.W_pos', [context, width], writes(hand.positions, context));
  hand.layers.forEach((layer, index) => {
    const stack = (part: (head: HandHead) => Float64Array): Float64Array =>
      Float64Array.from(range(heads).flatMap((head) => [...part(layer.heads[head] ?? {})]));
    const at = `blocks.${index}.attn`;
    put(
      `${at}.W_Q`,
      [heads, width, headWidth],
      stack((head) => reads(head.q ?? [], headWidth)),
    );
    put(
      `${at}.W_K`,
      [heads, width, headWidth],
      stack((head) => reads(head.k ?? [], headWidth)),
    );
    put(
      `${at}.W_V`,
      [heads, width, headWidth],
      stack((head) => reads(head.v ?? [], headWidth)),
    );
    put(
      `${at}.W_O`,
      [heads, headWidth, width],
      stack((head) => writes(head.o ?? [], headWidth)),
    );
    if (inner === 0) return;
    const mlp = `blocks.${index}.mlp`;
    put(`${mlp}.W_in`, [width, inner], reads(layer.mlp?.in ?? [], inner));
    if (gated) put(`${mlp}.W_gate`, [width, inner], reads(layer.mlp?.gate ?? [], inner));
    put(`${mlp}.W_out`, [inner, width], writes(layer.mlp?.out ?? [], inner));
  });
  put('unembed.W_U', [width, vocab], reads(hand.unembed, vocab));
  const config = {
    model_type: 'attention_only',
    n_layers: hand.layers.length,
    n_heads: heads,
    d_model: width,
    d_head: headWidth,
    d_vocab: vocab,
    n_ctx: context,
    normalization_type: null,
    positional_embedding_type: 'standard',
    use_attn_scale: false,
    bos_token_id: hand.bos ?? 0,
    ...(inner > 0 ? { d_mlp: inner, act_fn: 'relu' } : {}),
    ...(gated ? { gated_mlp: true } : {}),
  };
  const model = decoderFromCheckpoint(memoryCheckpoint(`zoo:${name}`, config, tensors), `zoo:${name}`);
  return { ...model, graph: { ...model.graph, nodes: model.graph.nodes.map((node) => adapted(node, hand)) } };
}

/** What a decoder's graph fixes and a hand-written model may want otherwise. The weights do not know of it. */
function adapted(node: GraphNode, { bidirectional = false, linear = false }: HandTransformer): GraphNode {
  if (bidirectional && node.op === 'scores') return { ...node, attrs: { ...node.attrs, causal: false } };
  // A sum of one term is that term, and keeps the site.
  if (linear && node.op === 'activation') return { ...node, op: 'sum', attrs: {} };
  return node;
}

function dense(cells: readonly Cell[], rows: number, columns: number): Float64Array {
  const data = new Float64Array(rows * columns);
  for (const [row, column, value] of cells) data[row * columns + column] = (data[row * columns + column] ?? 0) + value;
  return data;
}

function transpose(data: Float64Array, rows: number, columns: number): Float64Array {
  return data.map((_, at) => data[(at % rows) * columns + Math.floor(at / rows)] ?? 0);
}

/** data [rows, width] · R */
function turn(data: Float64Array, rows: number, width: number, basis: Float64Array | null): Float64Array {
  if (!basis) return data;
  const out = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < width; k++) {
      const x = data[row * width + k] ?? 0;
      if (x !== 0)
        for (let j = 0; j < width; j++)
          out[row * width + j] = (out[row * width + j] ?? 0) + x * (basis[k * width + j] ?? 0);
    }
  }
  return out;
}

/** A random orthogonal matrix: Gram and Schmidt on Gaussian rows, twice for accuracy. */
export function rotation(width: number, seed: number): Float64Array {
  const rng = new Rng(seed, 'zoo/rotation');
  const rows: Float64Array[] = [];
  for (let row = 0; row < width; row++) {
    const vector = Float64Array.from({ length: width }, () => rng.normal());
    for (const previous of [...rows, ...rows]) {
      const along = previous.reduce((sum, value, i) => sum + value * (vector[i] ?? 0), 0);
      for (let i = 0; i < width; i++) vector[i] = (vector[i] ?? 0) - along * (previous[i] ?? 0);
    }
    const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
    rows.push(vector.map((value) => value / norm));
  }
  return Float64Array.from(rows.flatMap((vector) => [...vector]));
}

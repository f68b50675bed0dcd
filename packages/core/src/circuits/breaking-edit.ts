import { CircuitscopeError, edgeLabel, type Hash, type Intervention } from '@circuitscope/schema';
import type { Model } from '../architectures/index.ts';
import type { Edge } from '../graph/index.ts';
import { readWeight } from '../plan/index.ts';
import { digestTensor, type Rng, type Tensor } from '../tensor/index.ts';
import { gainOf, writingMatrix } from './head-matrices.ts';

/** A change of one head's reading weights that takes a subspace of the stream out of what it can read. */
export interface SubspaceEdit {
  readonly interventions: readonly Intervention[];
  readonly artefact: { readonly hash: Hash; readonly tensor: Tensor };
  /** Dimension of the subspace. */
  readonly rank: number;
}

/**
 * The weight edit that an edge predicts to matter: the reader's W_Q, W_K or W_V loses the subspace that the writer's W_O
 * writes into. If the edge carries the behaviour, the edited model must lose it as the model with that edge cut does. The
 * two are equal where nothing else lies in that subspace and no norm stands between; else the edit also takes what other
 * writers put there, and leaves the norm's scale as it was.
 */
export function breakingEdit(model: Model, edge: Edge): SubspaceEdit {
  if (edge.from.kind !== 'head' || edge.to.kind !== 'head') {
    throw new CircuitscopeError(
      'unsupported_edge',
      `A reading weight can be edited for an edge between heads, not for ${edgeLabel(edge)}.`,
      { got: edgeLabel(edge) },
    );
  }
  const { data, rows, columns } = writingMatrix(model, edge.from.layer, edge.from.head);
  const vectors = Array.from({ length: rows }, (_, row) => data.slice(row * columns, (row + 1) * columns));
  return subspaceEdit(model, edge.to, vectors);
}

/** The same with a random subspace of the same dimension: what losing that many dimensions does by itself. */
export function randomEdit(model: Model, edge: Edge, rank: number, rng: Rng): SubspaceEdit {
  if (edge.to.kind !== 'head')
    throw new CircuitscopeError(
      'unsupported_edge',
      `A reading weight can be edited for an edge into a head, not for ${edgeLabel(edge)}.`,
      { got: edgeLabel(edge) },
    );
  const vectors = Array.from({ length: rank }, () =>
    Float64Array.from({ length: model.spec.width }, () => rng.normal()),
  );
  return subspaceEdit(model, edge.to, vectors);
}

function subspaceEdit(
  model: Model,
  to: Extract<Edge['to'], { kind: 'head' }>,
  written: readonly Float64Array[],
): SubspaceEdit {
  const { width, headWidth, norm } = model.spec;
  // A reader into k or v of grouped heads is the stored, shared head: the edit reaches all that share it, as the cut does.
  const stored = to.head;
  const gain = gainOf(model, `blocks.${to.layer}.ln1`);
  // Behind a norm the weights see the written vectors centred (layer norm) and times the gain.
  const seen = written.map((vector) => {
    const mean = norm?.kind === 'layer' ? vector.reduce((a, b) => a + b, 0) / width : 0;
    return vector.map((value, i) => (value - mean) * (gain?.[i] ?? 1));
  });
  const basis = orthonormal(seen);
  const param = `blocks.${to.layer}.attn.W_${to.port.toUpperCase()}`;
  const all = readWeight(model.weights, param);
  const columns = all.shape[1] ?? 0;
  const block = new Float64Array(width * headWidth);
  for (let row = 0; row < width; row++)
    for (let j = 0; j < headWidth; j++)
      block[row * headWidth + j] = all.data[row * columns + stored * headWidth + j] ?? 0;
  for (const direction of basis) {
    for (let j = 0; j < headWidth; j++) {
      let along = 0;
      for (let row = 0; row < width; row++) along += (direction[row] ?? 0) * (block[row * headWidth + j] ?? 0);
      for (let row = 0; row < width; row++)
        block[row * headWidth + j] = (block[row * headWidth + j] ?? 0) - along * (direction[row] ?? 0);
    }
  }
  const tensor: Tensor = { shape: [width, headWidth], data: Float32Array.from(block) };
  const hash = digestTensor(tensor);
  return {
    interventions: [{ kind: 'weight', param, head: stored, op: 'set', value: { kind: 'artefact', hash } }],
    artefact: { hash, tensor },
    rank: basis.length,
  };
}

/** Gram and Schmidt, twice for accuracy; vectors that add nothing are left out. */
function orthonormal(vectors: readonly Float64Array[]): Float64Array[] {
  const basis: Float64Array[] = [];
  for (const vector of vectors) {
    const rest = Float64Array.from(vector);
    const before = Math.sqrt(dot(rest, rest));
    for (const direction of [...basis, ...basis]) {
      const along = dot(direction, rest);
      for (let i = 0; i < rest.length; i++) rest[i] = (rest[i] ?? 0) - along * (direction[i] ?? 0);
    }
    const norm = Math.sqrt(dot(rest, rest));
    if (norm > 1e-6 * before && norm > 0) basis.push(rest.map((value) => value / norm));
  }
  return basis;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

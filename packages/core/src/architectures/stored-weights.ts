import { CircuitscopeError } from '@circuitscope/schema';
import { type Checkpoint, readStored, viewInFile } from '../checkpoints/index.ts';
import type { Weight, WeightMapping, Weights } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import type { WeightSource } from './architecture.ts';

/**
 * The weights that a graph reads, as views into stored tensors; nothing is read yet. Every tensor must be there with the
 * right shape, and nothing may be left over but what `ignorable` names.
 */
export function storedWeights(
  checkpoint: Checkpoint,
  sources: ReadonlyMap<string, WeightSource>,
  ignorable: RegExp,
): { readonly weights: Weights; readonly parameters: number } {
  checkTensors(checkpoint, sources, ignorable);
  const used = new Set([...sources.values()].map(({ tensor }) => tensor));
  const parameters = [...used].reduce(
    (sum, name) => sum + (checkpoint.tensors.get(name)?.shape ?? []).reduce((a, b) => a * b, 1),
    0,
  );
  const weights = new Map<string, Weight>();
  for (const [weight, source] of sources) weights.set(weight, storedWeight(checkpoint, weight, source));
  return { weights, parameters };
}

/** Every tensor that the graph reads must be there with the right shape, and nothing may be left over unread. */
function checkTensors(checkpoint: Checkpoint, sources: ReadonlyMap<string, WeightSource>, ignorable: RegExp): void {
  const used = new Set<string>();
  for (const { tensor, stored } of sources.values()) {
    used.add(tensor);
    const found = checkpoint.tensors.get(tensor);
    if (!found) {
      throw new CircuitscopeError(
        'missing_tensor',
        `${checkpoint.path} lacks the tensor ${tensor}, which its config calls for.`,
        { at: checkpoint.path, expected: tensor },
      );
    }
    if (found.shape.join() !== stored.join()) {
      throw new CircuitscopeError(
        'shape_mismatch',
        `${checkpoint.path}: ${tensor} has shape [${found.shape.join(', ')}]; its config calls for [${stored.join(', ')}].`,
        {
          at: `${checkpoint.path}: ${tensor}`,
          expected: stored.join(' × '),
          got: found.shape.join(' × '),
        },
      );
    }
  }
  const unread = [...checkpoint.tensors.keys()].filter(
    (name) => !used.has(name) && !ignorable.test(name) && !isTiedCopy(checkpoint, name),
  );
  if (unread.length === 0) return;
  throw new CircuitscopeError(
    'unknown_tensor',
    `${checkpoint.path} holds tensors that this architecture has no use for: ${unread.slice(0, 4).join(', ')}${unread.length > 4 ? ', …' : ''}.`,
    {
      at: checkpoint.path,
      got: unread.slice(0, 4).join(', '),
    },
  );
}

/** Some checkpoints store the tied unembedding a second time; the config says that the embedding is what counts. */
function isTiedCopy(checkpoint: Checkpoint, name: string): boolean {
  const embedding =
    checkpoint.tensors.get('transformer.wte.weight') ?? checkpoint.tensors.get('model.embed_tokens.weight');
  return name === 'lm_head.weight' && checkpoint.tensors.get(name)?.shape.join() === embedding?.shape.join();
}

function storedWeight(checkpoint: Checkpoint, name: string, source: WeightSource): Weight {
  const stored = checkpoint.tensors.get(source.tensor);
  if (!stored)
    throw new CircuitscopeError('missing_tensor', `${checkpoint.path} lacks the tensor ${source.tensor}.`, {
      at: checkpoint.path,
    });
  const weight: Weight = { name, shape: source.shape, read: () => gather(readStored(stored), source) };
  const file = checkpoint.files.find(({ path }) => path === stored.file);
  const mappable = stored.dtype === 'f32' || stored.dtype === 'bf16' || stored.dtype === 'f16';
  const view = viewInFile(stored, source);
  if (!file || !view || stored.data || source.headStride || source.plus || !mappable) return weight;
  const mapping: WeightMapping = {
    path: stored.file,
    fileBytes: file.byteLength,
    byteOffset: stored.byteOffset,
    byteLength: stored.byteLength,
    dtype: stored.dtype as WeightMapping['dtype'],
    ...view,
  };
  return { ...weight, mapping };
}

/** Copies a strided view of a stored tensor to dense row-major order. */
function gather(data: Float32Array, { offset, shape, strides, headStride, plus = 0 }: WeightSource): Floats {
  const [rows, columns] = shape.length === 1 ? [1, shape[0] ?? 0] : [shape[0] ?? 0, shape[1] ?? 0];
  const [down, across] = shape.length === 1 ? [0, strides[0] ?? 1] : [strides[0] ?? 1, strides[1] ?? 1];
  if (across === 1 && !headStride && plus === 0 && offset + (rows - 1) * down + columns <= data.length) {
    const out = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++)
      out.set(data.subarray(offset + row * down, offset + row * down + columns), row * columns);
    return out;
  }
  const width = headStride ? columns / headStride.count : columns;
  const out = plus === 0 ? new Float32Array(rows * columns) : new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const head = headStride ? Math.floor(column / width) * headStride.stride : 0;
      out[row * columns + column] = (data[offset + row * down + head + (column % width) * across] ?? 0) + plus;
    }
  }
  return out;
}

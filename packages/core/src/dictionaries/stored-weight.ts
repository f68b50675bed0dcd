import type { StoredTensor } from '../checkpoints/index.ts';
import { readStored, viewInFile } from '../checkpoints/index.ts';
import { fileLength } from '../checkpoints/read-bytes.ts';
import type { Weight, WeightMapping } from '../plan/index.ts';
import { shapeMismatch } from './dictionary.ts';

/** A matrix or vector inside a stored tensor, in elements. */
export interface View {
  /** Shape that the stored tensor must have. */
  readonly stored: readonly number[];
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
}

export function whole(shape: readonly number[]): View {
  return { stored: shape, shape, strides: shape.length === 2 ? [shape[1] ?? 1, 1] : [1], offset: 0 };
}

/** A stored [out, in] matrix as [in, out]. */
export function turned(into: number, out: number): View {
  return { stored: [out, into], shape: [into, out], strides: [1, into], offset: 0 };
}

/**
 * A weight that stays in its file until an executor maps or reads it. Nothing but the header has been read.
 * @throws CircuitscopeError `shape_mismatch`
 */
export function storedWeight(name: string, stored: StoredTensor, view: View): Weight {
  if (stored.shape.join() !== view.stored.join())
    throw shapeMismatch(`${stored.file}: ${stored.name}`, view.stored, stored.shape);
  const weight: Weight = { name, shape: view.shape, read: () => gather(readStored(stored), view) };
  const { dtype } = stored;
  const inFile = viewInFile(stored, view);
  if (!inFile || (dtype !== 'f32' && dtype !== 'bf16' && dtype !== 'f16')) return weight;
  const mapping: WeightMapping = {
    path: stored.file,
    fileBytes: fileLength(stored.file),
    byteOffset: stored.byteOffset,
    byteLength: stored.byteLength,
    dtype,
    ...inFile,
  };
  return { ...weight, mapping };
}

/** Copies a strided view to dense row-major order. */
function gather(data: Float32Array, { offset, shape, strides, stored }: View): Float32Array {
  if (shape.join() === stored.join()) return data;
  const [rows = 1, columns = 1] = shape.length === 1 ? [1, shape[0]] : shape;
  const [down = 0, across = 1] = shape.length === 1 ? [0, strides[0]] : strides;
  const out = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      out[row * columns + column] = data[offset + row * down + column * across] ?? 0;
  return out;
}

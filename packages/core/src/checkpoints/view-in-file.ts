import type { StoredTensor } from './checkpoint.ts';
import { isPacked } from './unpack-stored.ts';

/** Part of a stored tensor, in entries of its row-major order. */
export interface TensorView {
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/**
 * The same view as offset and strides in the file, where the tensor lies there with strides of its own; null where two
 * strides cannot say it or it is packed, and the tensor has to be read instead.
 */
export function viewInFile(
  stored: StoredTensor,
  view: TensorView,
): { readonly offset: number; readonly strides: readonly number[] } | null {
  const { shape, strides } = stored;
  if (isPacked(stored)) return null;
  if (!strides) return { offset: view.offset, strides: view.strides };
  const axes = shape.map((size, axis) => {
    const step = shape.slice(axis + 1).reduce((product, each) => product * each, 1);
    return { size, step, stride: strides[axis] ?? 0, index: Math.floor(view.offset / step) % size };
  });
  const steps = view.strides.map((stride, i) => {
    const last = (view.shape[i] ?? 1) - 1;
    if (last <= 0) return 0;
    // Steps along one axis must stay on it: from the end of a row there is no constant step to the next one.
    const axis = axes.find(
      ({ size, step, index }) => stride % step === 0 && stride > 0 && index + (stride / step) * last < size,
    );
    return axis && (stride / axis.step) * axis.stride;
  });
  if (!steps.every((step) => step !== undefined)) return null;
  return { offset: axes.reduce((sum, { index, stride }) => sum + index * stride, 0), strides: steps };
}

import type { StoredTensor } from '../checkpoints/index.ts';

// Keras weights in the order of channels-first nets: seen by strides, never copied.

/** A kernel [down, across, in, out] seen as [out, in, down, across]. */
export function channelsFirst(kernel: StoredTensor): StoredTensor {
  const [down = 1, across = 1, into = 1, out = 1] = kernel.shape;
  return { ...kernel, shape: [out, into, down, across], strides: [1, out, across * into * out, into * out] };
}

/** A kernel [down, across, channel, multiplier] seen as [channel · multiplier, 1, down, across]. */
export function depthwise(kernel: StoredTensor): StoredTensor {
  const [down = 1, across = 1, channels = 1, multiplier = 1] = kernel.shape;
  const out = channels * multiplier;
  return { ...kernel, shape: [out, 1, down, across], strides: [1, 0, across * out, out] };
}

/**
 * A dense kernel [in, out] seen as [out, in]; behind a flattened image, whose rows are in the order height, width, channel,
 * as [out, channel, height, width].
 */
export function denseKernel(
  kernel: StoredTensor,
  [channels, height, width]: readonly [channels: number, height: number, width: number],
): StoredTensor {
  const [into = 1, out = 1] = kernel.shape;
  return height * width === 1
    ? { ...kernel, shape: [out, into], strides: [1, out] }
    : { ...kernel, shape: [out, channels, height, width], strides: [1, out, width * channels * out, channels * out] };
}

/** Weights that no file holds. */
export function madeWeights(shape: readonly number[], value: (at: number) => number): StoredTensor {
  const length = shape.reduce((product, size) => product * size, 1);
  const data = Float32Array.from({ length }, (_, at) => value(at));
  return { name: '', dtype: 'f32', shape, file: '', byteOffset: 0, byteLength: data.byteLength, data };
}

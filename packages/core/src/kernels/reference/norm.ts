import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { affine } from './affine.ts';
import { input, outShape, wanted } from './call-reader.ts';
import { normScale } from './norm-scale.ts';
import { normalize } from './normalize.ts';

/** norm_scale, normalize and affine in one step, with the bits of the three. Exact. */
export const norm: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const part = (kernel: KernelCall['kernel'], inputs: KernelCall['inputs'], shape: readonly number[]): KernelCall => ({
    kernel,
    inputs,
    params: kernel === 'affine' ? call.params : [],
    attrs: call.attrs,
    outShapes: [shape],
    wanted: [true],
  });
  const scaleShape = outShape(call, 1, [...x.shape.slice(0, -1), 1]);
  const [scale = null] = normScale(part('norm_scale', [x], scaleShape), make);
  const [normalized = null] = normalize(part('normalize', [x, scale], outShape(call, 2, x.shape)), make);
  const [out = null] = affine(part('affine', [normalized], outShape(call, 0, x.shape)), make);
  return [out, wanted(call, 1) ? scale : null, wanted(call, 2) ? normalized : null];
};

import type { Tensor } from '../../tensor/index.ts';
import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { expectShape, input, numberAttr, outShape, wanted } from './call-reader.ts';
import { mix } from './mix.ts';
import { mixTransposed } from './mix-transposed.ts';
import { readsKey } from './reads-key.ts';
import { scale } from './scale.ts';
import { scores } from './scores.ts';
import { softCap } from './soft-cap.ts';
import { softCapGrad } from './soft-cap-grad.ts';
import { softmaxGrad } from './softmax-grad.ts';

/**
 * The way back through attention: dp = scores(ct, v), ds = softmax_grad(pattern, dp), from there on with a cap soft_cap_grad of
 * ds for the scores computed anew (−∞ where the pattern is 0), dq = mix(ds, k)·scale, dk = mix_transposed(ds, q)·scale,
 * dv = mix_transposed(pattern, ct), with the bits of these steps. What the pattern holds where `causal` or `window` hides a key is
 * taken as 0.
 */
export const attentionGrad: ReferenceKernel = (call, make) => {
  const [q, k, v, given, ct] = [0, 1, 2, 3, 4].map((at) => input(call, at)) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  expectShape(call, 'pattern', given.shape, [null, null, null, null]);
  const [, , pos = 0, keys = 0] = given.shape;
  const reads = readsKey(call, pos, keys);
  const pattern = make(given.shape);
  given.data.forEach((weight, at) => {
    pattern.data[at] = reads(Math.floor(at / keys) % pos, at % keys) ? weight : 0;
  });
  const step = (
    kernel: ReferenceKernel,
    name: KernelCall['kernel'],
    inputs: KernelCall['inputs'],
    out: readonly number[],
    attrs: KernelCall['attrs'],
  ): Tensor => kernel({ kernel: name, inputs, params: [], attrs, outShapes: [out], wanted: [true] }, make)[0] as Tensor;
  const dp = step(scores, 'scores', [ct, v, null], given.shape, { scale: 1, causal: false });
  const ds = step(softmaxGrad, 'softmax_grad', [pattern, dp], given.shape, {});
  const capped = call.attrs.cap === undefined ? ds : throughCap(call, make, { q, k, pattern, ds });
  const factor = { factor: numberAttr(call, 'scale') };
  const scaled = (x: Tensor): Tensor => step(scale, 'scale', [x], x.shape, factor);
  const [dqShape, dkShape, dvShape] = [
    outShape(call, 0, q.shape),
    outShape(call, 1, k.shape),
    outShape(call, 2, v.shape),
  ];
  return [
    wanted(call, 0) ? scaled(step(mix, 'mix', [capped, k], dqShape, {})) : null,
    wanted(call, 1) ? scaled(step(mixTransposed, 'mix_transposed', [capped, q], dkShape, {})) : null,
    wanted(call, 2) ? step(mixTransposed, 'mix_transposed', [pattern, ct], dvShape, {}) : null,
    call.outShapes[3] && wanted(call, 3) ? { shape: outShape(call, 3, given.shape), data: ds.data } : null,
  ];
};

/** The cotangent of the products of queries and keys, given that of what they were capped to. */
function throughCap(
  call: KernelCall,
  make: Parameters<ReferenceKernel>[1],
  { q, k, pattern, ds }: { readonly [name in 'q' | 'k' | 'pattern' | 'ds']: Tensor },
): Tensor {
  const common = { params: [], attrs: call.attrs, outShapes: [pattern.shape], wanted: [true] };
  const raw = scores({ ...common, kernel: 'scores', inputs: [q, k, null] }, make)[0] as Tensor;
  const seen = make(pattern.shape);
  pattern.data.forEach((weight, at) => {
    seen.data[at] = weight === 0 ? Number.NEGATIVE_INFINITY : (raw.data[at] ?? 0);
  });
  const [capped = null] = softCap({ ...common, kernel: 'soft_cap', inputs: [seen] }, make);
  return softCapGrad({ ...common, kernel: 'soft_cap_grad', inputs: [capped, ds] }, make)[0] as Tensor;
}

import { CircuitscopeError } from '@circuitscope/schema';
import { zeros } from '../../tensor/index.ts';
import { type KernelCall, type KernelName, type KernelResult, kernelSpec, type ReferenceKernel } from '../contract.ts';
import { activation } from './activation.ts';
import { affine } from './affine.ts';
import { attention } from './attention.ts';
import { biasActTopK } from './bias-act-top-k.ts';
import { columns } from './columns.ts';
import { crossEntropy } from './cross-entropy.ts';
import { direction } from './direction.ts';
import { edgeRead } from './edge-read.ts';
import { edit } from './edit.ts';
import { embed } from './embed.ts';
import { gatherRows } from './gather-rows.ts';
import { headLinear } from './head-linear.ts';
import { headResult } from './head-result.ts';
import { linear } from './linear.ts';
import { mix } from './mix.ts';
import { mul } from './mul.ts';
import { norm } from './norm.ts';
import { normScale } from './norm-scale.ts';
import { normalize } from './normalize.ts';
import { projectDot } from './project-dot.ts';
import { repeat } from './repeat.ts';
import { rotary } from './rotary.ts';
import { scores } from './scores.ts';
import { softmax } from './softmax.ts';
import { subtract } from './subtract.ts';
import { sum } from './sum.ts';
import { topK } from './top-k.ts';

export const referenceKernels: { readonly [name in KernelName]: ReferenceKernel } = {
  embed,
  sum,
  mul,
  subtract,
  norm_scale: normScale,
  normalize,
  affine,
  norm,
  linear,
  head_linear: headLinear,
  head_result: headResult,
  rotary,
  scores,
  softmax,
  mix,
  attention,
  activation,
  repeat,
  gather_rows: gatherRows,
  columns,
  cross_entropy: crossEntropy,
  top_k: topK,
  edit,
  direction,
  edge_read: edgeRead,
  project_dot: projectDot,
  bias_act_top_k: biasActTopK,
};

/**
 * Runs one step. 'f32' stores Float32Array, 'f64' Float64Array throughout: the oracle. Inputs may be of either
 * precision; integer outputs are Int32Array in both.
 * @throws CircuitscopeError `bad_shape`, `bad_dtype`, `bad_attribute`, `missing_value`, `out_of_range`, `too_large`
 */
export function runReference(call: KernelCall, precision: 'f32' | 'f64' = 'f32'): KernelResult {
  const kernel = referenceKernels[call.kernel];
  if (!kernel) {
    throw new CircuitscopeError('unknown_kernel', `There is no kernel ${call.kernel}.`, { got: call.kernel });
  }
  const { inputs, params } = kernelSpec(call.kernel);
  if (!inputs.some((spec) => spec.many)) checkCount(call, 'inputs', call.inputs.length, inputs.length);
  checkCount(call, 'parameters', call.params.length, params.length);
  const results = kernel(call, (shape) => zeros(shape, precision));
  return results.map((result, index) => (call.wanted[index] === false ? null : result));
}

function checkCount(call: KernelCall, what: string, got: number, most: number): void {
  if (got <= most) return;
  throw new CircuitscopeError('bad_call', `${call.kernel} takes at most ${most} ${what}, not ${got}.`, {
    at: call.kernel,
    expected: `at most ${most} ${what}`,
    got: String(got),
  });
}

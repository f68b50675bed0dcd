import { CircuitscopeError } from '@circuitscope/schema';
import { zeros } from '../../tensor/index.ts';
import { type KernelCall, type KernelName, type KernelResult, kernelSpec, type ReferenceKernel } from '../contract.ts';
import { activation } from './activation.ts';
import { activationGrad } from './activation-grad.ts';
import { addAlibi } from './add-alibi.ts';
import { addAlibiGrad } from './add-alibi-grad.ts';
import { addBias } from './add-bias.ts';
import { addBiasGrad } from './add-bias-grad.ts';
import { addGated } from './add-gated.ts';
import { affine } from './affine.ts';
import { attention } from './attention.ts';
import { attentionGrad } from './attention-grad.ts';
import { avgPool2d } from './avg-pool2d.ts';
import { avgPool2dGrad } from './avg-pool2d-grad.ts';
import { activeTopK, biasActTopK } from './bias-act-top-k.ts';
import { channelAffine } from './channel-affine.ts';
import { channelSum } from './channel-sum.ts';
import { choices } from './choices.ts';
import { clip } from './clip.ts';
import { clipGrad } from './clip-grad.ts';
import { columnSum } from './column-sum.ts';
import { columns } from './columns.ts';
import { columnsGrad } from './columns-grad.ts';
import { columnsGradBias } from './columns-grad-bias.ts';
import { columnsGradWeight } from './columns-grad-weight.ts';
import { concatChannels } from './concat-channels.ts';
import { concatPositions } from './concat-positions.ts';
import { conv2d } from './conv2d.ts';
import { conv2dGradInput } from './conv2d-grad-input.ts';
import { conv2dGradWeight } from './conv2d-grad-weight.ts';
import { correlateTopK } from './correlate-top-k.ts';
import { crossEntropy } from './cross-entropy.ts';
import { crossEntropyGrad } from './cross-entropy-grad.ts';
import { assign, eigenvalues, qr, svd, symmetricEigen } from './decompositions.ts';
import { direction } from './direction.ts';
import { edgeRead } from './edge-read.ts';
import { edgeReadGrad } from './edge-read-grad.ts';
import { edit } from './edit.ts';
import { embed } from './embed.ts';
import { embedGrad } from './embed-grad.ts';
import { expert } from './expert.ts';
import { gateGrad } from './gate-grad.ts';
import { gatherRows } from './gather-rows.ts';
import { gram } from './gram.ts';
import { headLinear } from './head-linear.ts';
import { headLinearGradWeight } from './head-linear-grad-weight.ts';
import { headResult } from './head-result.ts';
import { headResultGrad } from './head-result-grad.ts';
import { headResultGradWeight } from './head-result-grad-weight.ts';
import { jumpRelu } from './jump-relu.ts';
import { latentStatistics } from './latent-statistics.ts';
import { linear } from './linear.ts';
import { linearGradWeight } from './linear-grad-weight.ts';
import { maxPool2d } from './max-pool2d.ts';
import { maxPool2dGrad } from './max-pool2d-grad.ts';
import { mix } from './mix.ts';
import { mixTransposed } from './mix-transposed.ts';
import { mul } from './mul.ts';
import { norm } from './norm.ts';
import { normGrad } from './norm-grad.ts';
import { normScale } from './norm-scale.ts';
import { normScaleGrad } from './norm-scale-grad.ts';
import { normalize } from './normalize.ts';
import { normalizeGrad } from './normalize-grad.ts';
import { normalizeGradScale } from './normalize-grad-scale.ts';
import { outer } from './outer.ts';
import { pairDots } from './pair-dots.ts';
import { activeCsr, projectCsr } from './project-csr.ts';
import { projectDot } from './project-dot.ts';
import { repeat } from './repeat.ts';
import { reshape } from './reshape.ts';
import { rotary, rotate } from './rotary.ts';
import { route } from './route.ts';
import { routeGrad } from './route-grad.ts';
import { scale } from './scale.ts';
import { scatterRows } from './scatter-rows.ts';
import { scores } from './scores.ts';
import { sliceChannels } from './slice-channels.ts';
import { softCap } from './soft-cap.ts';
import { softCapGrad } from './soft-cap-grad.ts';
import { softmax } from './softmax.ts';
import { softmaxGrad } from './softmax-grad.ts';
import { subtract } from './subtract.ts';
import { sum } from './sum.ts';
import { topK } from './top-k.ts';
import { topKMask } from './top-k-mask.ts';
import { vocabStatistics } from './vocab-statistics.ts';
import { whereNonzero } from './where-nonzero.ts';

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
  rotate,
  scores,
  soft_cap: softCap,
  soft_cap_grad: softCapGrad,
  softmax,
  mix,
  attention,
  activation,
  repeat,
  reshape,
  gather_rows: gatherRows,
  add_alibi: addAlibi,
  add_alibi_grad: addAlibiGrad,
  add_bias: addBias,
  add_bias_grad: addBiasGrad,
  concat_positions: concatPositions,
  concat_channels: concatChannels,
  slice_channels: sliceChannels,
  clip,
  clip_grad: clipGrad,
  columns,
  cross_entropy: crossEntropy,
  top_k: topK,
  edit,
  direction,
  edge_read: edgeRead,
  pair_dots: pairDots,
  project_dot: projectDot,
  activation_grad: activationGrad,
  attention_grad: attentionGrad,
  column_sum: columnSum,
  columns_grad: columnsGrad,
  columns_grad_bias: columnsGradBias,
  columns_grad_weight: columnsGradWeight,
  cross_entropy_grad: crossEntropyGrad,
  edge_read_grad: edgeReadGrad,
  embed_grad: embedGrad,
  head_linear_grad_weight: headLinearGradWeight,
  head_result_grad: headResultGrad,
  head_result_grad_weight: headResultGradWeight,
  jump_relu: jumpRelu,
  linear_grad_weight: linearGradWeight,
  mix_transposed: mixTransposed,
  norm_grad: normGrad,
  norm_scale_grad: normScaleGrad,
  normalize_grad: normalizeGrad,
  normalize_grad_scale: normalizeGradScale,
  outer,
  scale,
  scatter_rows: scatterRows,
  softmax_grad: softmaxGrad,
  top_k_mask: topKMask,
  route,
  route_grad: routeGrad,
  choices,
  add_gated: addGated,
  gate_grad: gateGrad,
  expert,
  vocab_statistics: vocabStatistics,
  where_nonzero: whereNonzero,
  bias_act_top_k: biasActTopK,
  project_csr: projectCsr,
  active_csr: activeCsr,
  latent_statistics: latentStatistics,
  active_top_k: activeTopK,
  conv2d,
  conv2d_grad_input: conv2dGradInput,
  conv2d_grad_weight: conv2dGradWeight,
  channel_affine: channelAffine,
  channel_sum: channelSum,
  max_pool2d: maxPool2d,
  max_pool2d_grad: maxPool2dGrad,
  avg_pool2d: avgPool2d,
  avg_pool2d_grad: avgPool2dGrad,
  gram,
  correlate_top_k: correlateTopK,
  svd,
  symmetric_eigen: symmetricEigen,
  qr,
  eigenvalues,
  assign,
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

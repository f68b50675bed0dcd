import { boundShape, type Program, type Sizes, type Step } from './program.ts';
import { findWeight, type Weights } from './weights.ts';

/** Shapes of a step's first inputs, its first output and its first parameter. */
interface StepShapes {
  readonly in: readonly (readonly number[])[];
  readonly out: readonly number[];
  readonly param: readonly number[];
  readonly step: Step;
}

const product = (sizes: readonly number[] | undefined): number => (sizes ?? []).reduce((a, b) => a * b, 1);
const last = (sizes: readonly number[] | undefined): number => sizes?.at(-1) ?? 1;
/** Queries × keys × heads × rows, times the width of a head; every pair counts, masked ones too. */
const pairs = ({ in: [q, k] }: StepShapes): number => product(q) * (k?.[1] ?? 0);
const throughMatrix = ({ in: [x], param, step }: StepShapes): number =>
  product(x) * ((step.attrs.transposed === true ? param[0] : param[1]) ?? 0);
const convolution = ({ in: [x], out, param }: StepShapes): number => {
  const [images, places] = x?.length === 4 ? [x[0] ?? 0, product((out.length === 4 ? out : x).slice(2))] : [0, 0];
  return images * places * product(param);
};

/** Multiply-adds of the kernels that are matrix products; the others' work is linear in what they read. */
const counts: { readonly [kernel: string]: (of: StepShapes) => number } = {
  linear: throughMatrix,
  bias_act_top_k: throughMatrix,
  project_csr: throughMatrix,
  head_linear: ({ in: [x], out }) => product(out) * last(x),
  head_result: ({ in: [z], out }) => product(out) * last(z),
  scores: pairs,
  attention: (of) => 2 * pairs(of),
  attention_grad: (of) => 5 * pairs(of),
  mix: ({ in: [pattern], out }) => product(pattern) * last(out),
  mix_transposed: ({ in: [pattern], out }) => product(pattern) * last(out),
  columns: ({ in: [x], out }) => product(out) * last(x),
  // Reference rows are read once, however many rows are held against each.
  vocab_statistics: ({ in: [x, , reference], param, step }) =>
    (product(x) + ((step.in[2] ?? -1) < 0 ? 0 : product(reference))) * (param[1] ?? 0),
  pair_dots: ({ in: [x], out }) => (product(x) / (product(out.slice(2)) * (out[0] ?? 1) || 1)) * product(out),
  project_dot: ({ in: [x] }) => product(x),
  linear_grad_weight: ({ in: [x, ct] }) => product(ct) * (product(x) / (product(x?.slice(0, 2)) || 1)),
  head_linear_grad_weight: ({ in: [x, ct] }) => product(ct) * last(x),
  head_result_grad: ({ in: [ct], out }) => product(out) * last(ct),
  head_result_grad_weight: ({ in: [z, ct] }) => product(z) * last(ct),
  columns_grad: ({ in: [ct], out }) => product(out) * last(ct),
  conv2d: convolution,
  conv2d_grad_input: convolution,
};

/**
 * Multiply-adds of a program's matrix products at given sizes: known before it runs, and what one way of computing the
 * same numbers is compared by with another.
 */
export function countProducts(program: Program, sizes: Sizes, weights: Weights): number {
  const shapeOf = (value: number | undefined): readonly number[] =>
    boundShape(program.values[value ?? -1]?.shape ?? [], sizes);
  return program.steps.reduce((total, step) => {
    const param = program.params[step.params[0] ?? -1];
    const shapes = {
      in: step.in.slice(0, 3).map(shapeOf),
      out: shapeOf(step.out[0]),
      param: param === undefined ? [] : findWeight(weights, param).shape,
      step,
    };
    return total + (counts[step.kernel]?.(shapes) ?? 0);
  }, 0);
}

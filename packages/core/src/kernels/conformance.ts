import type { Floats, IntTensor, Tensor } from '../tensor/index.ts';
import { attentionGradientCases } from './conformance/attention-gradient-cases.ts';
import type { Allowed } from './conformance/bounds.ts';
import { choiceCases } from './conformance/choice-cases.ts';
import { decompositionCases } from './conformance/decomposition-cases.ts';
import { doubleCases } from './conformance/double-cases.ts';
import { editCases } from './conformance/edit-cases.ts';
import { elementwiseCases } from './conformance/elementwise-cases.ts';
import { expertCases } from './conformance/expert-cases.ts';
import { gradientCases } from './conformance/gradient-cases.ts';
import { mixingCases } from './conformance/mixing-cases.ts';
import { normCases } from './conformance/norm-cases.ts';
import { productCases } from './conformance/product-cases.ts';
import { scoreCases } from './conformance/score-cases.ts';
import { visionCases } from './conformance/vision-cases.ts';
import { vocabularyCases } from './conformance/vocabulary-cases.ts';
import type { KernelCall, KernelResult } from './contract.ts';
import { runReference } from './reference/index.ts';

// One list for every implementation: the reference runs it against known answers, the native one against the reference.

/**
 * `exact`: the bits of the f32 reference, NaN equal to NaN. Otherwise an error per entry against the float64 oracle that
 * theory allows to any order of the same sums; it is zero where the oracle gives NaN or an infinity, which must be met.
 */
export type Bound = 'exact' | { readonly allowed: Allowed; readonly because: string };

export interface ConformanceCase extends KernelCall {
  readonly name: string;
  readonly bound: Bound;
  /**
   * True where the f32 reference makes the same roundings as native code in the same order, so that the bits agree too.
   * (The reference rounds a fused product twice; that shows in one of 2^29 links and in none of these cases.)
   */
  readonly sameBits?: true;
  /** Answers known without any implementation, one list an output, rounded to float32 before they are compared. */
  readonly expect?: readonly (readonly number[] | null)[];
  /** True where the known answer rests on float32 rounding, of the inputs or on the way; the oracle need not give it. */
  readonly rounded?: true;
  /** The code of the error that the call must give. */
  readonly fails?: string;
}

export const conformanceCases: readonly ConformanceCase[] = [
  ...elementwiseCases,
  ...normCases,
  ...productCases,
  ...mixingCases,
  ...choiceCases,
  ...vocabularyCases,
  ...editCases,
  ...gradientCases,
  ...attentionGradientCases,
  ...scoreCases,
  ...expertCases,
  ...visionCases,
  ...doubleCases,
  ...decompositionCases,
];

/**
 * Compares what an implementation gave with what it must give; an empty list is a pass. `bits` also holds the cases
 * marked `sameBits` to the bits of the f32 reference.
 */
export function findDeviations(test: ConformanceCase, got: KernelResult, options: { bits: boolean }): string[] {
  const single = runReference(test, 'f32');
  const oracle = test.bound === 'exact' ? single : runReference(test, 'f64');
  const allowed = test.bound === 'exact' ? [] : test.bound.allowed(test, oracle);
  return single.flatMap((same, index) => {
    const have = got[index] ?? null;
    const truth = oracle[index] ?? null;
    if (!same || !truth) return have ? [`output ${index} was not wanted`] : [];
    if (!have) return [`output ${index} is missing`];
    if (have.shape.join() !== same.shape.join()) return [`output ${index} is [${have.shape}], not [${same.shape}]`];
    const known = test.expect?.[index];
    const bits = test.bound === 'exact' || (options.bits && test.sameBits === true);
    return [
      ...(bits ? differences(have, same, 'the bits of the reference', () => 0) : []),
      ...(test.bound === 'exact' ? [] : differences(have, truth, 'the oracle', (i) => allowed[index]?.[i] ?? 0)),
      ...(known ? differences(have, known, 'the known answer', (i) => allowed[index]?.[i] ?? 0) : []),
    ].map((text) => `output ${index}: ${text}`);
  });
}

/** At most three, so that a wrong kernel does not print a page. */
function differences(
  have: Tensor | IntTensor,
  must: Tensor | IntTensor | readonly number[],
  what: string,
  allowed: (index: number) => number,
): string[] {
  const wish: Floats | Int32Array | readonly number[] = 'data' in must ? must.data : must;
  if (wish.length !== have.data.length) return [`${have.data.length} entries, ${what} has ${wish.length}`];
  const result: string[] = [];
  for (let i = 0; i < wish.length && result.length < 3; i++) {
    const [a, b, room] = [have.data[i]!, wish[i]!, allowed(i)];
    const stored = have.data instanceof Float64Array ? b : Math.fround(b);
    if (!agrees(a, room === 0 ? stored : b, room)) result.push(`[${i}] is ${a}, ${what} says ${b}, allowed ${room}`);
  }
  return result;
}

function agrees(got: number, wish: number, allowed: number): boolean {
  if (Number.isNaN(wish) || !Number.isFinite(wish)) return Object.is(got, wish);
  if (allowed === 0) return Object.is(got, wish);
  return Math.abs(got - wish) <= allowed;
}

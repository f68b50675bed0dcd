import type { ReferenceKernel } from '../contract.ts';
import { input, outShape, wordAttr } from './call-reader.ts';
import { erfc } from './error-function.ts';
import { sameAsFirst } from './same-as-first.ts';

/**
 * ct · fn′(x). relu′(0) = 0, and where x ≤ 0 its cotangent is not read. NaN in x gives NaN; at ±∞ the slope is 1 or 0.
 * relu is exact, the others are bounded: 16u·|ct|·(1 + |x|), and 2^-126·|ct| absolute.
 */
export const activationGrad: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const ct = sameAsFirst(call, 1);
  const fn = wordAttr(call, 'fn', ['gelu_tanh', 'gelu_erf', 'silu', 'relu']);
  const out = make(outShape(call, 0, x.shape));
  for (let i = 0; i < out.data.length; i++) {
    const value = x.data[i]!;
    if (fn === 'relu') out.data[i] = value > 0 ? ct.data[i]! : Number.isNaN(value) ? value : 0;
    // Far out the smooth functions are straight to the last bit; ±∞ itself would make ∞·0.
    else out.data[i] = ct.data[i]! * (Math.abs(value) > 1e4 ? Number(value > 0) : slopes[fn](value));
  }
  return [out];
};

const root = Math.sqrt(2 / Math.PI);

const slopes = {
  gelu_tanh: (x: number) => {
    const t = Math.tanh(root * (x + 0.044715 * x * x * x));
    // 1 − t² from the exponential where t is next to ±1.
    const e = Math.exp(-2 * Math.abs(root * (x + 0.044715 * x * x * x)));
    const square = (4 * e) / ((1 + e) * (1 + e));
    const half = t < 0 ? e / (1 + e) : 1 / (1 + e);
    return half + 0.5 * x * square * root * (1 + 3 * 0.044715 * x * x);
  },
  gelu_erf: (x: number) => 0.5 * erfc(-x * Math.SQRT1_2) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI),
  silu: (x: number) => {
    const e = Math.exp(-Math.abs(x));
    const s = x < 0 ? e / (1 + e) : 1 / (1 + e);
    return s * (1 + (x * (x < 0 ? 1 : e)) / (1 + e));
  },
} as const;

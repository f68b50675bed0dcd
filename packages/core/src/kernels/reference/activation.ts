import type { KernelCall, ReferenceKernel } from '../contract.ts';
import { input, outShape, wordAttr } from './call-reader.ts';
import { erfc } from './error-function.ts';

/**
 * gelu_erf: x·Φ(x); gelu_tanh: ½x(1 + tanh(√(2/π)(x + 0.044715x³))), both Hendrycks & Gimpel 2016; silu: x/(1 + e^(−x));
 * relu: max(x, 0). NaN stays NaN; the smooth ones give NaN at −∞ (∞·0, as elsewhere), relu gives 0, and relu(−0) is 0.
 * relu is exact, the others are bounded: 8u·|x|, and 2^-149 absolute.
 */
export const activation: ReferenceKernel = (call, make) => {
  const x = input(call, 0);
  const fn = activationOf(call);
  const out = make(outShape(call, 0, x.shape));
  for (let i = 0; i < out.data.length; i++) out.data[i] = fn(x.data[i]!);
  return [out];
};

/** The function that a call names. */
export function activationOf(call: KernelCall): (x: number) => number {
  return functions[wordAttr(call, 'fn', ['gelu_tanh', 'gelu_erf', 'silu', 'relu'])];
}

const functions = {
  gelu_tanh: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
  gelu_erf: (x: number) => 0.5 * x * erfc(-x * Math.SQRT1_2),
  silu: (x: number) => x / (1 + Math.exp(-x)),
  // Comparing keeps NaN, which Math.max would too, and gives +0 for −0, which Math.max would not promise to readers.
  relu: (x: number) => (x > 0 || Number.isNaN(x) ? x : 0),
} as const;

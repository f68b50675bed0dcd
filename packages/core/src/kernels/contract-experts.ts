import type { KernelParam, KernelSpec, KernelValue } from './contract.ts';

// Kernels of mixtures of experts; part of the table in contract.ts. A token's gates [n] are 0 but for the k experts that it is
// sent to. What has a gate of 0 (or −0) is not read: an expert that overflows harms none but its own tokens.

const f32 = (name: string, shape: string): KernelValue => ({ name, dtype: 'f32', shape });
const perhaps = (value: KernelValue): KernelValue => ({ ...value, optional: true });
const matrix = (name: string, shape: string): KernelParam => ({ name, role: 'matrix', shape });
const number = { type: 'number' } as const;
const gates = f32('gates', '[…, n]');

export const expertKernels = {
  // Those that are chosen, divided by their sum; the others are 0. What is no index chooses none.
  route: {
    inputs: [f32('p', '[…, n]'), f32('indices', '[…, k]')],
    params: [],
    outputs: [f32('gates', '[…, n]')],
    attrs: {},
  },
  route_grad: {
    inputs: [f32('p', '[…, n]'), gates, f32('ct', '[…, n]')],
    params: [],
    outputs: [f32('out', '[…, n]; (ct − Σ gates·ct)/Σ p over those with a gate, 0 at the others')],
    attrs: {},
  },
  // As top_k, indices alone, as numbers.
  choices: {
    inputs: [f32('x', '[…, n]')],
    params: [],
    outputs: [f32('indices', '[…, k]; −1 where there are fewer')],
    attrs: { k: number },
  },
  add_gated: {
    inputs: [perhaps(f32('x', '[…, m]; 0 if left out')), f32('y', '[…, m]'), gates],
    params: [],
    outputs: [f32('out', '[…, m]; x + gate·y, product and sum rounded one by one')],
    attrs: { expert: number },
  },
  gate_grad: {
    inputs: [f32('y', '[…, m]'), f32('ct', '[…, m]')],
    params: [],
    outputs: [f32('out', '[…, n]; Σ y·ct at the expert, whether its gate is open or not, 0 at the others')],
    attrs: { expert: number, experts: number },
  },
  // A gated MLP over the tokens that are sent to it, and add_gated; the bits are those of its parts over all tokens.
  expert: {
    inputs: [perhaps(f32('x', '[…, m]; 0 if left out')), f32('read', '[…, K]'), gates],
    params: [matrix('W_gate', '[K, F]'), matrix('W_in', '[K, F]'), matrix('W_out', '[F, m]')],
    outputs: [f32('out', '[…, m]; x + gate·(fn(read·W_gate)·(read·W_in))·W_out')],
    attrs: { expert: number, fn: { type: ['gelu_tanh', 'gelu_erf', 'silu', 'relu'] } },
  },
} as const satisfies { readonly [name: string]: KernelSpec };

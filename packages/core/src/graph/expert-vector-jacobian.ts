import type { expertOperations } from './expert-operations.ts';
import type { Backward, VectorJacobian } from './vector-jacobian.ts';

// The ways back of ../kernels/contract-experts.ts, one entry an operation.

const second = { kind: 'constant', because: 'second derivatives are not computed' } as const;

const inputOf = (b: Backward, index: number): number => b.value(b.node.in[index] ?? -1);

export const expertVectorJacobians = {
  route: {
    kind: 'differentiable',
    input: (b, index) => (index === 1 ? null : b.add('route_grad', [inputOf(b, 0), b.value(b.node.id), b.ct])),
  },
  add_gated: {
    kind: 'differentiable',
    input: (b, index) => {
      if (index === 0) return b.ct;
      if (index === 1) return b.add('add_gated', [-1, b.ct, inputOf(b, 2)], { attrs: b.node.attrs });
      const experts = b.shape(b.node.in[2] ?? -1).at(-1) ?? 0;
      return b.add('gate_grad', [inputOf(b, 1), b.ct], { attrs: { ...b.node.attrs, experts } });
    },
  },
  choices: { kind: 'constant', because: 'a choice of the largest entries has no derivative' },
  route_grad: second,
  gate_grad: second,
} as const satisfies { readonly [name in keyof typeof expertOperations]: VectorJacobian };

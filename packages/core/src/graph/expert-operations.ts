import { CircuitscopeError } from '@circuitscope/schema';
import type { Attributes, Dim } from './graph.ts';
import type { Operation } from './operations.ts';

// Operations of mixtures of experts (../kernels/contract-experts.ts), over positions one by one.

type Shapes = readonly (readonly Dim[] | null)[];

const shapeOf =
  (at: number) =>
  (_: Attributes, inputs: Shapes): readonly Dim[] => {
    const shape = inputs[at];
    if (!shape) throw new CircuitscopeError('bad_graph', `An operation of experts lacks its input ${at}.`);
    return shape;
  };

export const expertOperations = {
  /** in: probabilities of all experts, those chosen */
  route: { shape: shapeOf(0), reach: 'pointwise' },
  /** in: probabilities, gates, ct */
  route_grad: { shape: shapeOf(2), reach: 'pointwise' },
  choices: {
    shape: (attrs, inputs) => [...shapeOf(0)(attrs, inputs).slice(0, -1), typeof attrs.k === 'number' ? attrs.k : 0],
    reach: 'pointwise',
  },
  /** in: what is added to (−1: nothing), what one expert gives, gates */
  add_gated: { shape: shapeOf(1), reach: 'pointwise' },
  /** in: what one expert gives, ct */
  gate_grad: {
    shape: (attrs, inputs) => [
      ...shapeOf(1)(attrs, inputs).slice(0, -1),
      typeof attrs.experts === 'number' ? attrs.experts : 0,
    ],
    reach: 'pointwise',
  },
} as const satisfies { readonly [name: string]: Operation };

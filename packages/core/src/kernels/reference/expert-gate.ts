import type { Tensor } from '../../tensor/index.ts';
import type { KernelCall } from '../contract.ts';
import { badShape, countAttr, input, outOfRange } from './call-reader.ts';

export interface ExpertGate {
  readonly gates: Tensor;
  readonly experts: number;
  readonly expert: number;
  /** The gate of a token, by its place in rows and positions. */
  of(token: number): number;
}

/** The gates [tokens, n] at an input, of which the attribute `expert` names one. */
export function expertGate(call: KernelCall, index: number, tokens: number): ExpertGate {
  const gates = input(call, index);
  const experts = gates.shape.at(-1) ?? 0;
  const expert = countAttr(call, 'expert');
  if (gates.data.length !== tokens * experts) throw badShape(call, 'gates', [tokens, experts], gates.shape);
  if (expert >= experts) throw outOfRange(call, 'expert', expert, experts);
  return { gates, experts, expert, of: (token) => gates.data[token * experts + expert]! };
}

import { isTable, type Step } from './step.ts';

/**
 * The pre-release form had one number per edge, `weight`, with `weightKind`, `weightSign` and `method` beside it. Version 1
 * holds a list of weights that each say what they are. Nested circuits had the same form.
 */
export const circuitFrom0: Step = (circuit) => ({
  ...circuit,
  ...(Array.isArray(circuit.edges) ? { edges: circuit.edges.map(edgeFrom0) } : {}),
  ...(Array.isArray(circuit.circuits) ? { circuits: circuit.circuits.map(nestedFrom0) } : {}),
});

function edgeFrom0(edge: unknown): unknown {
  if (!isTable(edge) || !('weight' in edge)) return edge;
  const { weight, weightKind, weightSign, method, ablation, ...rest } = edge;
  const only = { kind: weightKind, value: weight, method, sign: weightSign };
  return { ...rest, weights: [ablation === undefined ? only : { ...only, ablation }] };
}

const nestedFrom0 = (circuit: unknown): unknown =>
  isTable(circuit) && circuit.version === 0 ? { ...circuitFrom0(circuit), version: 1 } : circuit;

// The data of the figure as it stands on the screen, for the figure's reader: the chosen column and the edges shown.

import type { Circuit, CircuitEdge, CircuitNode } from '@circuitscope/schema';
import type { CircuitGraphState } from './state.svelte.ts';
import type { WeightChoice } from './weight-choice.ts';

export interface CircuitGraphExport {
  readonly kind: 'circuit_graph_export';
  readonly version: 1;
  readonly circuit: string;
  readonly name: string;
  readonly model: Circuit['model'];
  readonly weight: Omit<WeightChoice, 'key' | 'edges' | 'isSplit'> | null;
  readonly filter: { readonly minWeight: number; readonly circuitOnly: boolean };
  readonly nodes: readonly CircuitNode[];
  readonly edges: readonly (CircuitEdge & { readonly label: string; readonly value: number | null })[];
  readonly provenance: Circuit['provenance'];
}

export function exportView(state: CircuitGraphState): CircuitGraphExport {
  const { circuit, choice, shown, values, labels, view } = state;
  const ends = new Set(shown.flatMap((edge) => [edge.from, edge.to]));
  let weight: CircuitGraphExport['weight'] = null;
  if (choice) {
    const { key: _key, edges: _edges, isSplit: _isSplit, ...column } = choice;
    weight = column;
  }
  return {
    kind: 'circuit_graph_export',
    version: 1,
    circuit: circuit.id,
    name: circuit.name,
    model: circuit.model,
    weight,
    filter: { minWeight: view.minShare * state.largest, circuitOnly: view.circuitOnly },
    nodes: circuit.nodes.filter((node) => ends.has(node.id)),
    edges: shown.map((edge) => ({ ...edge, label: labels.get(edge.id)!, value: values.get(edge.id) ?? null })),
    provenance: circuit.provenance,
  };
}

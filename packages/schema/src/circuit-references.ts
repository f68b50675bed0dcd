import type { CircuitEdge } from './circuit-edge.ts';
import type { CircuitNode } from './circuit-node.ts';
import { MAX_ISSUES } from './issue.ts';

/** As much of a circuit as references run through. */
interface Referring {
  readonly id: string;
  readonly nodes: readonly CircuitNode[];
  readonly edges: readonly CircuitEdge[];
  readonly circuits?: readonly Referring[];
  readonly features?: readonly { readonly id?: string }[];
}

export interface DanglingReference {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What leads nowhere or is named twice in a circuit and those inside it; at most `MAX_ISSUES`. */
export function checkReferences(circuit: Referring): DanglingReference[] {
  const issues: DanglingReference[] = [];
  const circuitIds = new Set<string>();
  visit(circuit, []);
  return issues;

  /** Returns the edges of this circuit and of all inside it. */
  function visit(at: Referring, path: readonly (string | number)[]): Map<string, ReadonlySet<string>> {
    const report = (keys: readonly (string | number)[], message: string) => {
      if (issues.length < MAX_ISSUES) issues.push({ path: [...path, ...keys], message });
    };
    if (circuitIds.has(at.id)) report(['id'], `another circuit has the id ${quote(at.id)}`);
    circuitIds.add(at.id);

    const inside = new Map<string, ReadonlySet<string>>();
    at.circuits?.forEach((child, i) => {
      for (const [id, edges] of visit(child, [...path, 'circuits', i])) inside.set(id, edges);
    });
    const children = new Set(at.circuits?.map((child) => child.id));

    const featureIds = new Set<string>();
    at.features?.forEach(({ id }, i) => {
      if (id === undefined) return;
      if (featureIds.has(id)) report(['features', i, 'id'], `another feature has the id ${quote(id)}`);
      featureIds.add(id);
    });

    const nodeIds = new Set<string>();
    at.nodes.forEach(({ id, unit }, i) => {
      if (nodeIds.has(id)) report(['nodes', i, 'id'], `another node has the id ${quote(id)}`);
      nodeIds.add(id);
      if (unit.kind === 'circuit' && !children.has(unit.circuit)) {
        report(['nodes', i, 'unit', 'circuit'], `no nested circuit has the id ${quote(unit.circuit)}`);
      }
    });

    const edgeIds = new Set<string>();
    at.edges.forEach((edge, i) => {
      if (edgeIds.has(edge.id)) report(['edges', i, 'id'], `another edge has the id ${quote(edge.id)}`);
      edgeIds.add(edge.id);
      for (const end of ['from', 'to'] as const) {
        if (!nodeIds.has(edge[end])) report(['edges', i, end], `no node has the id ${quote(edge[end])}`);
      }
      edge.weights.forEach(({ between }, j) => {
        for (const end of ['from', 'to'] as const) {
          if (between === undefined || featureIds.has(between[end])) continue;
          report(['edges', i, 'weights', j, 'between', end], `no feature has the id ${quote(between[end])}`);
        }
      });
      edge.parts?.forEach((part, j) => {
        const edges = inside.get(part.circuit);
        if (!edges) report(['edges', i, 'parts', j, 'circuit'], `no nested circuit has the id ${quote(part.circuit)}`);
        else if (!edges.has(part.edge)) {
          report(['edges', i, 'parts', j, 'edge'], `circuit ${quote(part.circuit)} has no edge ${quote(part.edge)}`);
        }
      });
    });
    return inside.set(at.id, edgeIds);
  }
}

const quote = (id: string) => JSON.stringify(id);

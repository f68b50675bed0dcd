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
  readonly folded?: { readonly boundary: readonly { readonly edge: CircuitEdge }[] };
}

export interface DanglingReference {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What leads nowhere or is named twice in a circuit and those inside it; at most `MAX_ISSUES`. */
export function checkReferences(circuit: Referring): DanglingReference[] {
  const issues: DanglingReference[] = [];
  const circuitIds = new Set<string>();
  const crossing: { readonly path: readonly (string | number)[]; readonly edge: CircuitEdge }[] = [];
  const everywhere = visit(circuit, []);
  everywhere.delete(circuit.id);
  // The other side of a boundary may be a macro node too, whose parts lie in a circuit beside this one.
  for (const { path, edge } of crossing) checkParts(edge, everywhere, path);
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
    const checkEdge = (edge: CircuitEdge, keys: readonly (string | number)[]) => {
      if (edgeIds.has(edge.id)) report([...keys, 'id'], `another edge has the id ${quote(edge.id)}`);
      edgeIds.add(edge.id);
      edge.weights.forEach(({ between }, j) => {
        for (const end of ['from', 'to'] as const) {
          if (between === undefined || featureIds.has(between[end])) continue;
          report([...keys, 'weights', j, 'between', end], `no feature has the id ${quote(between[end])}`);
        }
      });
    };
    at.edges.forEach((edge, i) => {
      checkEdge(edge, ['edges', i]);
      for (const end of ['from', 'to'] as const) {
        if (!nodeIds.has(edge[end])) report(['edges', i, end], `no node has the id ${quote(edge[end])}`);
      }
      checkParts(edge, inside, [...path, 'edges', i]);
    });
    at.folded?.boundary.forEach(({ edge }, i) => {
      const keys = ['folded', 'boundary', i, 'edge'];
      checkEdge(edge, keys);
      if (nodeIds.has(edge.from) === nodeIds.has(edge.to)) {
        report(keys, 'an edge of the boundary has one end among the nodes of this circuit and one outside');
      }
      crossing.push({ path: [...path, ...keys], edge });
    });
    return inside.set(at.id, edgeIds);
  }

  function checkParts(
    edge: CircuitEdge,
    known: ReadonlyMap<string, ReadonlySet<string>>,
    path: readonly (string | number)[],
  ) {
    edge.parts?.forEach((part, j) => {
      const edges = known.get(part.circuit);
      const report = (key: string, message: string) => {
        if (issues.length < MAX_ISSUES) issues.push({ path: [...path, 'parts', j, key], message });
      };
      if (!edges) report('circuit', `no nested circuit has the id ${quote(part.circuit)}`);
      else if (!edges.has(part.edge)) report('edge', `circuit ${quote(part.circuit)} has no edge ${quote(part.edge)}`);
    });
  }
}

const quote = (id: string) => JSON.stringify(id);

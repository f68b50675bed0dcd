import { createHash } from 'node:crypto';
import {
  type Circuit,
  type CircuitEdge,
  type CircuitNode,
  CircuitscopeError,
  canonicalJson,
  type EdgePart,
  type EdgeWeight,
} from '@circuitscope/schema';
import { identified } from './proven-record.ts';

/**
 * Folds nodes of a circuit into one node that stands for them, as a circuit of its own inside. Edges among them move
 * inside; edges across are kept there as its boundary, and around it one macro edge stands for all that run between the
 * same outer node and the new one: apart by port where they end outside, and by whether they are in the circuit. {@link
 * expand} gives the circuit back exactly. What the record says of the whole, its evidence and metrics, stays: the same
 * edges are meant.
 *
 * @param members ids of nodes; nodes that stand for circuits too
 * @throws CircuitscopeError `unknown_node`, and `bad_fold` where nothing is to be folded or a nested circuit would be
 * needed on both sides
 */
export function collapse(circuit: Circuit, members: readonly string[], label: string): Circuit {
  const inside = checkedMembers(circuit, members);
  const places = [...circuit.nodes.keys()].filter((place) => inside.has(circuit.nodes[place]?.id ?? ''));
  const id = `fold-${digest({ of: circuit.id, places, label })}`;
  const edges = circuit.edges.map((edge, place) => ({
    edge,
    place,
    ends: Number(inside.has(edge.from)) + Number(inside.has(edge.to)),
  }));
  const within = edges.filter(({ ends }) => ends === 2);
  const boundary = edges.flatMap(({ edge, place, ends }) => (ends === 1 ? [{ place, edge }] : []));
  const moved = movedCircuits(circuit, inside);
  const nested: Circuit = {
    kind: 'circuit',
    version: 1,
    id,
    name: label,
    model: circuit.model,
    ...(circuit.task ? { task: circuit.task } : {}),
    decomposition: circuit.decomposition,
    nodes: places.flatMap((place) => circuit.nodes[place] ?? []),
    edges: within.map(({ edge }) => edge),
    ...(moved.length > 0 ? { circuits: moved.map(({ circuit: child }) => child) } : {}),
    ...(circuit.prune ? { prune: circuit.prune } : {}),
    evidence: [],
    ...featuresOf(circuit, [...within, ...boundary]),
    folded: {
      id: circuit.id,
      nodes: places,
      edges: within.map(({ place }) => place),
      ...(circuit.circuits ? { circuits: moved.map(({ place }) => place) } : {}),
      boundary,
    },
    provenance: circuit.provenance,
  };
  const { id: _, ...rest } = circuit;
  const left = (circuit.circuits ?? []).filter((child) => !moved.some(({ circuit: gone }) => gone.id === child.id));
  return identified(
    {
      ...rest,
      nodes: [
        ...circuit.nodes.filter((node) => !inside.has(node.id)),
        { id, unit: { kind: 'circuit', circuit: id }, label },
      ],
      edges: [
        ...edges.flatMap(({ edge, ends }) => (ends === 0 ? [edge] : [])),
        ...macroEdges(
          id,
          boundary.map(({ edge }) => edge),
          inside,
        ),
      ],
      circuits: [...left, nested],
    },
    'the folded circuit',
  );
}

function checkedMembers(circuit: Circuit, members: readonly string[]): ReadonlySet<string> {
  const known = new Set(circuit.nodes.map(({ id }) => id));
  const unknown = members.find((id) => !known.has(id));
  if (unknown !== undefined)
    throw new CircuitscopeError('unknown_node', `The circuit ${circuit.name} has no node ${unknown} to fold.`, {
      at: unknown,
    });
  if (members.length === 0)
    throw new CircuitscopeError('bad_fold', `Name at least one node of ${circuit.name} to fold into one.`, {
      at: circuit.id,
    });
  return new Set(members);
}

/** Nested circuits that members stand for go along with them. */
function movedCircuits(circuit: Circuit, inside: ReadonlySet<string>) {
  const standing = (node: CircuitNode): string[] => (node.unit.kind === 'circuit' ? [node.unit.circuit] : []);
  const wanted = new Set(circuit.nodes.filter(({ id }) => inside.has(id)).flatMap(standing));
  const kept = new Set(circuit.nodes.filter(({ id }) => !inside.has(id)).flatMap(standing));
  const moved = (circuit.circuits ?? []).flatMap((child, place) =>
    wanted.has(child.id) ? [{ circuit: child, place }] : [],
  );
  const goes = new Set(moved.flatMap(({ circuit: child }) => idsWithin(child)));
  const apart = circuit.edges.find(
    ({ from, to, parts }) => inside.has(from) && inside.has(to) && parts?.some((part) => !goes.has(part.circuit)),
  );
  const shared = [...wanted].find((id) => kept.has(id)) ?? apart?.id;
  if (shared === undefined) return moved;
  throw new CircuitscopeError(
    'bad_fold',
    `A nested circuit would be needed both inside and outside the fold (${shared}); fold all the nodes that stand for it together.`,
    { at: shared },
  );
}

function idsWithin({ id, circuits = [] }: Circuit): string[] {
  return [id, ...circuits.flatMap(idsWithin)];
}

/** Copies of the features that weights of these edges lie between: references stay inside a circuit. */
function featuresOf(circuit: Circuit, edges: readonly { readonly edge: CircuitEdge }[]): Pick<Circuit, 'features'> {
  const used = new Set(
    edges.flatMap(({ edge }) => edge.weights.flatMap(({ between }) => (between ? [between.from, between.to] : []))),
  );
  const features = (circuit.features ?? []).filter(({ id }) => id !== undefined && used.has(id));
  return features.length > 0 ? { features } : {};
}

function macroEdges(fold: string, boundary: readonly CircuitEdge[], inside: ReadonlySet<string>): CircuitEdge[] {
  const groups = new Map<
    string,
    { readonly ends: Pick<CircuitEdge, 'from' | 'to' | 'port' | 'inCircuit'>; readonly parts: CircuitEdge[] }
  >();
  for (const edge of boundary) {
    const { from, to, port, inCircuit } = edge;
    // Ports are those of the reader: a node that stands for many has none of its own.
    const ends = inside.has(to)
      ? { from, to: fold, inCircuit }
      : { from: fold, to, inCircuit, ...(port ? { port } : {}) };
    const key = canonicalJson(ends);
    const group = groups.get(key) ?? { ends, parts: [] };
    group.parts.push(edge);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ ends, parts }, index): CircuitEdge => {
    const [only, ...more] = parts;
    return {
      id: `${fold}:${index}`,
      ...ends,
      weights: more.length === 0 ? (only?.weights ?? []) : addedWeights(parts),
      ...(more.length === 0 && only?.evidence ? { evidence: only.evidence } : {}),
      parts: parts.map((part): EdgePart => ({ circuit: fold, edge: part.id })),
    };
  });
}

/**
 * The weights of parallel edges that may be added, added. `attribution`: a first-order estimate is linear in what is cut.
 * `direct_effect`: terms of the sum that one reader reads. `virtual`: parallel paths between the same two features. All
 * else stays with the parts: exact effects of several edges do not add up, nor do norms, shares and odds, nor weights per
 * unit of attention of different heads. Only weights that agree in method, sign, unit, ablation and n, one of each part,
 * are added; how sure a sum is, its parts do not say, so it has no interval.
 */
function addedWeights(parts: readonly CircuitEdge[]): EdgeWeight[] {
  const oneReader = new Set(parts.map(({ to, port }) => canonicalJson([to, port ?? null]))).size === 1;
  const adds = ({ kind, between }: EdgeWeight): boolean =>
    kind === 'attribution' || (kind === 'direct_effect' && oneReader) || (kind === 'virtual' && between !== undefined);
  const columns = new Map<string, EdgeWeight[]>();
  for (const { weights } of parts) {
    for (const weight of weights) {
      if (!adds(weight)) continue;
      const { value: _, se: __, interval: ___, baseline: ____, ...same } = weight;
      const key = canonicalJson(same);
      columns.set(key, [...(columns.get(key) ?? []), weight]);
    }
  }
  return [...columns.values()].flatMap((column): EdgeWeight[] => {
    const [first] = column;
    if (!first || column.length !== parts.length) return [];
    const { se: _, interval: __, baseline: ___, ...same } = first;
    const value = column.reduce((sum, weight) => sum + weight.value, 0);
    return [{ ...same, value, method: `sum of ${column.length} edges: ${first.method}`.slice(0, 256) }];
  });
}

function digest(value: object): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, 16);
}

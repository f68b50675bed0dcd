import {
  type Circuit,
  type CircuitEdge,
  type CircuitNode,
  Circuit as CircuitSchema,
  CircuitscopeError,
  mustParse,
} from '@circuitscope/schema';

/**
 * Takes apart the node that was folded last and gives back the circuit as it was, its id too. What was added to the macro
 * edges since then goes with them.
 *
 * @throws CircuitscopeError `not_folded` where no node was folded, `fold_order` where another was folded after, `bad_fold`
 * for a record whose places do not fit
 */
export function expand(circuit: Circuit, node: string = lastOf(circuit.nodes)?.id ?? ''): Circuit {
  const unit = circuit.nodes.find(({ id }) => id === node)?.unit;
  const nested = unit?.kind === 'circuit' ? circuit.circuits?.find(({ id }) => id === unit.circuit) : undefined;
  const folded = nested?.folded;
  if (!nested || !folded) {
    throw new CircuitscopeError(
      'not_folded',
      `The node ${node} of ${circuit.name} was not folded from others, so there is nothing to take apart.`,
      {
        at: node,
      },
    );
  }
  const last = lastOf(circuit.nodes);
  if (last?.id !== node || lastOf(circuit.circuits ?? [])?.id !== nested.id) {
    throw new CircuitscopeError(
      'fold_order',
      `${last?.label ?? last?.id} was folded after ${nested.name}; take it apart first.`,
      { at: node, expected: last?.id ?? '', got: node },
    );
  }
  const outside = circuit.edges.filter(({ from, to }) => from !== node && to !== node);
  const { circuits: around = [], id: _, ...rest } = circuit;
  const others = around.slice(0, -1);
  const restored = placed(others, nested.circuits ?? [], folded.circuits ?? [], nested.id);
  if (!folded.circuits && restored.length > 0) throw misfit(nested.id);
  return mustParse(
    CircuitSchema,
    {
      ...rest,
      id: folded.id,
      nodes: placed<CircuitNode>(circuit.nodes.slice(0, -1), nested.nodes, folded.nodes, nested.id),
      edges: placed<CircuitEdge>(
        outside,
        [...nested.edges, ...folded.boundary.map(({ edge }) => edge)],
        [...folded.edges, ...folded.boundary.map(({ place }) => place)],
        nested.id,
      ),
      ...(folded.circuits ? { circuits: restored } : {}),
    },
    'the circuit before folding',
  );
}

/** A list in which `items` stand at `places`, and `others` fill what is left, in order. */
function placed<T>(others: readonly T[], items: readonly T[], places: readonly number[], at: string): T[] {
  const length = others.length + items.length;
  const list = new Array<T | undefined>(length).fill(undefined);
  if (items.length !== places.length) throw misfit(at);
  places.forEach((place, index) => {
    if (place >= length || list[place] !== undefined) throw misfit(at);
    list[place] = items[index];
  });
  let next = 0;
  return list.map((item) => {
    const found = item ?? others[next++];
    if (found === undefined) throw misfit(at);
    return found;
  });
}

function misfit(at: string): CircuitscopeError {
  return new CircuitscopeError(
    'bad_fold',
    `The places that the fold ${at} keeps do not fit the circuit around it; fold anew.`,
    {
      at,
    },
  );
}

function lastOf<T>(list: readonly T[]): T | undefined {
  return list[list.length - 1];
}

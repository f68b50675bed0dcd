// A layered drawing of a circuit, read upwards: input at the bottom, then each layer, logits at the top. Edges that jump
// over rows are led around the nodes between by stand-ins (as Sugiyama, Tagawa and Toda, 1981), so that a line never
// seems to touch a node it does not belong to. Pure and deterministic: the same circuit and width give the same drawing.

import type { Circuit, CircuitEdge, CircuitNode } from '@circuitscope/schema';
import { assignRows } from './assign-rows.ts';
import { indexOf, rowName } from './depth.ts';
import { type NodeBox, nodeBox, portDx } from './node-box.ts';
import { orderRows } from './order-rows.ts';
import { placeEdges } from './place-edges.ts';
import { type LayoutItem, type PlacedSegment, placeItems } from './place-items.ts';
import { portOf } from './text.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface PlacedNode extends NodeBox {
  readonly node: CircuitNode;
  /** Middle of the box. */
  readonly x: number;
  readonly y: number;
  readonly height: number;
  readonly row: number;
  /** Place inside its row, from the left, counting nodes only. */
  readonly column: number;
}

export interface PlacedEdge {
  readonly edge: CircuitEdge;
  /** From the sender's upper side to the reader's port; a vertical tangent at each point. */
  readonly points: readonly Point[];
}

export interface CircuitLayout {
  readonly width: number;
  readonly height: number;
  readonly rows: readonly { readonly y: number; readonly name: string }[];
  /** Row by row from the bottom, each from the left. */
  readonly nodes: readonly PlacedNode[];
  readonly edges: readonly PlacedEdge[];
  /** Small boxes without port letters and labels. */
  readonly compact: boolean;
}

/** Edges are led around nodes only up to this many; beyond, they are texture or a thicket, and run straight. */
const ROUTED_LIMIT = 160;
/** Narrower than this, a head has no room for the letters of its ports. */
const ROOMY = 74;
const EDGE_OF_PAGE = 12;

/**
 * `width` is the room in CSS pixels; a row that is too full makes the drawing wider. `labelOf` gives a second name that
 * stands in the box where it fits.
 */
export function layoutCircuit(
  circuit: Circuit,
  width: number,
  labelOf: (node: CircuitNode) => string | undefined = (node) => node.label,
): CircuitLayout {
  const rowOf = assignRows(circuit);
  const rowCount = Math.max(0, ...rowOf.values()) + 1;
  const passing = passingEdges(circuit, rowOf);
  const narrow = width < 560;
  const gutter = narrow ? 32 : 78;
  const inner = Math.max(120, width - gutter - EDGE_OF_PAGE);

  const nodesIn = count(rowCount, rowOf.values());
  const linesIn = count(
    rowCount,
    [...passing].flatMap((edge) => between(edge, rowOf)),
  );
  const roomIn = (lane: number) =>
    Math.min(...nodesIn.map((nodes, row) => (inner - linesIn[row]! * lane) / Math.max(1, nodes)));
  const compact = roomIn(14) < ROOMY;
  const lane = compact ? 5 : 14;
  const room = roomIn(lane);
  const margin = compact ? 6 : narrow ? 12 : Math.min(28, Math.max(12, room - 84));
  const height = compact ? 22 : 40;
  const boxes = new Map(circuit.nodes.map((node) => [node.id, nodeBox(node, labelOf(node), room - margin, compact)]));

  const items: LayoutItem[] = [];
  const itemOf = new Map<string, number>();
  const nodeOf = new Map<number, CircuitNode>();
  for (const node of [...circuit.nodes].sort(byPositionThenIndex)) {
    itemOf.set(node.id, items.length);
    nodeOf.set(items.length, node);
    items.push({ row: rowOf.get(node.id)!, width: boxes.get(node.id)!.width + margin, isNode: true });
  }
  const standIns = new Map<CircuitEdge, readonly number[]>();
  const segments: PlacedSegment[] = [];
  for (const edge of circuit.edges) {
    const from = itemOf.get(edge.from);
    const to = itemOf.get(edge.to);
    if (from === undefined || to === undefined) continue;
    const inBetween: number[] = [];
    if (passing.has(edge)) {
      for (const row of between(edge, rowOf)) {
        inBetween.push(items.length);
        items.push({ row, width: lane, isNode: false });
      }
    }
    standIns.set(edge, inBetween);
    const chain = [from, ...inBetween, to];
    const lowest = items[from]!.row;
    // An edge that runs straight over rows, or not upwards, has no say in the order.
    if (chain.length - 1 !== items[to]!.row - lowest) continue;
    const box = boxes.get(edge.to)!;
    for (let i = 0; i + 1 < chain.length; i++) {
      const upperDx = i + 2 === chain.length ? portDx(box, portOf(edge)) : 0;
      const weight = edge.inCircuit ? 1 : 0.2;
      segments.push({
        row: lowest + i,
        lower: chain[i]!,
        upper: chain[i + 1]!,
        upperDx,
        upperPort: upperDx / box.width,
        weight,
      });
    }
  }

  const byRow: number[][] = Array.from({ length: rowCount }, () => []);
  items.forEach((item, i) => {
    byRow[item.row]!.push(i);
  });
  const rows = orderRows(byRow, segments);
  const xs = placeItems(items, rows, segments, inner);

  let left = 0;
  let right = 0;
  items.forEach((item, i) => {
    left = Math.min(left, xs[i]! - item.width / 2);
    right = Math.max(right, xs[i]! + item.width / 2);
  });
  const total = Math.max(width, right - left + gutter + EDGE_OF_PAGE);
  const shift = gutter + (total - gutter - EDGE_OF_PAGE - (right - left)) / 2 - left;
  const gap = compact ? 64 : rowCount <= 5 ? 104 : rowCount <= 8 ? 92 : 78;
  const yOf = (row: number) => 14 + height / 2 + (rowCount - 1 - row) * gap;

  const nodes = rows.flatMap((row, r) =>
    row
      .filter((i) => nodeOf.has(i))
      .map((i, column): PlacedNode => {
        const node = nodeOf.get(i)!;
        return { ...boxes.get(node.id)!, node, x: xs[i]! + shift, y: yOf(r), height, row: r, column };
      }),
  );
  const placed = new Map(nodes.map((node) => [node.node.id, node]));
  const pointsOf = (edge: CircuitEdge) =>
    (standIns.get(edge) ?? []).map((i) => ({ x: xs[i]! + shift, y: yOf(items[i]!.row) }));
  return {
    width: total,
    height: (rowCount - 1) * gap + height + 28,
    rows: byRow.map((row, r) => {
      const node = row.map((i) => nodeOf.get(i)).find((candidate) => candidate !== undefined);
      return { y: yOf(r), name: node ? rowName(node.unit, narrow) : '' };
    }),
    nodes,
    edges: placeEdges(circuit.edges, placed, pointsOf, compact),
    compact,
  };
}

/** The edges that jump over rows and are led around what stands there: those of the circuit first. */
function passingEdges(circuit: Circuit, rowOf: ReadonlyMap<string, number>): ReadonlySet<CircuitEdge> {
  const long = circuit.edges.filter((edge) => between(edge, rowOf).length > 0);
  if (long.length <= ROUTED_LIMIT) return new Set(long);
  const strong = long.filter((edge) => edge.inCircuit);
  return new Set(strong.length <= ROUTED_LIMIT ? strong : []);
}

/** The rows strictly between the ends of an edge. */
function between(edge: CircuitEdge, rowOf: ReadonlyMap<string, number>): readonly number[] {
  const low = rowOf.get(edge.from);
  const high = rowOf.get(edge.to);
  if (low === undefined || high === undefined) return [];
  return Array.from({ length: Math.max(0, high - low - 1) }, (_, i) => low + 1 + i);
}

function count(rows: number, of: Iterable<number>): readonly number[] {
  const counts = Array.from({ length: rows }, () => 0);
  for (const row of of) counts[row]! += 1;
  return counts;
}

function byPositionThenIndex(a: CircuitNode, b: CircuitNode): number {
  const position = (node: CircuitNode) => (node.position?.kind === 'index' ? node.position.index : 0);
  return position(a) - position(b) || indexOf(a.unit) - indexOf(b.unit);
}

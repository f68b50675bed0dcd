// Lines leave and arrive side by side, in the order of where they come from, so that none hides another.

import type { CircuitEdge } from '@circuitscope/schema';
import type { PlacedEdge, PlacedNode, Point } from './layout.ts';
import { portDx } from './node-box.ts';
import { portOf } from './text.ts';

interface Line {
  readonly edge: CircuitEdge;
  readonly from: PlacedNode;
  readonly to: PlacedNode;
  /** Where it passes the rows between. */
  readonly inner: readonly Point[];
}

/** Distance of neighbouring lines at a node, where there is room. */
const STEP = 14;
const COMPACT_STEP = 2.5;

export function placeEdges(
  edges: readonly CircuitEdge[],
  nodes: ReadonlyMap<string, PlacedNode>,
  innerPoints: (edge: CircuitEdge) => readonly Point[],
  compact: boolean,
): readonly PlacedEdge[] {
  const lines = edges.flatMap((edge): readonly Line[] => {
    const from = nodes.get(edge.from);
    const to = nodes.get(edge.to);
    return from && to ? [{ edge, from, to, inner: innerPoints(edge) }] : [];
  });
  const leaving = new Map<CircuitEdge, number>();
  const arriving = new Map<CircuitEdge, number>();
  const fan = (
    group: readonly Line[],
    room: number,
    into: Map<CircuitEdge, number>,
    heading: (line: Line) => number,
  ) => {
    const sorted = [...group].sort((a, b) => heading(a) - heading(b));
    const step = Math.min(compact ? COMPACT_STEP : STEP, room / Math.max(1, sorted.length - 1));
    for (const [i, line] of sorted.entries()) into.set(line.edge, (i - (sorted.length - 1) / 2) * step);
  };
  for (const group of groupBy(lines, ({ from }) => from.node.id)) {
    fan(
      group,
      group[0]!.from.width * 0.8,
      leaving,
      ({ edge, to, inner }) => inner[0]?.x ?? to.x + portDx(to, portOf(edge)),
    );
  }
  for (const byNode of groupBy(lines, ({ to }) => to.node.id)) {
    const { to } = byNode[0]!;
    const room = to.width * (to.ports.length > 0 ? 0.2 : 0.8);
    for (const group of groupBy(byNode, ({ edge }) => portOf(edge))) {
      fan(group, room, arriving, ({ from, inner }) => (inner.at(-1) ?? from).x);
    }
  }
  return lines.map(({ edge, from, to, inner }) => ({
    edge,
    points: [
      { x: from.x + leaving.get(edge)!, y: from.y - from.height / 2 },
      ...inner,
      { x: to.x + portDx(to, portOf(edge)) + arriving.get(edge)!, y: to.y + to.height / 2 },
    ],
  }));
}

function groupBy(lines: readonly Line[], key: (line: Line) => string): readonly (readonly Line[])[] {
  const groups = new Map<string, Line[]>();
  for (const line of lines) {
    const group = groups.get(key(line));
    if (group) group.push(line);
    else groups.set(key(line), [line]);
  }
  return [...groups.values()];
}

import { cos, type Graph, GraphBuilder, sin, type Weight, type Weights } from '@circuitscope/core';

// A net whose curve detectors are known, because they were written down: edges in eight directions, and curves that are
// read from the edges that are their tangents. What Cammarata et al. (Curve Circuits, 2021) found in InceptionV1, drawn
// with a ruler.

export interface HandCurves {
  readonly graph: Graph;
  readonly weights: Weights;
  /** Of each edge unit (site `edges`), where it is light; of each curve unit (site `curves`), where it bends to. */
  readonly directions: readonly number[];
  /** Of the curves that the units are made for: light discs of this radius. */
  readonly radius: number;
}

const EDGE = 5;
const CURVE = 15;
const RADIUS = 7;
/** How far along the arc, and how far beside it, a curve unit looks. */
const EXTENT = 7;
const REACH = 1.5;

/** @param size of the images; 19 is what one curve unit sees, and there is one of each direction then */
export function handCurves(size = EDGE + CURVE - 1): HandCurves {
  const directions = Array.from({ length: 8 }, (_, at) => (Math.PI / 4) * at);
  const weights = new Map<string, Weight>();
  const builder = new GraphBuilder();
  const conv = (x: number, name: string, out: number, into: number, window: number, data: Float32Array): number => {
    const shape = [out, into, window, window];
    weights.set(`${name}.weight`, { name: `${name}.weight`, shape, read: () => data });
    const how = { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
    return builder.add('conv2d', [x], {
      params: [builder.param(`${name}.weight`, shape), null],
      attrs: { out, window: [window, window], ...how },
      sites: [name],
    });
  };
  const images = builder.input('images', { shape: ['batch', 1, size, size], dtype: 'f32' });
  builder.name(images, 'images');
  const edges = conv(images, 'edges', 8, 1, EDGE, plane(directions, EDGE, edgeWeight));
  const active = builder.add('activation', [edges], { attrs: { fn: 'relu' }, sites: ['edges.relu'] });
  const pairs = directions.flatMap((curve) => directions.map((edge) => ({ curve, edge })));
  const curves = conv(active, 'curves', 8, 8, CURVE, plane(pairs, CURVE, curveWeight));
  const out = builder.add('activation', [curves], { attrs: { fn: 'relu' }, sites: ['curves.relu'] });
  return { graph: builder.build(out), weights, directions, radius: RADIUS };
}

/** A slope towards its direction, fading out to the border of the window. */
function edgeWeight(direction: number, x: number, y: number): number {
  const fade = Math.max(0, 1 - (x * x + y * y) / 9);
  return (x * cos(direction) + y * sin(direction)) * fade;
}

/** Next to the arc: +1 for the edge that is its tangent there with the light inside, less the more it is turned. */
function curveWeight({ curve, edge }: { curve: number; edge: number }, x: number, y: number): number {
  const [fromX, fromY] = [RADIUS * cos(curve) - x, RADIUS * sin(curve) - y];
  const away = Math.sqrt(fromX * fromX + fromY * fromY);
  if (away === 0 || Math.sqrt(x * x + y * y) > EXTENT) return 0;
  const beside = (away - RADIUS) / REACH;
  // The cosine of the angle between the edge and the direction to the middle of the circle, and of twice that angle.
  const fit = (fromX * cos(edge) + fromY * sin(edge)) / away;
  return Math.max(0, 1 - beside * beside) * (fit + (2 * fit * fit - 1)) * 0.5;
}

/** Every member's weights over a square window, y upwards. */
function plane<T>(
  members: readonly T[],
  window: number,
  weight: (member: T, x: number, y: number) => number,
): Float32Array {
  const half = (window - 1) / 2;
  return Float32Array.from({ length: members.length * window * window }, (_, at) => {
    const member = members[Math.floor(at / (window * window))];
    const [row, column] = [Math.floor(at / window) % window, at % window];
    return member === undefined ? 0 : weight(member, column - half, half - row);
  });
}

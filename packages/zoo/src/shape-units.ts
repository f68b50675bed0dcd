import {
  type Auroc,
  atan2,
  auroc,
  bestTuning,
  type ConvnetModel,
  channelResponses,
  cos,
  describeTuning,
  type Engine,
  type Executor,
  expandedWeights,
  planeOf,
  Rng,
  sin,
  type Tensor,
  tuningTable,
} from '@circuitscope/core';
import { drawAll, type Shape } from './shapes/index.ts';

// What the channels of the trained net see, measured on drawings that it was not trained on: orientation of the first
// layer, direction of the second, and whether the second reads its curves from edges that are their tangents.

export interface EdgeUnit {
  readonly channel: number;
  /** Angle of the normal, over half a turn, and 1 − circular variance; null for a unit that never fires. */
  readonly preferred: number | null;
  readonly strength: number;
}

export interface CurveUnit {
  readonly channel: number;
  /** Where the arc bends to that it answers most to, on one set of drawings. */
  readonly preferred: number;
  readonly strength: number;
  readonly radius: number;
  /** On another set: preferred arcs against bars along their chord, and against arcs that bend the other way. */
  readonly againstBars: Auroc;
  readonly againstOpposing: Auroc;
  /** Mean weight from oriented edges next to its arc: within 22.5° of the tangent, and more than 67.5° from it. */
  readonly along: number;
  readonly across: number;
}

export interface ShapeUnits {
  readonly edges: readonly EdgeUnit[];
  /** Every channel of the second layer that fires for arcs at all. */
  readonly curves: readonly CurveUnit[];
}

export interface ShapeUnitsOptions {
  readonly executor: Executor;
  readonly seed: number;
  readonly threads?: number;
}

const DIRECTIONS = 32;
const RADII = [3.5, 4.5, 6, 8] as const;
const OFFSETS = [-4, -3, -2, -1, 0, 1, 2, 3, 4] as const;
const EXAMPLES = 60;
/** Edges that tell a direction well enough to be a tangent. */
export const ORIENTED = 0.3;

export async function shapeUnits(model: ConvnetModel, options: ShapeUnitsOptions): Promise<ShapeUnits> {
  const { executor, seed, threads } = options;
  const engine: Engine = { graph: model.graph, weights: model.weights, executor };
  const size = model.spec.image[1];
  const run = threads ? { threads } : {};
  const edges = await edgeUnits(engine, size, run);
  const arcs = turns().flatMap((direction) =>
    RADII.flatMap((radius) => OFFSETS.map((offset) => arc({ direction, radius, offset, width: 2 }))),
  );
  const responses = await channelResponses(engine, drawAll(arcs, size), 'relu2', { place: 'middle', ...run });
  const [, channels = 0] = responses.shape;
  const read = edgesInto(model, edges);
  const curves: CurveUnit[] = [];
  for (let channel = 0; channel < channels; channel++) {
    const best = bestTuning(tuningTable(responses, channel, DIRECTIONS), { over: 'direction' });
    if (best.peak.response <= 0 || best.vector.kind !== 'measured') continue;
    const { preferred, strength } = best.vector;
    const radius = RADII[Math.floor(best.column / OFFSETS.length)] ?? RADII[0];
    const offset = OFFSETS[best.column % OFFSETS.length] ?? 0;
    const sets = testDrawings({ seed, channel, preferred, radius, offset });
    const of = async (shapes: readonly Shape[]): Promise<Float64Array> =>
      column(await channelResponses(engine, drawAll(shapes, size), 'conv2', { place: 'largest', ...run }), channel);
    const seen = await of(sets.arcs);
    curves.push({
      channel,
      preferred,
      strength,
      radius,
      againstBars: auroc(seen, await of(sets.bars)),
      againstOpposing: auroc(seen, await of(sets.opposing)),
      ...read(channel, { preferred, radius, offset }),
    });
  }
  return { edges, curves };
}

/** The largest answer to an edge or a bar at each orientation, whatever its offset and whichever side is light. */
async function edgeUnits(engine: Engine, size: number, run: { readonly threads?: number }): Promise<EdgeUnit[]> {
  const shapes = turns().flatMap((direction) =>
    [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2].flatMap((offset): Shape[] => [
      { kind: 'edge', direction, offset },
      { kind: 'bar', direction, offset, width: 2 },
    ]),
  );
  const responses = await channelResponses(engine, drawAll(shapes, size), 'relu1', { place: 'middle', ...run });
  const [, channels = 0] = responses.shape;
  return Array.from({ length: channels }, (_, channel): EdgeUnit => {
    const table = tuningTable(responses, channel, DIRECTIONS);
    const half = DIRECTIONS / 2;
    const curve = Float64Array.from({ length: half }, (__, at) =>
      Math.max(...(table[at] ?? []), ...(table[at + half] ?? [])),
    );
    const { vector } = describeTuning(curve, { over: 'orientation' });
    return vector.kind === 'measured' && vector.strength > 0
      ? { channel, preferred: vector.preferred, strength: vector.strength }
      : { channel, preferred: null, strength: 0 };
  });
}

interface Arc {
  readonly direction: number;
  readonly radius: number;
  readonly offset: number;
  readonly width: number;
}

/** About 60° to either side, as in training. */
const arc = ({ radius, ...rest }: Arc): Shape => ({ kind: 'curve', radius, extent: radius, ...rest });

const turns = (): number[] => Array.from({ length: DIRECTIONS }, (_, at) => (2 * Math.PI * at) / DIRECTIONS);

/** Arcs near the preferred one; bars as long as their chord at the same place; arcs that bend the other way there. */
function testDrawings(of: { seed: number; channel: number; preferred: number; radius: number; offset: number }) {
  const examples = Array.from({ length: EXAMPLES }, (_, at): Arc => {
    const rng = new Rng(of.seed, `shape-units/${of.channel}/${at}`);
    const around = (middle: number, spread: number): number => middle + spread * (2 * rng.float() - 1);
    return {
      direction: around(of.preferred, 0.2),
      radius: around(of.radius, 0.1 * of.radius),
      offset: around(of.offset, 0.5),
      width: around(2, 0.5),
    };
  });
  return {
    arcs: examples.map(arc),
    bars: examples.map(({ radius, ...rest }): Shape => ({ kind: 'bar', length: Math.sqrt(3) * radius, ...rest })),
    opposing: examples.map(({ direction, offset, ...rest }) =>
      arc({ direction: direction + Math.PI, offset: -offset, ...rest }),
    ),
  };
}

/** Weights of the second layer from oriented edges, the pool between written out, next to the arc that a unit prefers. */
function edgesInto(model: ConvnetModel, edges: readonly EdgeUnit[]) {
  const { kernel } = expandedWeights(model.graph, model.weights, 'relu1', 'conv2');
  const [height, width] = kernel.size;
  const size = model.spec.image[1];
  // The place over the middle of the image looks at a window whose own middle lies beside the image's.
  const place = Math.floor(size / kernel.stride[0] / 2);
  const beside = place * kernel.stride[0] + kernel.origin[0] + height / 2 - size / 2;
  return (channel: number, { preferred, radius, offset }: { preferred: number; radius: number; offset: number }) => {
    const middleX = (radius + offset) * cos(preferred) - beside;
    const middleY = (radius + offset) * sin(preferred) + beside;
    const sums = { along: 0, alongCount: 0, across: 0, acrossCount: 0 };
    for (const edge of edges) {
      if (edge.preferred === null || edge.strength < ORIENTED) continue;
      planeOf(kernel, channel, edge.channel).forEach((weight, at) => {
        const x = (at % width) + 0.5 - width / 2 - middleX;
        const y = height / 2 - Math.floor(at / width) - 0.5 - middleY;
        const normal = atan2(y, x);
        const away = Math.abs(Math.sqrt(x * x + y * y) - radius);
        if (away > 1 || cos(normal - preferred - Math.PI) < 0.5) return;
        const fit = cos(2 * ((edge.preferred ?? 0) - normal));
        if (fit >= Math.SQRT1_2) {
          sums.along += weight;
          sums.alongCount++;
        } else if (fit <= -Math.SQRT1_2) {
          sums.across += weight;
          sums.acrossCount++;
        }
      });
    }
    return { along: sums.along / Math.max(sums.alongCount, 1), across: sums.across / Math.max(sums.acrossCount, 1) };
  };
}

function column({ shape: [count = 0, channels = 0], data }: Tensor, channel: number): Float64Array {
  return Float64Array.from({ length: count }, (_, at) => data[at * channels + channel] ?? 0);
}

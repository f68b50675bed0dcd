import {
  type Batch,
  buildConvnet,
  classLoss,
  convnetConfig,
  initialise,
  layersFromModules,
  type Metrics,
  type ModuleEntry,
  type Recipe,
  Rng,
  type Tensor,
  type Trained,
} from '@circuitscope/core';
import { drawShape, type Shape, standardised } from '../shapes/index.ts';

// A small net that tells drawn shapes apart by kind and direction: oriented edges in its first layer, curves in its second
// (N. Cammarata et al., Curve Detectors, 2020, and Curve Circuits, 2021, in small).

const SIZE = 24;
const BATCH = 64;
const STEPS = 3500;
const HELD_BACK = 512;
/** Of bars and edges over half a turn, of curves over a whole one. */
const BINS = 8;
const EDGES = 8;
const SHAPES = 32;

const kinds = ['bar', 'edge', 'curve', 'corner', 'grating', 'dots'] as const;
const directed = { bar: Math.PI, edge: Math.PI, curve: 2 * Math.PI } as const;

/** Names of the classes: `bar.0` … `bar.7`, likewise edges and curves, then corners, gratings and dots. */
export const shapeClasses: readonly string[] = kinds.flatMap((kind) =>
  kind in directed ? Array.from({ length: BINS }, (_, bin) => `${kind}.${bin}`) : [kind],
);

/** Bin 0 has direction 0 in its middle. */
export function shapeClass(shape: Shape): number {
  if (shape.kind !== 'bar' && shape.kind !== 'edge' && shape.kind !== 'curve') return shapeClasses.indexOf(shape.kind);
  const bin = Math.round((shape.direction / directed[shape.kind]) * BINS) % BINS;
  return shapeClasses.indexOf(`${shape.kind}.${(bin + BINS) % BINS}`);
}

export const shapeImage = [1, SIZE, SIZE] as const;

const convolution = (path: string, into: number, out: number, window: number): ModuleEntry => ({
  path,
  type: 'Conv2d',
  arguments: { in_channels: into, out_channels: out, kernel_size: window, padding: (window - 1) / 2 },
});

export const shapeModules: readonly ModuleEntry[] = [
  convolution('conv1', 1, EDGES, 5),
  { path: 'relu1', type: 'ReLU', arguments: {} },
  { path: 'pool1', type: 'AvgPool2d', arguments: { kernel_size: 2 } },
  convolution('conv2', EDGES, SHAPES, 7),
  { path: 'relu2', type: 'ReLU', arguments: {} },
  // The largest anywhere: a mean over all places lets many units share a shape, a maximum asks each for one of its own.
  { path: 'best', type: 'MaxPool2d', arguments: { kernel_size: SIZE / 2 } },
  {
    path: 'classifier',
    type: 'Linear',
    arguments: { in_features: SHAPES, out_features: shapeClasses.length },
  },
];

const graph = buildConvnet({ image: shapeImage, layers: layersFromModules(shapeModules) });
const loss = classLoss(graph);

export const shapes: Recipe = {
  name: 'shapes',
  title: 'Bars, edges and curves by direction',
  shows:
    'The first layer learns oriented edges, the second reads curves from the edges that are their tangents; each with a preferred direction.',
  config: { image: [...shapeImage], channels: [EDGES, SHAPES], classes: [...shapeClasses], batch: BATCH, drawings: 1 },
  steps: STEPS,
  optimiser: {
    kind: 'adamw',
    learningRate: 0.006,
    betas: [0.9, 0.98],
    eps: 1e-8,
    weightDecay: 0.05,
    decays: 'all',
    clip: 1,
  },
  schedule: { kind: 'warmup', warmup: 100, decay: 'cosine' },
  every: { log: 50, evaluate: 250, checkpoint: 1000 },
  model: (seed) => ({
    graph,
    loss,
    weights: new Map(
      graph.params.map(({ name, shape }): [string, Tensor] => {
        // He et al. 2015; a linear weight is [in, out], a kernel [out, in, down, across].
        const into = shape.length === 2 ? (shape[0] ?? 1) : shape.slice(1).reduce((a, b) => a * b, 1);
        const start = { kind: 'normal', deviation: Math.sqrt(2 / into) } as const;
        return [name, initialise(seed, name, shape, shape.length === 1 ? { kind: 'constant', value: 0 } : start)];
      }),
    ),
  }),
  batch: (seed, step) => batchOf(seed, `train/${step}`, BATCH),
  evaluate: measured,
  export: (weights) => ({
    config: {
      ...convnetConfig([...shapeImage], []),
      layers: JSON.parse(JSON.stringify(shapeModules)),
      classes: [...shapeClasses],
    },
    tensors: new Map([...weights].map(([name, tensor]) => [name, tensor.shape.length === 2 ? turned(tensor) : tensor])),
  }),
};

function batchOf(seed: number, stream: string, count: number): Batch {
  const images = new Float32Array(count * SIZE * SIZE);
  const targets = new Int32Array(count);
  for (let at = 0; at < count; at++) {
    const rng = new Rng(seed, `shapes-recipe/${stream}/${at}`);
    const between = (from: number, to: number): number => from + (to - from) * rng.float();
    const shape = randomShape(kinds[rng.below(kinds.length)] ?? 'bar', between);
    const contrast = between(0.5, 1) * (rng.float() < 0.5 ? -1 : 1);
    const image = drawShape(shape, { size: SIZE, contrast, shift: [between(-3, 3), between(-3, 3)] });
    for (let i = 0; i < image.length; i++) image[i] = (image[i] ?? 0) + 0.1 * (2 * rng.float() - 1);
    images.set(standardised(image), at * SIZE * SIZE);
    targets[at] = shapeClass(shape);
  }
  return { batch: count, pos: 1, inputs: { images, targets }, lossWeights: new Float64Array(count).fill(1 / count) };
}

/**
 * Arcs end where the circle has turned by about 60° to either side: of a whole circle nobody could tell where it bends to.
 * Bars end as well, so that ends tell nothing.
 */
function randomShape(kind: (typeof kinds)[number], between: (from: number, to: number) => number): Shape {
  const direction = between(0, 2 * Math.PI);
  const width = between(1.5, 3);
  const radius = 1 / between(1 / 8, 1 / 3.5);
  switch (kind) {
    case 'bar':
      return { kind, direction, width, offset: between(-3, 3), length: between(8, 20) };
    case 'edge':
      return { kind, direction, offset: between(-3, 3) };
    case 'curve':
      return { kind, direction, radius, width, extent: between(0.9, 1.1) * radius };
    case 'corner':
      return { kind, direction, opening: between(1, 2), radius: 0, width, extent: between(4, 10) };
    case 'grating':
      return { kind, direction, period: between(3, 6), phase: between(0, 2 * Math.PI) };
    case 'dots':
      return { kind, direction, spacing: between(4, 8), radius: between(1, 1.8) };
  }
}

const heldBack = batchOf(0, 'held-back', HELD_BACK);

/** On images of a stream of their own: loss in nats, share of right answers, and the same share for curves alone. */
async function measured({ measure }: Trained): Promise<Metrics> {
  const found = await measure(heldBack, ['logits']);
  const logits = found.sites.get('logits')?.data ?? [];
  const targets = heldBack.inputs.targets ?? [];
  const classes = shapeClasses.length;
  const first = shapeClasses.indexOf('curve.0');
  const count = { all: 0, right: 0, curves: 0, curvesRight: 0 };
  for (let at = 0; at < HELD_BACK; at++) {
    let best = 0;
    for (let k = 1; k < classes; k++) {
      if ((logits[at * classes + k] ?? 0) > (logits[at * classes + best] ?? 0)) best = k;
    }
    const target = targets[at] ?? -1;
    const curve = target >= first && target < first + BINS;
    count.all++;
    if (best === target) count.right++;
    if (curve) count.curves++;
    if (curve && best === target) count.curvesRight++;
  }
  return {
    held_back_loss: found.loss,
    accuracy: count.right / count.all,
    curve_accuracy: count.curvesRight / Math.max(count.curves, 1),
  };
}

/** [in, out] as PyTorch stores it. */
function turned({ shape: [into = 0, out = 0], data }: Tensor): Tensor {
  const made = new Float32Array(data.length);
  for (let i = 0; i < into; i++) for (let o = 0; o < out; o++) made[o * into + i] = data[i * out + o] ?? 0;
  return { shape: [out, into], data: made };
}

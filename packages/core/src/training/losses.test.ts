import { expect, test } from 'vitest';
import { GraphBuilder } from '../graph/index.ts';
import { chooseExecutor } from '../plan/index.ts';
import { tensor } from '../tensor/index.ts';
import { meanWeights } from './batch.ts';
import { classLoss, squaredErrorLoss } from './losses.ts';
import type { TrainableModel } from './recipe.ts';
import { makeTrainer } from './trainer.ts';

const { executor } = await chooseExecutor();

/** The first moment after one step is a tenth of the gradient. */
const train = (model: TrainableModel) =>
  makeTrainer(model, {
    executor,
    optimiser: {
      kind: 'adamw',
      learningRate: 0.1,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0,
      decays: [],
      clip: null,
    },
    schedule: { kind: 'constant' },
    steps: 2,
  });

const linear = (rows: number, columns: number, out: readonly (number | string)[]) => {
  const builder = new GraphBuilder();
  const x = builder.input('x', { shape: ['batch', rows], dtype: 'f32' });
  const W = builder.param('W', [rows, columns]);
  return { x, graph: builder.build(builder.add('linear', [x], { params: [W, null], attrs: { out, leading: 1 } })) };
};

test('squared errors are weighed by importance, and their gradient is 2·importance·error·x', async () => {
  const { graph } = linear(2, 3, [3]);
  const weights = new Map([['W', tensor([2, 3], Float32Array.of(1, 2, 3, 4, 5, 6))]]);
  const trainer = train({ graph, loss: squaredErrorLoss(graph, { target: { kind: 'input' } }), weights });
  const batch = {
    batch: 1,
    pos: 1,
    inputs: {
      x: Float32Array.of(1, -1),
      targets: Float32Array.of(0, 0, 1),
      importance: Float32Array.of(1, 0, 0.5),
    },
    lossWeights: Float64Array.of(1),
  };
  // The output is (−3, −3, −3): 9 + 0 + .5·16.
  expect(await trainer.measure(batch)).toMatchObject({ loss: 17, losses: Float32Array.of(17) });
  expect((await trainer.step(batch)).loss).toBe(17);
  const gradient = Array.from(trainer.moments.get('W')?.first ?? [], (m) => m * 10);
  [-6, 0, -4, 6, 0, 4].forEach((expected, at) => {
    expect(gradient[at]).toBeCloseTo(expected, 5);
  });
});

test('an autoencoder is compared with its own input', async () => {
  const { graph, x } = linear(2, 2, [2]);
  const weights = new Map([['W', tensor([2, 2], Float32Array.of(1, 0, 0, 3))]]);
  const trainer = train({ graph, loss: squaredErrorLoss(graph, { target: { kind: 'node', id: x } }), weights });
  const inputs = { x: Float32Array.of(5, 1, 7, 2), importance: Float32Array.of(1, 1) };
  const { losses } = await trainer.measure({ batch: 2, pos: 1, inputs, lossWeights: Float64Array.of(1, 1) });
  expect([...losses]).toEqual([4, 16]);
});

test('class cross entropy of even logits is log of the classes, and ignored examples count nothing', async () => {
  const { graph } = linear(2, 4, [1, 4]);
  const weights = new Map([['W', tensor([2, 4], new Float32Array(8))]]);
  const trainer = train({ graph, loss: classLoss(graph), weights });
  const targets = Int32Array.of(2, -100, 0);
  const inputs = { x: Float32Array.of(1, 0, 9, 9, 0, 2), targets };
  const batch = { batch: 3, pos: 1, inputs, lossWeights: meanWeights(targets) };
  expect((await trainer.step(batch)).loss).toBeCloseTo(Math.log(4), 6);
  const gradient = Array.from(trainer.moments.get('W')?.first ?? [], (m) => m * 10);
  [1 / 8, 1 / 8, -3 / 8, 1 / 8, -3 / 4, 1 / 4, 1 / 4, 1 / 4].forEach((expected, at) => {
    expect(gradient[at]).toBeCloseTo(expected, 5);
  });
});

test('one answer an example needs no second axis', async () => {
  const { graph } = linear(2, 4, [4]);
  const loss = classLoss(graph);
  expect(loss.graph.nodes[loss.loss]?.shape).toEqual(['batch']);
  const trainer = train({ graph, loss, weights: new Map([['W', tensor([2, 4], new Float32Array(8))]]) });
  const inputs = { x: Float32Array.of(1, 0, 0, 2), targets: Int32Array.of(2, 0) };
  const batch = { batch: 2, pos: 1, inputs, lossWeights: Float64Array.of(0.5, 0.5) };
  expect((await trainer.step(batch)).loss).toBeCloseTo(Math.log(4), 6);
});

test('logits of another rank are no classes, and an input that is missing is named', async () => {
  const { graph } = linear(2, 4, [4]);
  const alone = { ...graph, nodes: graph.nodes.map((node) => ({ ...node, shape: node.shape.slice(0, 1) })) };
  expect(() => classLoss(alone)).toThrow('needs logits of shape [batch, classes]');
  const trainer = train({
    graph,
    loss: squaredErrorLoss(graph, { target: { kind: 'input' } }),
    weights: new Map([['W', tensor([2, 4], new Float32Array(8))]]),
  });
  const batch = { batch: 1, pos: 1, inputs: { x: Float32Array.of(1, 1) }, lossWeights: Float64Array.of(1) };
  await expect(trainer.step(batch)).rejects.toThrow(/lacks the input (targets|importance)/);
});

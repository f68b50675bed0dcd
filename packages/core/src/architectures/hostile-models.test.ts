import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { expectSurvives, hostileRuns } from '../checkpoints/hostile.fixture.ts';
import { type Checkpoint, memoryCheckpoint, openCheckpoint } from '../checkpoints/index.ts';
import { onnxFile, smallNet } from '../checkpoints/onnx-file.fixture.ts';
import { smallModels } from '../plan/fixtures/small-models.ts';
import { Rng, type Tensor } from '../tensor/index.ts';
import type { AnyModel } from './any-model.ts';
import { loadModel, modelFromCheckpoint } from './load-model.ts';
import { randomT5 } from './random-t5.fixture.ts';
import { recordedFamilies } from './recorded-families.fixture.ts';
import { sharedFolder, sharedPath, withoutShared } from './shared-data.ts';
import { wrongCheckpoint } from './wrong-checkpoint.fixture.ts';

// From a checkpoint to a graph, with settings, names and shapes that lie: a model whose sizes are sizes, or a typed error that names
// the checkpoint; and quickly. `CIRCUITSCOPE_FUZZ` says how many each architecture gets.

const root = mkdtempSync(join(tmpdir(), 'circuitscope-hostile-models-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function checkModel({ graph, weights }: AnyModel): void {
  for (const { shape, op } of graph.nodes)
    for (const size of shape)
      if (typeof size === 'number' && !(Number.isSafeInteger(size) && size >= 0))
        throw new Error(`${op} has the shape [${shape}]`);
  for (const { name, shape } of graph.params)
    if (weights.get(name)?.shape.join() !== shape.join()) throw new Error(`no ${name} of [${shape}]`);
}

function survives(name: string, base: Checkpoint, runs: number): void {
  const made = (checkpoint: Checkpoint): AnyModel => modelFromCheckpoint(checkpoint, name, { size: [24, 24] });
  checkModel(made(base));
  const rng = new Rng(7, `hostile model ${name}`);
  let refused = 0;
  for (let run = 0; run < runs; run++) {
    const wrong = wrongCheckpoint(base, rng);
    const told = (what: string): string =>
      `${name}, run ${run}: ${what}: ${JSON.stringify(wrong.config)} ${[...wrong.tensors.values()].map((each) => `${each.name} [${each.shape}]`)}`;
    const started = process.cpuUsage();
    try {
      checkModel(made(wrong));
    } catch (cause) {
      if (!(cause instanceof CircuitscopeError)) throw new Error(told(String(cause)), { cause });
      if (!`${cause.message} ${cause.at}`.includes(base.path)) throw new Error(told(`no file in ${cause.message}`));
      refused++;
    }
    const { user, system } = process.cpuUsage(started);
    if (user + system > 5e6) throw new Error(told(`${(user + system) / 1e6} s of work`));
  }
  expect(refused, name).toBeGreaterThan(runs / 4);
  expect(refused, name).toBeLessThanOrEqual(runs);
}

/** A sequential net whose config lists its modules, as a file `layers.json` does. */
function sequentialNet(): Checkpoint {
  const zeros = (...shape: number[]): Tensor => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
  const layers = [
    { path: '0', type: 'Conv2d', arguments: { in_channels: 1, out_channels: 2, kernel_size: [3, 3], padding: 1 } },
    { path: '1', type: 'BatchNorm2d', arguments: {} },
    { path: '2', type: 'ReLU', arguments: {} },
    { path: '3', type: 'MaxPool2d', arguments: { kernel_size: 2 } },
    { path: '4', type: 'Flatten', arguments: {} },
    { path: '5', type: 'Linear', arguments: { in_features: 8, out_features: 3 } },
  ];
  const tensors = new Map([
    ['0.weight', zeros(2, 1, 3, 3)],
    ...['0.bias', '1.weight', '1.bias', '1.running_mean', '1.running_var'].map((name) => [name, zeros(2)] as const),
    ['5.weight', zeros(3, 8)],
    ['5.bias', zeros(3)],
  ]);
  return memoryCheckpoint('small-net', { model_type: 'convnet', image: [1, 4, 4], layers }, tensors);
}

describe('a checkpoint whose settings and tensors lie gives a model, or an error that names it', () => {
  const small = [
    ...Object.entries(smallModels).map(([name, make]) => [name, () => make().checkpoint] as const),
    ['t5', () => randomT5().checkpoint] as const,
    ['convnet', sequentialNet] as const,
  ];
  test.each(small)('%s', (name, checkpoint) => survives(name, checkpoint(), hostileRuns(200)));

  test('ONNX, from its bytes on', () => {
    const path = join(root, 'm.onnx');
    const runs = hostileRuns(300);
    const taken = expectSurvives({
      name: 'ONNX model',
      file: path,
      bases: [onnxFile(smallNet)],
      runs,
      most: (bytes) => 32 * bytes.length + 4096,
      read: (bytes) => {
        writeFileSync(path, bytes);
        checkModel(loadModel(path));
      },
    });
    expect(taken).toBeLessThan(runs / 2);
    expect(readFileSync(path).length).toBeGreaterThan(0);
  });
});

describe.skipIf(!sharedFolder)(`recorded checkpoints${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  const others = ['bert', 'distilbert', 't5', 't5-gated', 'resnet-basic', 'resnet-bottleneck', 'vgg'];
  const folders = [...recordedFamilies, ...others].map((family) => join('golden/models', family));
  const more = ['golden/formats/gguf/gpt2-f32.gguf', 'golden/lens/toy-solu-ln', 'golden/lens/toy-attn-only'];
  test.each([...folders, ...more])('%s', (folder) =>
    survives(folder, openCheckpoint(sharedPath(folder)), hostileRuns(25)),
  );
});

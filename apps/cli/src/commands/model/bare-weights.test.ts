import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensorsHeader, readStored, writeSafetensors } from '@circuitscope/core/checkpoints';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';
import { sharedFolder, sharedPath, withoutShared } from '../../shared-data.ts';

// Weights that say nothing of their layers, and nets of Keras, from the command line.

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-bare-'));
  const f32 = (name: string, shape: readonly number[], values: readonly number[]) =>
    ({ name, dtype: 'f32', shape, data: Float32Array.from(values) }) as const;
  await writeSafetensors(join(folder, 'net.safetensors'), [
    f32('conv.weight', [1, 1, 3, 3], [0, 0, 0, 0, 2, 0, 0, 0, 0]),
    f32(
      'fc.weight',
      [2, 16],
      Array.from({ length: 32 }, (_, i) => (i < 16 ? 1 : -1)),
    ),
    f32('fc.bias', [2], [0, 1]),
  ]);
  await writeSafetensors(join(folder, 'images.safetensors'), [
    f32(
      'images',
      [1, 1, 6, 6],
      Array.from({ length: 36 }, () => 1),
    ),
  ]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const net = () => join(folder, 'net.safetensors');
const logitsOf = (path: string): number[] => {
  const found = readSafetensorsHeader(path).tensors.find(({ name }) => name === 'logits');
  return found ? [...readStored(found)] : [];
};

describe('weights alone', () => {
  test('are refused with what to write, drafted, and run with what was written', async () => {
    const bare = await circuitscope(['model', 'inspect', net()]);
    expect(bare.code).toBe(1);
    expect(bare.stderr).toMatch(/does not say what model it is.*net\.config\.json.*--template/);
    const drafted = await circuitscope(['model', 'inspect', net(), '--template']);
    expect(drafted.code).toBe(0);
    expect(drafted.stderr).toMatch(/assumed: .*ReLU/);
    const config = JSON.parse(drafted.stdout);
    expect(config).toMatchObject({ model_type: 'convnet', image: [1, 4, 4] });
    // The draft pads its convolution; this net does not, and sees larger images.
    config.layers[0].arguments.padding = 0;
    config.image = [1, 6, 6];
    const file = join(folder, 'layers.json.txt');
    writeFileSync(file, JSON.stringify(config));
    const out = join(folder, 'out.safetensors');
    const images = ['--images', join(folder, 'images.safetensors'), '--capture', 'all', '--out', out];
    const run = await circuitscope(['model', 'run', '--model', net(), '--config', file, ...images]);
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(logitsOf(out)).toEqual([32, -31]);
    const sites = await circuitscope(['model', 'sites', net(), '--config', file, '--json']);
    expect(JSON.parse(sites.stdout).sites.map(({ site }: { site: string }) => site)).toContain('conv.relu');
    writeFileSync(join(folder, 'net.config.json'), JSON.stringify(config));
    const beside = await circuitscope(['model', 'inspect', net(), '--json']);
    expect(JSON.parse(beside.stdout)).toMatchObject({ modelKind: 'convnet', model: { parameters: 43 } });
    // As where the shell made the file before the draft is written to it.
    writeFileSync(join(folder, 'net.config.json'), '');
    const again = await circuitscope(['model', 'inspect', net(), '--template']);
    expect([again.code, again.stdout]).toEqual([0, drafted.stdout]);
    const other = await circuitscope(['model', 'inspect', join(folder, 'images.safetensors'), '--template']);
    expect([other.code, other.stdout]).toEqual([1, '']);
  });
});

describe.skipIf(!sharedFolder)(`nets of Keras${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test('are inspected and run', async () => {
    const keras = sharedPath('data/vision/cifar10/pretrainedResnet.h5');
    const inspected = await circuitscope(['model', 'inspect', keras, '--json']);
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      format: 'keras',
      modelKind: 'convnet',
      model: { parameters: 78_666 },
    });
    const tfjs = sharedPath('data/vision/tinyvgg');
    const out = join(folder, 'vgg.safetensors');
    const picture = ['--images', join(tfjs, 'images/boat_1.jpeg'), '--capture', 'logits', '--out', out];
    const run = await circuitscope(['model', 'run', '--model', tfjs, ...picture]);
    expect([run.code, run.stderr]).toEqual([0, '']);
    const reference = JSON.parse(readFileSync(sharedPath('data/reference/tinyvgg.json'), 'utf8'));
    const [wish] = reference['model.json + group1-shard1of1.bin'].logits;
    // The picture was decoded by another program for the reference: pixels differ by one step in places.
    logitsOf(out).forEach((each, i) => {
      expect(Math.abs(each - wish[i])).toBeLessThan(0.2);
    });
  });
});

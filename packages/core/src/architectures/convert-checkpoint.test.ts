import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { memoryCheckpoint, openCheckpoint, readStored, readStoredFloat64 } from '../checkpoints/index.ts';
import { torchZip } from '../checkpoints/torch-file.fixture.ts';
import { captured, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import { convertCheckpoint } from './convert-checkpoint.ts';
import { loadModel } from './load-model.ts';
import { sharedFolder, sharedPath, withoutShared } from './shared-data.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-convert-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;
const out = (): string => join(root, `out${folders++}`);
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof CircuitscopeError) return error.code;
    throw error;
  }
  return 'fine';
};

describe('convertCheckpoint', () => {
  test('tensors with strides become dense, and nothing is left over from a conversion that fails', () => {
    const path = join(root, 'm.pt');
    writeFileSync(path, torchZip());
    expect(codeOf(() => convertCheckpoint(openCheckpoint(path), out()))).toBe('missing_config');
    writeFileSync(join(root, 'config.json'), '{"model_type":"x"}');
    const to = out();
    expect(convertCheckpoint(openCheckpoint(path), to).files).toEqual(['config.json', 'model.safetensors']);
    const { tensors, config } = openCheckpoint(to);
    expect(config).toEqual({ model_type: 'x' });
    expect([...readStored(tensors.get('w')!)]).toEqual([1, 3, 5, 2, 4, 6]);
    expect(codeOf(() => convertCheckpoint(openCheckpoint(path), to))).toBe('file_exists');
    const broken = openCheckpoint(path);
    writeFileSync(path, readFileSync(path).subarray(0, 300));
    const never = out();
    expect(codeOf(() => convertCheckpoint(broken, never))).toBe('truncated');
    expect(existsSync(never)).toBe(false);
    expect(readdirSync(root).some((name) => name.endsWith('.tmp'))).toBe(false);
  });

  test('weights in memory convert too', () => {
    const to = out();
    const tensors = new Map([['a', { shape: [2], data: Float32Array.of(1, 2) }]]);
    convertCheckpoint(memoryCheckpoint('made', { model_type: 'x' }, tensors), to);
    expect([...readStored(openCheckpoint(to).tensors.get('a')!)]).toEqual([1, 2]);
  });
});

describe.skipIf(!sharedFolder)(`recorded checkpoints${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  const containers = 'golden/formats/gpt2-containers';

  test.each([
    `${containers}/torch-bin-sharded`,
    `${containers}/torch-strided`,
    `${containers}/torch-legacy`,
    `${containers}/npz/model_compressed.npz`,
    `${containers}/bf16`,
    `${containers}/f16`,
    'golden/formats/gguf/gpt2-bf16.gguf',
    'golden/formats/gguf/gpt2-q4_0.gguf',
    'data/lm/stories260K/stories260K.bin',
  ])('%s gives the same logits to the bit after conversion', async (given) => {
    const to = out();
    convertCheckpoint(openCheckpoint(sharedPath(given)), to);
    const tokens = [[1, 5, 9, 2]];
    const [before, after] = await Promise.all(
      [sharedPath(given), to].map(async (path) => {
        const { graph, weights } = loadModel(path);
        const plan = makePlan(graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
        const executor = referenceExecutor();
        return captured(await runPlan({ graph, weights, executor }, plan, { tokens }), 'logits').data;
      }),
    );
    expect(after).toEqual(before);
  });

  test('types are kept', () => {
    const to = out();
    convertCheckpoint(openCheckpoint(sharedPath(containers, 'bf16')), to);
    const from = openCheckpoint(sharedPath(containers, 'bf16')).tensors;
    for (const [name, tensor] of openCheckpoint(to).tensors) {
      expect(tensor.dtype).toBe('bf16');
      expect(readStoredFloat64(tensor), name).toEqual(readStoredFloat64(from.get(name)!));
    }
  });
});

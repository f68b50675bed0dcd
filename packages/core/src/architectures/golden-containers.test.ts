import { describe, expect, test } from 'vitest';
import { captured, chooseExecutor, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import { loadModel } from './load-model.ts';
import { recorded, relativeError, sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

// One GPT-2 in every container: logits in float64 from the weights as stored, recorded by a plain implementation.

const containers = {
  reference: 'float32',
  sharded: 'float32',
  'torch-bin': 'float32',
  'torch-bin-sharded': 'float32',
  'torch-legacy': 'float32',
  'torch-strided': 'float32',
  'torch-nested/checkpoint.pt': 'float32',
  npz: 'float32',
  'npz/model_compressed.npz': 'float32',
  bf16: 'bf16',
  f16: 'f16',
} as const;

describe.skipIf(!sharedFolder)(`containers${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const [container, stored] of Object.entries(containers)) {
    test(`${container}: the recorded logits, in float64 and by the chosen executor`, async () => {
      const folder = 'golden/formats/gpt2-containers';
      const { tokens } = sharedJson(folder, 'case.json') as { tokens: number[][] };
      const model = loadModel(sharedPath(folder, container));
      const expected = recorded(folder, 'expected.safetensors').read(`logits/${stored}`);
      const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
      for (const [executor, bound] of [
        [referenceExecutor({ precision: 'f64' }), 1e-9],
        [(await chooseExecutor()).executor, 1e-4],
      ] as const) {
        const run = await runPlan({ graph: model.graph, weights: model.weights, executor }, plan, { tokens });
        expect(relativeError(captured(run, 'logits'), expected)).toBeLessThan(bound);
      }
    });
  }
});

describe.skipIf(!sharedFolder)(`GGUF${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const stored of ['f32', 'f16', 'bf16', 'q8_0', 'q4_0']) {
    test(`gpt2-${stored}.gguf: the recorded logits, in float64 and by the chosen executor`, async () => {
      const { tokens } = sharedJson('golden/formats/gguf/case.json') as { tokens: number[][] };
      const model = loadModel(sharedPath('golden/formats/gguf', `gpt2-${stored}.gguf`));
      const expected = recorded('golden/formats/gguf/expected.safetensors').read(`logits/${stored}`);
      const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
      for (const [executor, bound] of [
        [referenceExecutor({ precision: 'f64' }), 1e-9],
        [(await chooseExecutor()).executor, 1e-4],
      ] as const) {
        const run = await runPlan({ graph: model.graph, weights: model.weights, executor }, plan, { tokens });
        expect(relativeError(captured(run, 'logits'), expected)).toBeLessThan(bound);
      }
    });
  }
});

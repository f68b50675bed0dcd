import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { writeSafetensors } from '../checkpoints/index.ts';
import { chooseExecutor, type Executor, makePlan, readoutTensor, runPlan, type Weight } from '../plan/index.ts';
import { Rng } from '../tensor/index.ts';
import { loadDecoder, type Model } from './load-model.ts';
import { recordedFamilies } from './recorded-families.fixture.ts';
import { sharedFolder, sharedPath, withoutShared } from './shared-data.ts';
import { viewModel } from './views.ts';

// Folded weights that the addon computes as it packs them have the bits of those that are computed here: activations, logits,
// and gradients, which read the matrices the other way round.

const root = mkdtempSync(join(tmpdir(), 'circuitscope-folded-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A tied GPT-2 on disk with a vocabulary of several blocks of lines and a width of more than one tile. */
function wideGpt2(): Model {
  const [width, vocab, inner] = [264, 1100, 300];
  const rng = new Rng(5, 'folded-natively');
  const floats = (length: number) => Float32Array.from({ length }, () => rng.normal() * 0.3);
  const sizes: readonly (readonly [name: string, ...shape: number[]])[] = [
    ['wte.weight', vocab, width],
    ['wpe.weight', 16, width],
    ...['h.0.ln_1', 'h.0.ln_2', 'ln_f'].flatMap((at) =>
      ['weight', 'bias'].map((part) => [`${at}.${part}`, width] as const),
    ),
    ['h.0.attn.c_attn.weight', width, 3 * width],
    ['h.0.attn.c_attn.bias', 3 * width],
    ['h.0.attn.c_proj.weight', width, width],
    ['h.0.attn.c_proj.bias', width],
    ['h.0.mlp.c_fc.weight', width, inner],
    ['h.0.mlp.c_fc.bias', inner],
    ['h.0.mlp.c_proj.weight', inner, width],
    ['h.0.mlp.c_proj.bias', width],
  ];
  const folder = join(root, 'wide');
  mkdirSync(folder);
  const config = { model_type: 'gpt2', n_layer: 1, n_head: 4, n_embd: width, n_inner: inner, vocab_size: vocab };
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, n_positions: 16 }));
  const tensors = sizes.map(([name, ...shape]) => {
    const data = floats(shape.reduce((a, b) => a * b, 1));
    return { name: `transformer.${name}`, dtype: 'f32' as const, shape, data };
  });
  writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return loadDecoder(folder);
}

async function bits(model: Model, weights: Model['weights'], executor: Executor): Promise<readonly Uint32Array[]> {
  const last = model.spec.layers - 1;
  const plan = makePlan(model.graph, {
    readouts: [
      { kind: 'capture', at: { site: 'logits' } },
      { kind: 'capture', at: { site: `blocks.${last}.hook_resid_post` } },
      {
        kind: 'gradient',
        of: [{ kind: 'loss', reduce: 'mean' }],
        wrt: { kind: 'site', at: { site: 'blocks.0.hook_resid_pre' } },
      },
    ],
  });
  const run = await runPlan({ graph: model.graph, weights, executor }, plan, { tokens: [[1, 5, 9, 2, 0, 7, 3]] });
  return [0, 1, 2].map((at) => new Uint32Array(Float32Array.from(readoutTensor(run, at).data).buffer));
}

async function compare(model: Model): Promise<void> {
  const { executor } = await chooseExecutor();
  const folded = viewModel(model, 'folded');
  const computedHere = new Map(
    [...folded.weights].map(([name, weight]): [string, Weight] => {
      const { folded: _, ...plain } = weight;
      return [name, plain];
    }),
  );
  expect([...folded.weights.values()].some((weight) => weight.folded)).toBe(true);
  const there = await bits(folded, folded.weights, executor);
  expect(there).toEqual(await bits(folded, computedHere, executor));
  expect(there[0]?.some((word) => word !== 0)).toBe(true);
}

test('a tied GPT-2 wider than tiles and blocks', async () => compare(wideGpt2()));

describe.skipIf(!sharedFolder)(`recorded models${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test.each(recordedFamilies)('%s', async (family) => compare(loadDecoder(sharedPath('golden/models', family))));

  test.each(['bf16', 'f16'])('%s weights', async (container) =>
    compare(loadDecoder(sharedPath('golden/formats/gpt2-containers', container))),
  );
});

import { CircuitscopeError, type Intervention } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { type Checkpoint, memoryCheckpoint, openCheckpoint, readStored } from '../checkpoints/index.ts';
import { listSites } from '../graph/index.ts';
import { captured, chooseExecutor, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { decoderFromCheckpoint, loadDecoder, type Model } from './load-model.ts';
import { recorded, relativeError, sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};

const cfg = {
  n_layers: 1,
  d_model: 4,
  n_ctx: 3,
  d_head: 2,
  n_heads: 2,
  d_vocab: 5,
  attn_only: true,
  normalization_type: null,
};
const zeros = (...shape: number[]): Tensor => ({ shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
const tensors = (more: Readonly<Record<string, Tensor>> = {}): ReadonlyMap<string, Tensor> =>
  new Map(
    Object.entries({
      'embed.W_E': zeros(5, 4),
      'pos_embed.W_pos': zeros(3, 4),
      'unembed.W_U': zeros(4, 5),
      'blocks.0.attn.W_O': zeros(2, 2, 4),
      ...Object.fromEntries(['Q', 'K', 'V'].map((port) => [`blocks.0.attn.W_${port}`, zeros(2, 4, 2)])),
      ...more,
    }),
  );

describe('transformerLens', () => {
  test('a state dict beside its cfg.json is a model; masks and IGNORE are buffers', () => {
    const buffers = { 'blocks.0.attn.mask': zeros(3, 3), 'blocks.0.attn.IGNORE': zeros() };
    const model = decoderFromCheckpoint(memoryCheckpoint('toy', cfg, tensors(buffers)), 'toy');
    expect([model.architecture, model.spec.biases.qkv, model.spec.inner]).toEqual(['transformerlens', false, 0]);
  });

  test('a setting that is not computed is refused by its name, also one that nobody knows', () => {
    const refused = (more: object) =>
      codeOf(() => decoderFromCheckpoint(memoryCheckpoint('toy', { ...cfg, ...more }, tensors()), 'toy'));
    expect(refused({ positional_embedding_type: 'shortformer' })).toMatch(/bad_config.*positional_embedding_type/);
    expect(refused({ attention_dir: 'bidirectional' })).toMatch(/bad_config.*attention_dir/);
    expect(refused({ attn_only: false, act_fn: 'mish' })).toMatch(/bad_config.*act_fn/);
    expect(refused({ attn_only: false, act_fn: 'solu_ln', normalization_type: null })).toMatch(/bad_config.*act_fn/);
    expect(refused({ normalization_type: 'LNPre' })).toMatch(/bad_config.*normalization_type/);
    expect(refused({ attn_scores_soft_cap: 30 })).toMatch(/bad_config.*soft_cap/);
    expect(refused({ use_local_attn: true })).toMatch(/bad_config.*use_local_attn/);
    expect(refused({ new_setting: 1 })).toMatch(/unknown_config.*new_setting/);
    expect(refused({ seed: 3, device: 'cpu', n_params: 12, d_vocab_out: 5, attn_scale: -1 })).toBe('accepted');
  });
});

/** The state dict that TransformerLens makes of a GPT-2 of transformers, with nothing folded. */
function asTransformerLens(given: Checkpoint): ReadonlyMap<string, Tensor> {
  const config = given.config as { [key: string]: number };
  const [width = 0, heads = 1, layers = 0] = [config.n_embd, config.n_head, config.n_layer];
  const head = width / heads;
  const read = (name: string): Float32Array => readStored(given.tensors.get(`transformer.${name}`)!);
  const out = new Map<string, Tensor>();
  const put = (name: string, shape: number[], data: Float32Array): void => void out.set(name, { shape, data });
  const embedding = read('wte.weight');
  const vocab = embedding.length / width;
  put('embed.W_E', [vocab, width], embedding);
  put('pos_embed.W_pos', [config.n_positions ?? 0, width], read('wpe.weight'));
  put(
    'unembed.W_U',
    [width, vocab],
    Float32Array.from(embedding, (_, i) => embedding[(i % vocab) * width + Math.floor(i / vocab)] ?? 0),
  );
  put('unembed.b_U', [vocab], new Float32Array(vocab));
  const vectors = (to: string, from: string): void => {
    for (const [part, stored] of [
      ['w', 'weight'],
      ['b', 'bias'],
    ] as const)
      put(`${to}.${part}`, [width], read(`${from}.${stored}`));
  };
  vectors('ln_final', 'ln_f');
  for (let layer = 0; layer < layers; layer++) {
    const [from, to] = [`h.${layer}`, `blocks.${layer}`];
    const [fused, bias] = [read(`${from}.attn.c_attn.weight`), read(`${from}.attn.c_attn.bias`)];
    ['Q', 'K', 'V'].forEach((port, third) => {
      const W = Float32Array.from({ length: width * width }, (_, i) => {
        const [h, row, column] = [Math.floor(i / (width * head)), Math.floor(i / head) % width, i % head];
        return fused[row * 3 * width + third * width + h * head + column] ?? 0;
      });
      put(`${to}.attn.W_${port}`, [heads, width, head], W);
      put(`${to}.attn.b_${port}`, [heads, head], bias.slice(third * width, (third + 1) * width));
    });
    put(`${to}.attn.W_O`, [heads, head, width], read(`${from}.attn.c_proj.weight`));
    put(`${to}.attn.b_O`, [width], read(`${from}.attn.c_proj.bias`));
    vectors(`${to}.ln1`, `${from}.ln_1`);
    vectors(`${to}.ln2`, `${from}.ln_2`);
    for (const [name, stored] of [
      ['in', 'c_fc'],
      ['out', 'c_proj'],
    ] as const) {
      const shape = [...(given.tensors.get(`transformer.${from}.mlp.${stored}.weight`)?.shape ?? [])];
      put(`${to}.mlp.W_${name}`, shape, read(`${from}.mlp.${stored}.weight`));
      put(`${to}.mlp.b_${name}`, shape.slice(1), read(`${from}.mlp.${stored}.bias`));
    }
    put(`${to}.attn.IGNORE`, [], new Float32Array(1));
  }
  return out;
}

describe.skipIf(!sharedFolder)(`recorded models${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  /** The toy with norms was recorded before its gains were rounded to the float32 of its file. */
  const doubleBound = (name: string): number => (name === 'toy-solu-ln' ? 2e-6 : 2e-7);

  async function agree(model: Model, tokens: number[][], expected: Tensor, double = 2e-7): Promise<void> {
    const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
    for (const [executor, bound] of [
      [referenceExecutor({ precision: 'f64' }), double],
      [(await chooseExecutor()).executor, 1e-4],
    ] as const) {
      const run = await runPlan({ graph: model.graph, weights: model.weights, executor }, plan, { tokens });
      expect(relativeError(captured(run, 'logits'), expected)).toBeLessThan(bound);
    }
  }

  test.each(['toy-attn-only', 'toy-gelu-nonorm', 'toy-solu-ln'])(
    '%s opens from its folder and gives its recorded logits',
    async (name) => {
      const { tokens } = sharedJson('golden/lens', name, 'case.json') as { tokens: number[][] };
      const expected = recorded('golden/lens', name, 'raw.safetensors').read('unembed.hook_out');
      await agree(loadDecoder(sharedPath('golden/lens', name)), tokens, expected, doubleBound(name));
    },
  );

  test('a SoLU toy has the recorded value at every hook, the norm inside its MLP included', async () => {
    const model = loadDecoder(sharedPath('golden/lens/toy-solu-ln'));
    const file = recorded('golden/lens/toy-solu-ln/raw.safetensors');
    const { tokens } = sharedJson('golden/lens/toy-solu-ln/case.json') as { tokens: number[][] };
    const sites = listSites(model.graph).map(({ site }) => site);
    const shared = sites.filter((site) => file.names.includes(site));
    expect(shared).toEqual(expect.arrayContaining(['blocks.1.mlp.hook_mid', 'blocks.1.mlp.ln.hook_scale']));
    expect(shared.length).toBeGreaterThan(40);
    const plan = makePlan(model.graph, { readouts: shared.map((site) => ({ kind: 'capture', at: { site } })) });
    for (const [executor, bound] of [
      [referenceExecutor({ precision: 'f64' }), doubleBound('toy-solu-ln')],
      [(await chooseExecutor()).executor, 1e-4],
    ] as const) {
      const run = await runPlan({ graph: model.graph, weights: model.weights, executor }, plan, { tokens });
      for (const site of shared) expect(relativeError(captured(run, site), file.read(site)), site).toBeLessThan(bound);
    }
    const neuron: Intervention = {
      kind: 'write',
      at: { site: 'blocks.0.mlp.hook_mid', unit: [3] },
      op: 'set',
      value: { kind: 'const', value: 2 },
    };
    const logits = (interventions: Intervention[]) =>
      runPlan(
        { graph: model.graph, weights: model.weights, executor: referenceExecutor() },
        makePlan(model.graph, { interventions, readouts: [{ kind: 'capture', at: { site: 'logits' } }] }),
        { tokens },
      );
    expect(captured(await logits([neuron]), 'logits').data).not.toEqual(captured(await logits([]), 'logits').data);
  });

  test('toys with parts that are not computed say which', () => {
    const message = (name: string) => codeOf(() => loadDecoder(sharedPath('golden/lens', name)));
    expect(message('toy-attn-only-shortformer')).toMatch(/positional_embedding_type|normalization_type/);
    expect(message('toy-rotary-bidirectional')).toMatch(/attention_dir/);
  });

  test('a GPT-2 in TransformerLens’s names beside its own config.json gives transformers’ logits', async () => {
    const given = openCheckpoint(sharedPath('golden/models/gpt2'));
    const model = decoderFromCheckpoint(memoryCheckpoint('lens', given.config, asTransformerLens(given)), 'lens');
    expect(model.architecture).toBe('gpt2');
    const { runs } = sharedJson('golden/models/gpt2/case.json') as { runs: { name: string; tokens: number[][] }[] };
    const { tokens = [] } = runs.find(({ name }) => name === 'plain') ?? {};
    await agree(model, tokens, recorded('golden/models/gpt2/expected.safetensors').read('logits'));
  });
});

import { copyFileSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import type { StoredTensor } from '../checkpoints/index.ts';
import { hashGraph } from '../graph/index.ts';
import { smallModels } from '../plan/fixtures/small-models.ts';
import { captured, chooseExecutor, makePlan, readWeight, referenceExecutor, runPlan } from '../plan/index.ts';
import { decoderFromCheckpoint, engineFor, loadDecoder, type Model, modelRef } from './load-model.ts';
import { recordedFamilies } from './recorded-families.fixture.ts';
import { recorded, relativeError, sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

const skipped = sharedFolder ? '' : ` (skipped: ${withoutShared})`;

function refused(action: () => unknown): CircuitscopeError {
  try {
    action();
  } catch (error) {
    if (error instanceof CircuitscopeError) return error;
    throw error;
  }
  throw new Error('the model loaded');
}

type Tensors = Map<string, StoredTensor>;

/** A small model's checkpoint, loaded again with another config or other tensors. */
function reload(model: Model, config: object, change: (tensors: Tensors) => void = () => {}): Model {
  const tensors: Tensors = new Map(model.checkpoint.tensors);
  change(tensors);
  const own = typeof model.checkpoint.config === 'object' ? model.checkpoint.config : {};
  return decoderFromCheckpoint({ ...model.checkpoint, config: { ...own, ...config }, tensors }, model.name);
}

describe('a config', () => {
  const gpt2 = smallModels.gpt2();
  const llama = smallModels.llama();
  const toy = smallModels.attentionOnly();

  test('with a setting that is not understood is refused, since a default may hide it', () => {
    for (const model of [gpt2, llama, toy]) {
      const error = refused(() => reload(model, { sliding_window: 4096 }));
      expect(error).toMatchObject({ code: 'unknown_config', got: 'sliding_window' });
      expect(error.at).toContain('config.json: sliding_window');
    }
  });

  test('may carry what concerns training, generation and bookkeeping', () => {
    const extra = { torch_dtype: 'float16', bos_token_id: 1, use_cache: true, temperature: 0.7, architectures: ['X'] };
    for (const model of [gpt2, llama]) expect(hashGraph(reload(model, extra).graph)).toBe(hashGraph(model.graph));
  });

  test('with a value of the wrong type or size names the setting', () => {
    const cases: [Model, object, string][] = [
      [gpt2, { n_layer: '2' }, 'n_layer'],
      [gpt2, { n_embd: 0 }, 'n_embd'],
      [gpt2, { n_head: 2.5 }, 'n_head'],
      [gpt2, { layer_norm_epsilon: 'small' }, 'layer_norm_epsilon'],
      [gpt2, { scale_attn_weights: 1 }, 'scale_attn_weights'],
      [gpt2, { activation_function: 'mish' }, 'activation_function'],
      [gpt2, { activation_function: 'toString' }, 'activation_function'],
      [gpt2, { add_cross_attention: true }, 'add_cross_attention'],
      [llama, { vocab_size: null }, 'vocab_size'],
      [llama, { rope_theta: '1e4' }, 'rope_theta'],
      [llama, { rope_scaling: 'linear' }, 'rope_scaling'],
      [llama, { rope_parameters: { rope_theta: '1e4' } }, 'rope_theta'],
      [toy, { positional_embedding_type: 'shortformer' }, 'positional_embedding_type'],
    ];
    for (const [model, config, at] of cases) {
      const error = refused(() => reload(model, config));
      expect(error, JSON.stringify(config)).toMatchObject({ code: 'bad_config' });
      expect(error.at).toContain(at);
    }
  });

  test('whose sizes do not go together is refused', () => {
    for (const [model, config] of [
      [gpt2, { n_head: 4 }],
      [llama, { num_key_value_heads: 3 }],
      [llama, { head_dim: 5 }],
      [gpt2, { n_layer: 5000 }],
    ] as const) {
      expect(refused(() => reload(model, config))).toMatchObject({ code: 'bad_config' });
    }
  });

  test('that scales rotary positions in a way that is not known, or not wholly, is not run as if it did not', () => {
    for (const key of ['rope_scaling', 'rope_parameters']) {
      const error = refused(() => reload(llama, { [key]: { rope_type: 'ntk', factor: 2 } }));
      expect(error).toMatchObject({ code: 'unsupported_config', got: 'ntk' });
      const cases: [object, string, string][] = [
        [{ type: 'linear' }, 'bad_config', 'factor'],
        [{ rope_type: 'linear', factor: 2, low_freq_factor: 1 }, 'unknown_config', 'low_freq_factor'],
        [{ rope_type: 'llama3', factor: 2 }, 'bad_config', 'low_freq_factor'],
        [{ rope_type: 'yarn', factor: '4' }, 'bad_config', 'factor'],
        [{ rope_type: 'longrope', short_factor: [1], long_factor: [1], factor: 2 }, 'bad_config', 'short_factor'],
        [{ rope_type: 'default', factor: 2 }, 'unknown_config', 'factor'],
      ];
      for (const [setting, code, at] of cases) {
        const found = refused(() => reload(llama, { [key]: setting }));
        expect(found, JSON.stringify(setting)).toMatchObject({ code });
        expect(found.at).toContain(at);
      }
    }
  });

  test('of another architecture names those that are supported', () => {
    const error = refused(() => reload(gpt2, { model_type: 'mamba' }));
    expect(error).toMatchObject({
      code: 'unsupported_architecture',
      got: 'mamba',
      expected: expect.stringContaining('llama'),
    });
  });
});

describe('tensors', () => {
  const gpt2 = smallModels.gpt2();
  const name = 'transformer.h.1.mlp.c_fc.weight';
  const take = (tensors: Tensors, key: string): StoredTensor => {
    const found = tensors.get(key);
    if (!found) throw new Error(`the model has no ${key}`);
    return found;
  };

  test('that are missing', () => {
    const error = refused(() => reload(gpt2, {}, (tensors) => tensors.delete(name)));
    expect(error).toMatchObject({ code: 'missing_tensor', expected: name });
  });

  test('of another shape than the config says', () => {
    const error = refused(() =>
      reload(gpt2, {}, (tensors) => tensors.set(name, { ...take(tensors, name), shape: [40, 21] })),
    );
    expect(error).toMatchObject({ code: 'shape_mismatch', expected: '21 × 40', got: '40 × 21' });
    expect(refused(() => reload(gpt2, { n_inner: 41 }))).toMatchObject({ code: 'shape_mismatch' });
  });

  test('that nothing reads', () => {
    const error = refused(() =>
      reload(gpt2, {}, (tensors) => tensors.set('adapter.weight', { ...take(tensors, name), name: 'adapter.weight' })),
    );
    expect(error).toMatchObject({ code: 'unknown_tensor', got: 'adapter.weight' });
  });

  test('that are buffers or a second copy of tied weights may be there', () => {
    const model = reload(gpt2, {}, (tensors) => {
      tensors.set('transformer.h.0.attn.bias', take(tensors, name));
      tensors.set('lm_head.weight', take(tensors, 'transformer.wte.weight'));
    });
    expect(hashGraph(model.graph)).toBe(hashGraph(gpt2.graph));
    expect(model.parameters).toBe(gpt2.parameters);
  });

  test('of a bare GPT-2 have no prefix', () => {
    const model = reload(gpt2, {}, (tensors) => {
      for (const [key, tensor] of [...tensors]) {
        tensors.delete(key);
        tensors.set(key.replace(/^transformer\./, ''), tensor);
      }
    });
    expect(readWeight(model.weights, 'ln_final.w')).toEqual(readWeight(gpt2.weights, 'ln_final.w'));
  });
});

describe('a loaded model', () => {
  test('gives weights as matrices that are multiplied from the right, whatever their storage', () => {
    const stored = (model: Model, key: string) => model.checkpoint.tensors.get(key)?.data ?? new Float32Array();
    const gpt2 = smallModels.gpt2();
    const fused = stored(gpt2, 'transformer.h.0.attn.c_attn.weight');
    const keys = readWeight(gpt2.weights, 'blocks.0.attn.W_K');
    expect(keys.shape).toEqual([21, 21]);
    expect(keys.data[2 * 21 + 5]).toBe(fused[2 * 63 + 21 + 5]);
    const llama = smallModels.llama();
    const up = readWeight(llama.weights, 'blocks.1.mlp.W_in');
    expect(up.shape).toEqual([20, 33]);
    expect(up.data[7 * 33 + 4]).toBe(stored(llama, 'model.layers.1.mlp.up_proj.weight')[4 * 20 + 7]);
    const toy = smallModels.attentionOnly();
    const query = readWeight(toy.weights, 'blocks.0.attn.W_Q');
    expect(query.shape).toEqual([18, 15]);
    expect(query.data[3 * 15 + 2 * 5 + 1]).toBe(stored(toy, 'blocks.0.attn.W_Q')[(2 * 18 + 3) * 5 + 1]);
  });

  test('says what it is: content, graph, parameters, type', async () => {
    const model = smallModels.attentionOnly();
    const reference = await modelRef(model);
    const parameters = 37 * 18 + 19 * 18 + 18 * 37 + 2 * 4 * 18 * 15;
    expect(reference).toMatchObject({
      kind: 'model',
      architecture: 'attention_only',
      view: 'raw',
      parameters,
      dtype: 'f32',
    });
    expect(reference.contentHash).toBe((await modelRef(smallModels.attentionOnly())).contentHash);
    expect(reference.contentHash).not.toBe((await modelRef(smallModels.attentionOnly(2))).contentHash);
    expect(reference.graphHash).toBe(hashGraph(model.graph));
  });
});

describe.skipIf(!sharedFolder)(`recorded checkpoints${skipped}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'circuitscope-models-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each([...recordedFamilies])('%s: the config of transformers 5 loads to the same model', (family) => {
    const from = sharedPath('golden/models', family);
    const into = mkdtempSync(join(folder, `${family}-`));
    copyFileSync(join(from, 'config.v5.json'), join(into, 'config.json'));
    symlinkSync(join(from, 'model.safetensors'), join(into, 'model.safetensors'));
    const [old, fresh] = [loadDecoder(from), loadDecoder(into)];
    expect(hashGraph(fresh.graph)).toBe(hashGraph(old.graph));
    const plain = ({ scoreScale, ...rest }: Model['spec']) => ({ ...rest, scales: [0, 1, 2].map(scoreScale) });
    expect(plain(fresh.spec)).toEqual(plain(old.spec));
    expect([...fresh.weights.keys()]).toEqual([...old.weights.keys()]);
  });

  test('families that are not supported are refused, never run approximately', () => {
    const known: readonly string[] = recordedFamilies;
    const others = readdirSync(sharedPath('golden/models')).filter((name) => !known.includes(name));
    for (const name of others.filter((each) => each !== 'vgg'))
      expect(refused(() => loadDecoder(sharedPath('golden/models', name))).code, name).toBe('unsupported_architecture');
  });

  test.each([...recordedFamilies])('a %s with a setting that nobody asked for is refused by its name', (family) => {
    const model = loadDecoder(sharedPath('golden/models', family));
    for (const key of ['attention_chunk_size', 'logit_scale', 'embedding_multiplier'])
      expect(refused(() => reload(model, { [key]: 2 }))).toMatchObject({ code: 'unknown_config', got: key });
  });

  test.each(['reference', 'sharded', 'bf16', 'f16'])(
    'a GPT-2 stored as %s computes its recorded logits',
    async (container) => {
      const { tokens } = sharedJson('golden/formats/gpt2-containers/case.json') as { tokens: number[][] };
      const model = loadDecoder(sharedPath('golden/formats/gpt2-containers', container));
      const kind = container === 'reference' || container === 'sharded' ? 'float32' : container;
      const want = recorded('golden/formats/gpt2-containers/expected.safetensors').read(`logits/${kind}`);
      const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
      const chosen = (await chooseExecutor()).executor;
      for (const [executor, bound] of [
        [referenceExecutor({ precision: 'f64' }), 1e-9],
        [chosen, 1e-4],
      ] as const) {
        const got = captured(await runPlan(engineFor(model, executor), plan, { tokens }), 'logits');
        expect(relativeError(got, want), executor.info.kind).toBeLessThan(bound);
      }
      expect((await modelRef(model)).dtype).toBe(kind === 'float32' ? 'f32' : kind);
    },
  );

  test('a folder that only holds a file of a name of its own asks for that file', () => {
    expect(refused(() => loadDecoder(sharedPath('golden/formats/gpt2-containers', 'torch-nested'))).code).toBe(
      'missing_file',
    );
  });
});

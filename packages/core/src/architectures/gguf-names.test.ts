import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { ggufFile, type Meta, meta, type TensorToPack } from '../checkpoints/gguf-file.fixture.ts';
import { type Checkpoint, openCheckpoint, readStored } from '../checkpoints/index.ts';
import { captured, chooseExecutor, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import { dequantisedBytes, huggingFaceOf } from './gguf-names.ts';
import { loadModel } from './load-model.ts';
import { recorded, relativeError, sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

const root = mkdtempSync(join(tmpdir(), 'circuitscope-gguf-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let files = 0;
function file(metadata: readonly Meta[], tensors: readonly TensorToPack[] = []): string {
  const path = join(root, `${files++}.gguf`);
  writeFileSync(path, ggufFile(metadata, tensors));
  return path;
}
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof CircuitscopeError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};
const embedding: TensorToPack = { name: 'token_embd.weight', shape: [5, 4], type: 0, bytes: new Uint8Array(80) };
const settings = (more: readonly Meta[] = []): Meta[] => [
  meta.text('general.architecture', 'llama'),
  meta.u32('llama.embedding_length', 4),
  meta.u32('llama.attention.head_count', 2),
  ...more,
];

describe('huggingFaceOf', () => {
  test('settings and names become transformers’ own; an absent unembedding is tied', () => {
    const opened = huggingFaceOf(
      openCheckpoint(file(settings([meta.u32('llama.rope.dimension_count', 2)]), [embedding])),
    );
    expect([...opened.tensors.keys()]).toEqual(['model.embed_tokens.weight']);
    expect(opened.config).toEqual({
      model_type: 'llama',
      hidden_size: 4,
      num_attention_heads: 2,
      vocab_size: 5,
      tie_word_embeddings: true,
      rope_interleaved: true,
    });
  });

  test('what would change numbers and is not computed is refused', () => {
    const refused = (metadata: readonly Meta[], tensors: readonly TensorToPack[] = [embedding]) =>
      codeOf(() => huggingFaceOf(openCheckpoint(file(metadata, tensors))));
    expect(refused(settings([meta.u32('llama.expert_count', 8)]))).toMatch(/unknown_config.*expert_count/);
    expect(refused(settings([meta.text('llama.rope.scaling.type', 'yarn')]))).toMatch(/bad_config.*rope.scaling.type/);
    expect(refused(settings([meta.u32('llama.rope.dimension_count', 4)]))).toMatch(/bad_config.*dimension_count/);
    expect(refused([meta.text('general.architecture', 'mamba')])).toMatch(/unsupported_architecture.*mamba/);
    expect(refused([])).toMatch(/unsupported_architecture/);
    expect(refused([meta.text('general.architecture', '__proto__')])).toMatch(/unsupported_architecture/);
    const stray = { ...embedding, name: 'rope_freqs.weight' };
    expect(refused(settings(), [embedding, stray])).toMatch(/unknown_tensor.*rope_freqs/);
    expect(refused(settings(), [embedding, { ...embedding, name: 'constructor.weight' }])).toMatch(/unknown_tensor/);
  });
});

/** A Llama as llama.cpp's converter writes it: rows of q and k go from halves to pairs, so that rotary turns neighbours. */
function asGguf(checkpoint: Checkpoint, config: { [key: string]: number }): string {
  const names = {
    'model.embed_tokens': 'token_embd',
    'model.norm': 'output_norm',
    lm_head: 'output',
    input_layernorm: 'attn_norm',
    post_attention_layernorm: 'ffn_norm',
    'self_attn.q_proj': 'attn_q',
    'self_attn.k_proj': 'attn_k',
    'self_attn.v_proj': 'attn_v',
    'self_attn.o_proj': 'attn_output',
    'mlp.gate_proj': 'ffn_gate',
    'mlp.up_proj': 'ffn_up',
    'mlp.down_proj': 'ffn_down',
  };
  const heads = { q_proj: config.num_attention_heads ?? 1, k_proj: config.num_key_value_heads ?? 1 };
  const tensors = [...checkpoint.tensors.values()].map((stored): TensorToPack => {
    const [, layer, stem = ''] = /^(?:model\.layers\.(\d+)\.)?(.*)\.weight$/.exec(stored.name) ?? [];
    const name = Object.entries(names).find(([from]) => from === stem)?.[1];
    const data = readStored(stored);
    const [rows = 0, columns = 1] = stored.shape;
    const count = Object.entries(heads).find(([port]) => stem.endsWith(port))?.[1];
    const width = rows / (count ?? 1);
    const moved = count === undefined ? data : new Float32Array(data.length);
    for (let row = 0; count !== undefined && row < rows; row++) {
      const [head, within] = [Math.floor(row / width), row % width];
      const to = head * width + 2 * (within % (width / 2)) + Math.floor(within / (width / 2));
      moved.set(data.subarray(row * columns, (row + 1) * columns), to * columns);
    }
    const bytes = new Uint8Array(moved.buffer, moved.byteOffset, moved.byteLength);
    return { name: `${layer === undefined ? '' : `blk.${layer}.`}${name}.weight`, shape: stored.shape, type: 0, bytes };
  });
  const numbers = {
    context_length: config.max_position_embeddings,
    embedding_length: config.hidden_size,
    feed_forward_length: config.intermediate_size,
    block_count: config.num_hidden_layers,
    'attention.head_count': config.num_attention_heads,
    'attention.head_count_kv': config.num_key_value_heads,
    vocab_size: config.vocab_size,
  };
  return file(
    [
      meta.text('general.architecture', 'llama'),
      ...Object.entries(numbers).map(([key, value]) => meta.u32(`llama.${key}`, value ?? 0)),
      meta.f32('llama.attention.layer_norm_rms_epsilon', config.rms_norm_eps ?? 0),
      meta.f32('llama.rope.freq_base', config.rope_theta ?? 10000),
    ],
    tensors,
  );
}

describe.skipIf(!sharedFolder)(`recorded models${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test('a Llama in GGUF’s names, row order and settings gives the logits that transformers gives', async () => {
    const given = openCheckpoint(sharedPath('golden/models/llama'));
    const config = given.config as { [key: string]: number };
    const model = loadModel(asGguf(given, config));
    const { runs } = sharedJson('golden/models/llama/case.json') as { runs: { name: string; tokens: number[][] }[] };
    const plain = runs.find(({ name }) => name === 'plain');
    const expected = recorded('golden/models/llama/expected.safetensors').read('logits');
    const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
    for (const [executor, bound] of [
      [referenceExecutor({ precision: 'f64' }), 1e-6], // eps is a float32 in GGUF
      [(await chooseExecutor()).executor, 1e-4],
    ] as const) {
      const run = await runPlan({ graph: model.graph, weights: model.weights, executor }, plan, {
        tokens: plain?.tokens ?? [],
      });
      expect(relativeError(captured(run, 'logits'), expected)).toBeLessThan(bound);
    }
  });

  test('quantised weights say what they take in memory', () => {
    const { tensors } = openCheckpoint(sharedPath('golden/formats/gguf/gpt2-q8_0.gguf'));
    const quantised = [...tensors.values()].filter(({ dtype }) => dtype === 'q8_0');
    const stored = quantised.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const bytes = dequantisedBytes(openCheckpoint(sharedPath('golden/formats/gguf/gpt2-q8_0.gguf')));
    expect(bytes / stored).toBeCloseTo(128 / 34, 10);
  });
});

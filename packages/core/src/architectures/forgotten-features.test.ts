import { describe, expect, test } from 'vitest';
import { readStored } from '../checkpoints/index.ts';
import { captured, makePlan, referenceExecutor, runPlan, type Weight } from '../plan/index.ts';
import type { Floats } from '../tensor/index.ts';
import { decoderFromCheckpoint, loadDecoder, type Model } from './load-model.ts';
import { promptOf, recordedCase } from './parity.fixture.ts';
import { recordedFamilies } from './recorded-families.fixture.ts';
import { recorded, sharedFolder, sharedPath, withoutShared } from './shared-data.ts';

// For each family it is recorded how far the largest logit moves when one feature is left out. Leaving the same feature out
// of our model must move ours just as far: then the feature is there, and is the one that is meant.

type Forget =
  /** The same checkpoint with other settings; undefined takes one away. */
  | { readonly config: { readonly [key: string]: unknown } }
  /** Weights whose names match, changed. */
  | { readonly weights: RegExp; readonly to: (data: Floats, model: Model, name: string) => Floats };

const all = (value: number) => (data: Floats) => new Float64Array(data.length).fill(value);
const gains = /(^|[._])(ln\w*|\w_norm)\.w$/;
const still: Forget = { weights: /^rotary/, to: (data, _, name) => all(name.endsWith('cos') ? 1 : 0)(data) };
const unscaled: Forget = { config: { rope_scaling: undefined } };
const wholeHead: Forget = { config: { partial_rotary_factor: 1 } };
const noWindow: Forget = { config: { sliding_window: 4096 } };
const gemma3Layers = ['sliding_attention', 'sliding_attention', 'full_attention'];

/** By label, or by family and label where families differ. */
const ways: { readonly [label: string]: Forget } = {
  'gains one (or zero, where norms use 1 + w)': { weights: gains, to: all(1) },
  'biases zero': { weights: /\.b(_\w+)?$/, to: all(0) },
  'top 1 expert': { config: { num_experts_per_tok: 1 } },
  'all 4 experts': { config: { num_experts_per_tok: 4 } },
  'no position embedding': { weights: /^pos_embed/, to: all(0) },
  'exact instead of tanh GELU': { config: { activation_function: 'gelu' } },
  'gemma/exact instead of tanh GELU': { config: { hidden_activation: 'gelu' } },
  'no inverse layer scale': { config: { scale_attn_by_inverse_layer_idx: false } },
  'no local window': { config: { attention_layers: ['global', 'global'] } },
  'scores divided by sqrt(d_head)': { weights: /W_Q$/, to: (data) => Float64Array.from(data, (x) => x / Math.sqrt(8)) },
  'sequential residual': { config: { use_parallel_residual: false } },
  'parallel residual': { config: { use_parallel_residual: true } },
  'rotary on the whole head': wholeHead,
  'no rotary': still,
  'no unembedding bias': { weights: /^unembed\.b_U$/, to: all(0) },
  'no position offset': {
    weights: /^pos_embed/,
    to: (data, model) => firstRows(model, 'model.decoder.embed_positions.weight', data.length),
  },
  'no alibi': { weights: /^alibi/, to: all(0) },
  // The norm of zeros is its shift.
  'no norm after the embedding': { weights: /^embed\.ln\.w$/, to: all(0) },
  'residual before the norm': { config: { apply_residual_connection_post_layernorm: false } },
  'rope base 500000': { config: { rope_theta: 500000 } },
  'final norm eps 0.05': { config: { rms_norm_eps: 0.05 } },
  'no rope scaling': unscaled,
  'llama-rope-dynamic/no rope scaling': { config: { rope_scaling: undefined, max_position_embeddings: 64 } },
  'linear instead of yarn': { config: { rope_scaling: { rope_type: 'linear', factor: 4 } } },
  'no mscale': {
    config: {
      rope_scaling: {
        rope_type: 'yarn',
        factor: 4,
        original_max_position_embeddings: 16,
        beta_fast: 8,
        beta_slow: 0.5,
      },
    },
  },
  'no sliding window': noWindow,
  'window 6': { config: { sliding_window: 6 } },
  'qwen2-sliding/no sliding window': { config: { use_sliding_window: false } },
  'window on all layers': { config: { max_window_layers: 0, layer_types: undefined } },
  'no q/k norm gain': { weights: /[qk]_norm\.w$/, to: all(1) },
  'no score soft-cap': { config: { attn_logit_softcapping: null } },
  'no logit soft-cap': { config: { final_logit_softcapping: null } },
  'window on the other layer': { config: { layer_types: ['full_attention', 'sliding_attention'] } },
  'scale by head_dim': { config: { query_pre_attn_scalar: 8 } },
  'no rope scaling on the global layer': { config: { rope_scaling: undefined, layer_types: gemma3Layers } },
  'one rope base': { config: { rope_local_base_freq: 10000 } },
};

/** Left out there by breaking the rotation in a way that no model turns; here the other pairs turn as they should. */
const otherPairs = /^(adjacent instead of half-split|half-split instead of adjacent) rotary$/;

describe.skipIf(!sharedFolder)(`a feature left out${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const family of recordedFamilies) {
    const features = sharedFolder ? Object.entries(recordedCase(family).dropped_feature) : [];
    for (const [label, { max_logit_change: recordedChange }] of features) {
      test(`${family}: ${label}`, async () => {
        const model = loadDecoder(sharedPath('golden/models', family));
        const changed = await largestChange(forget(model, family, label), family);
        if (otherPairs.test(label)) expect(changed).toBeGreaterThan(recordedChange / 10);
        else expect(Math.abs(changed / recordedChange - 1)).toBeLessThan(1e-6);
      });
    }
  }
});

function forget(model: Model, family: string, label: string): Model {
  const { checkpoint, spec } = model;
  const stored = typeof checkpoint.config === 'object' ? checkpoint.config : {};
  if (otherPairs.test(label) && spec.positions.kind === 'rotary') {
    const layout = spec.positions.layout === 'half' ? 'adjacent' : 'half';
    const nodes = model.graph.nodes.map((node) =>
      node.op === 'rotary' ? { ...node, attrs: { ...node.attrs, layout } } : node,
    );
    return { ...model, graph: { ...model.graph, nodes } };
  }
  if (label === 'no embedding scale') {
    const nodes = model.graph.nodes.map((node) =>
      node.op === 'scale' ? { ...node, attrs: { ...node.attrs, factor: 1 } } : node,
    );
    return { ...model, graph: { ...model.graph, nodes } };
  }
  const way = ways[`${family}/${label}`] ?? ways[label];
  if (!way) throw new Error(`no way to leave out ${label}`);
  if ('config' in way) {
    const config = Object.fromEntries(
      Object.entries({ ...stored, ...way.config }).filter(([, value]) => value !== undefined),
    );
    return decoderFromCheckpoint({ ...checkpoint, config }, model.name);
  }
  const weights = new Map<string, Weight>();
  let touched = 0;
  for (const [name, weight] of model.weights) {
    const hit = way.weights.test(name);
    if (hit) touched++;
    weights.set(name, hit ? { name, shape: weight.shape, read: () => way.to(weight.read(), model, name) } : weight);
  }
  expect(touched).toBeGreaterThan(0);
  return { ...model, weights };
}

async function largestChange(model: Model, family: string): Promise<number> {
  const [run] = recordedCase(family).runs;
  if (!run) throw new Error('no run');
  const engine = { graph: model.graph, weights: model.weights, executor: referenceExecutor({ precision: 'f64' }) };
  const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
  const got = captured(await runPlan(engine, plan, promptOf(run)), 'logits');
  const expected = recorded('golden/models', family, run.file).read('logits');
  const real = (at: number): boolean => {
    const [, pos = 1, vocab = 1] = expected.shape;
    return (run.attention_mask?.[Math.floor(at / (pos * vocab))]?.[Math.floor(at / vocab) % pos] ?? 1) !== 0;
  };
  return Array.from(expected.data).reduce(
    (most, value, at) => (real(at) ? Math.max(most, Math.abs(value - (got.data[at] ?? 0))) : most),
    0,
  );
}

/** The first entries of a stored table, which the graph leaves out. */
function firstRows(model: Model, tensor: string, count: number): Floats {
  const stored = model.checkpoint.tensors.get(tensor);
  if (!stored) throw new Error(`no ${tensor}`);
  return readStored(stored).slice(0, count);
}

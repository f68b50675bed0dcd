import type { Checkpoint } from '../checkpoints/index.ts';
import type { WeightSource } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';
import { WeightMap } from './weight-map.ts';

// Many families store their layers under the names that Llama's have in transformers, with a few modules called or split
// differently.

export interface LlamaNames {
  /** The modules of a layer's norms, by their names here. */
  readonly norms?: { readonly [norm in 'ln1' | 'ln2' | 'ln1_post' | 'ln2_post']?: string };
  readonly finalNorm?: string;
  /** The module that heads write through. */
  readonly out?: string;
  /** q, k and v side by side in one matrix. */
  readonly fusedQkv?: string;
  /** Modules of the MLP, by the part that they are; `gate` and `in` may be one matrix, gate first. */
  readonly mlp?: { readonly gate?: string; readonly in: string; readonly out: string };
  /** In place of one MLP: the module of the mixture, and the parts of its experts; the router is called `gate`. */
  readonly experts?: { readonly module: string; readonly gate: string; readonly in: string; readonly out: string };
  /** What is stored of a norm's gain is what it differs from this by. */
  readonly gainOffset?: number;
}

const usual = {
  norms: { ln1: 'input_layernorm', ln2: 'post_attention_layernorm' },
  mlp: { gate: 'gate_proj', in: 'up_proj', out: 'down_proj' },
} as const;

/** Where the weights of such a checkpoint lie. Checkpoints saved from the bare model lack the prefix. */
export function llamaSources(
  checkpoint: Checkpoint,
  spec: DecoderSpec,
  names: LlamaNames = {},
): ReadonlyMap<string, WeightSource> {
  const root = checkpoint.tensors.has('embed_tokens.weight') ? '' : 'model.';
  const { width, vocab, biases, layers } = spec;
  const map = new WeightMap();
  map.table('embed.W_E', `${root}embed_tokens.weight`, vocab, width);
  const gain = { shift: spec.norm?.kind === 'layer', plus: names.gainOffset ?? 0 };
  for (let layer = 0; layer < layers; layer++) {
    const from = `${root}layers.${layer}`;
    for (const [norm, module] of Object.entries(names.norms ?? usual.norms))
      map.norm(`blocks.${layer}.${norm}`, `${from}.${module}`, width, gain);
    attention(map, spec, layer, `${from}.self_attn`, names, gain.plus);
    const at = `blocks.${layer}.mlp`;
    if (names.experts && spec.experts) {
      const router = { from: `${from}.${names.experts.module}.gate`, out: spec.experts.count, into: width };
      map.linear(at, 'router', router);
      for (let expert = 0; expert < spec.experts.count; expert++)
        mlp(map, spec, `${at}.experts.${expert}`, `${from}.${names.experts.module}.experts.${expert}`, names.experts);
    } else mlp(map, spec, at, `${from}.mlp`, names.mlp ?? usual.mlp);
  }
  map.norm('ln_final', `${root}${names.finalNorm ?? 'norm'}`, width, gain);
  map.unembedding(spec.tied ? `${root}embed_tokens.weight` : 'lm_head.weight', vocab, width);
  if (biases.unembed) map.vector('unembed.b_U', 'lm_head.bias', vocab);
  return map.sources;
}

function attention(map: WeightMap, spec: DecoderSpec, layer: number, from: string, names: LlamaNames, plus: number) {
  const { width, heads, kvHeads, headWidth, biases } = spec;
  const at = `blocks.${layer}.attn`;
  const [q, k] = [heads * headWidth, kvHeads * headWidth];
  const parts = [
    { part: 'Q', out: q, first: 0 },
    { part: 'K', out: k, first: q },
    { part: 'V', out: k, first: q + k },
  ];
  for (const { part, out, first } of parts) {
    const fused = names.fusedQkv;
    map.linear(at, part, {
      from: `${from}.${fused ?? `${part.toLowerCase()}_proj`}`,
      out: fused ? q + 2 * k : out,
      into: width,
      bias: biases.qkv,
      rows: { first: fused ? first : 0, width: out },
    });
  }
  map.linear(at, 'O', { from: `${from}.${names.out ?? 'o_proj'}`, out: width, into: q, bias: biases.out });
  const over = spec.attention?.qkNorm;
  if (!over) return;
  const options = { shift: false, plus };
  map.norm(`${at}.q_norm`, `${from}.q_norm`, over === 'whole' ? q : headWidth, options);
  map.norm(`${at}.k_norm`, `${from}.k_norm`, over === 'whole' ? k : headWidth, options);
}

function mlp(map: WeightMap, spec: DecoderSpec, at: string, from: string, names: Required<LlamaNames>['mlp']): void {
  const { width, inner, biases } = spec;
  const fused = names.gate === names.in;
  const into = { into: width, bias: biases.mlp };
  if (names.gate)
    map.linear(at, 'gate', {
      ...into,
      from: `${from}.${names.gate}`,
      out: fused ? 2 * inner : inner,
      rows: { first: 0, width: inner },
    });
  map.linear(at, 'in', {
    ...into,
    from: `${from}.${names.in}`,
    out: fused ? 2 * inner : inner,
    rows: { first: fused ? inner : 0, width: inner },
  });
  map.linear(at, 'out', { from: `${from}.${names.out}`, out: width, into: inner, bias: biases.mlp });
}

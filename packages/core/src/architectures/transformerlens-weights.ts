import { CircuitscopeError } from '@circuitscope/schema';
import type { Checkpoint } from '../checkpoints/index.ts';
import { plain, vector, type WeightSource } from './architecture.ts';
import type { DecoderSpec } from './decoder-spec.ts';

/** Buffers of TransformerLens's state dicts: masks, and rotary tables. */
export const transformerLensBuffers = /(^|\.)attn\.(mask|IGNORE|rotary_sin|rotary_cos)$/;

/** Whether the tensors stand under TransformerLens's names, whatever the configuration calls the model. */
export function hasTransformerLensNames(checkpoint: Checkpoint): boolean {
  return checkpoint.tensors.get('blocks.0.attn.W_Q')?.shape.length === 3;
}

/**
 * Where a decoder's weights lie in a state dict of TransformerLens: W_Q [heads, model, d_head], b_Q [heads, d_head], W_O
 * [heads, d_head, model], W_in [model, mlp], W_U [model, vocab]; `_W_K` where key heads are shared.
 */
export function transformerLensSources(checkpoint: Checkpoint, spec: DecoderSpec): ReadonlyMap<string, WeightSource> {
  const { width, vocab, heads, kvHeads, headWidth, inner } = spec;
  const sources = new Map<string, WeightSource>();
  const put = (name: string, source: WeightSource): void => {
    sources.set(name, source);
  };
  const norm = (at: string, size = width): void => {
    for (const part of spec.norm ? ['w', ...(spec.norm.kind === 'layer' ? ['b'] : [])] : [])
      put(`${at}.${part}`, vector(`${at}.${part}`, size));
  };
  put('embed.W_E', plain('embed.W_E', vocab, width));
  if (spec.positions.kind === 'learned') put('pos_embed.W_pos', plain('pos_embed.W_pos', spec.context, width));
  for (let layer = 0; layer < spec.layers; layer++) {
    const at = `blocks.${layer}.attn`;
    for (const port of ['Q', 'K', 'V'] as const) {
      const count = port === 'Q' ? heads : kvHeads;
      const stored = (kind: 'W' | 'b'): string => {
        const shared = `${at}._${kind}_${port}`;
        return checkpoint.tensors.has(shared) ? shared : `${at}.${kind}_${port}`;
      };
      put(`${at}.W_${port}`, {
        tensor: stored('W'),
        stored: [count, width, headWidth],
        offset: 0,
        shape: [width, count * headWidth],
        strides: [headWidth, 1],
        headStride: { count, stride: width * headWidth },
      });
      if (spec.biases.qkv)
        put(`${at}.b_${port}`, { ...vector(stored('b'), count * headWidth), stored: [count, headWidth] });
    }
    put(`${at}.W_O`, { ...plain(`${at}.W_O`, heads * headWidth, width), stored: [heads, headWidth, width] });
    if (spec.biases.out) put(`${at}.b_O`, vector(`${at}.b_O`, width));
    norm(`blocks.${layer}.ln1`);
    if (inner === 0) continue;
    const mlp = `blocks.${layer}.mlp`;
    for (const part of spec.gated ? ['gate', 'in'] : ['in']) {
      put(`${mlp}.W_${part}`, plain(`${mlp}.W_${part}`, width, inner));
      if (spec.biases.mlp) put(`${mlp}.b_${part}`, vector(`${mlp}.b_${part}`, inner));
    }
    if (spec.mlpNorm) norm(`${mlp}.ln`, inner);
    put(`${mlp}.W_out`, plain(`${mlp}.W_out`, inner, width));
    if (spec.biases.mlp) put(`${mlp}.b_out`, vector(`${mlp}.b_out`, width));
    norm(`blocks.${layer}.ln2`);
  }
  norm('ln_final');
  put('unembed.W_U', plain('unembed.W_U', width, vocab));
  if (spec.biases.unembed) put('unembed.b_U', vector('unembed.b_U', vocab));
  return sources;
}

/**
 * The family's spec for a state dict of TransformerLens, which stores every bias and an unembedding of its own.
 * @throws CircuitscopeError `unsupported_config` for families whose other weights are not looked for under its names
 */
export function transformerLensSpec(checkpoint: Checkpoint, spec: DecoderSpec): DecoderSpec {
  const { norms = 'pre' } = spec.block ?? {};
  if (norms !== 'pre' || spec.attention?.qkNorm || spec.embedding?.normed) {
    throw new CircuitscopeError(
      'unsupported_config',
      `${checkpoint.path} is a state dict of TransformerLens of a family with norms behind branches, of queries or of embeddings, which is not read; give the checkpoint as transformers stores it.`,
      { at: checkpoint.path, expected: 'a checkpoint of transformers' },
    );
  }
  return { ...spec, tied: false, biases: transformerLensBiases(checkpoint) };
}

export function transformerLensBiases({ tensors }: Checkpoint): DecoderSpec['biases'] {
  return {
    qkv: tensors.has('blocks.0.attn.b_Q'),
    out: tensors.has('blocks.0.attn.b_O'),
    mlp: tensors.has('blocks.0.mlp.b_in'),
    unembed: tensors.has('unembed.b_U'),
  };
}

import { type Architecture, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import { llamaSizes } from './llama.ts';
import { slidingWindow } from './read-windows.ts';
import { llamaSources } from './stored-llama.ts';

// Phi 3 and 4: Llama with q, k, v in one matrix and gate and input of the MLP in another; longrope in its long versions.
// Abdin et al. 2024.

export const phi3: Architecture = {
  name: 'phi3',
  claims: (checkpoint) => modelType(checkpoint) === 'phi3',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const sizes = llamaSizes(config, { context: 4096, eps: 1e-5 });
    const bias = config.flag('attention_bias', false);
    const windows = slidingWindow(config, sizes.layers);
    // Where nothing scales the rotary positions, it only says what the context is.
    config.value('original_max_position_embeddings');
    config.finish([...bookkeeping, 'embd_pdrop', 'resid_pdrop']);
    return { ...sizes, attention: windows, biases: { qkv: bias, out: bias, mlp: false, unembed: false } };
  },
  sources: (checkpoint, spec) =>
    llamaSources(checkpoint, spec, {
      fusedQkv: 'qkv_proj',
      mlp: { gate: 'gate_up_proj', in: 'gate_up_proj', out: 'down_proj' },
    }),
};

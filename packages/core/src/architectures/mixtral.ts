import { type Architecture, bookkeeping, ConfigReader, modelType } from './architecture.ts';
import { llamaSizes } from './llama.ts';
import { slidingWindow } from './read-windows.ts';
import { llamaSources } from './stored-llama.ts';

// Mixtral: Mistral with a mixture of experts in place of each MLP. Jiang et al. 2024.

export const mixtral: Architecture = {
  name: 'mixtral',
  claims: (checkpoint) => modelType(checkpoint) === 'mixtral',
  ignorable: /\.rotary_emb\.inv_freq$/,
  spec: (checkpoint) => {
    const config = ConfigReader.of(checkpoint);
    const sizes = llamaSizes(config, { context: 131072, kvHeads: 8, eps: 1e-5, base: 1e6 });
    const attention = slidingWindow(config, sizes.layers);
    const experts = { count: config.size('num_local_experts', 8), perToken: config.size('num_experts_per_tok', 2) };
    if (experts.count > MOST_EXPERTS) throw config.wrong('num_local_experts', `at most ${MOST_EXPERTS}`, experts.count);
    config.finish([...bookkeeping, ...ofTraining]);
    return { ...sizes, attention, experts };
  },
  sources: (checkpoint, spec) =>
    llamaSources(checkpoint, spec, { experts: { module: 'block_sparse_moe', gate: 'w1', in: 'w3', out: 'w2' } }),
};

const MOST_EXPERTS = 1024;

/** How the router was trained; nothing that a forward pass knows. */
const ofTraining = ['output_router_logits', 'router_aux_loss_coef', 'router_jitter_noise'];

import { CircuitscopeError } from '@circuitscope/schema';
import type { GraphBuilder } from '../graph/index.ts';
import type { DecoderSpec } from './decoder-spec.ts';

/**
 * A mixture of experts: from what the block reads to what it writes, named by `sites`. A router's softmax weighs all experts;
 * the largest `perToken` of a token, divided by their sum, are its gates, and what it gets is the sum of these experts' outputs
 * times their gates, in the order of experts. Shazeer et al. 2017; Jiang et al. 2024.
 */
export function addExperts(
  builder: GraphBuilder,
  spec: DecoderSpec,
  layer: number,
  read: number,
  sites: readonly string[],
): number {
  const at = `blocks.${layer}.mlp`;
  const { width, inner, activation: fn, experts: { count, perToken: k } = { count: 0, perToken: 0 } } = spec;
  if (!spec.gated || spec.biases.mlp || spec.mlpNorm || fn === 'solu' || k < 1 || k > count) {
    throw new CircuitscopeError(
      'bad_config',
      `${at}: experts are gated MLPs without biases and norms, of which a token has 1 to all; ${k} of ${count} were named.`,
      { at },
    );
  }
  const linear = (name: string, shape: readonly [number, number], from: number, site: string): number =>
    builder.add('linear', [from], {
      params: [builder.param(`${at}.${name}`, shape), null],
      attrs: { out: [shape[1]] },
      sites: [`${at}.${site}`],
    });
  const router = linear('W_router', [width, count], read, 'hook_router_logits');
  const weights = builder.add('softmax', [router], { sites: [`${at}.hook_expert_weights`] });
  const chosen = builder.add('choices', [weights], { attrs: { k }, sites: [`${at}.hook_expert_indices`] });
  const gates = builder.add('route', [weights, chosen], { sites: [`${at}.hook_expert_gates`] });
  let total = -1;
  for (let expert = 0; expert < count; expert++) {
    const own = `experts.${expert}`;
    const gate = linear(`${own}.W_gate`, [width, inner], read, `${own}.hook_pre`);
    const up = linear(`${own}.W_in`, [width, inner], read, `${own}.hook_pre_linear`);
    const post = builder.add('mul', [builder.add('activation', [gate], { attrs: { fn } }), up], {
      sites: [`${at}.${own}.hook_post`],
    });
    const out = linear(`${own}.W_out`, [inner, width], post, `${own}.hook_out`);
    total = builder.add('add_gated', [total, out, gates], {
      attrs: { expert },
      sites: expert === count - 1 ? sites : [],
    });
  }
  return total;
}

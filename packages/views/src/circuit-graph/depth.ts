// Where a unit stands in the order of computation. Layer l takes two depths, attention then MLP, so that an edge from a
// head to the MLP of its own layer still points upwards.

import type { CircuitNode } from '@circuitscope/schema';

/** Depth in half layers; undefined for a unit that does not say its layer (a latent names only its dictionary, a circuit spans several). */
export function depthOf(unit: CircuitNode['unit']): number | undefined {
  switch (unit.kind) {
    case 'input':
    case 'embed':
    case 'pos_embed':
      return 0;
    case 'head':
      return 1 + 2 * unit.layer;
    case 'mlp':
    case 'neuron':
    case 'channel':
      return 2 + 2 * unit.layer;
    case 'bias':
      return (unit.of === 'attn' ? 1 : 2) + 2 * unit.layer;
    case 'error': {
      const layer = /^blocks\.(\d+)\.(.*)$/.exec(unit.site);
      if (!layer) return undefined;
      return (/^(ln1|attn|hook_attn)/.test(layer[2] ?? '') ? 1 : 2) + 2 * Number(layer[1]);
    }
    case 'latent':
    case 'circuit':
      return undefined;
    case 'logits':
      return Number.POSITIVE_INFINITY;
  }
}

/** Order of units inside a row before crossings are lessened: by what they are, then by their number. */
export function indexOf(unit: CircuitNode['unit']): number {
  switch (unit.kind) {
    case 'head':
      return unit.head;
    case 'neuron':
      return unit.neuron;
    case 'channel':
      return unit.channel;
    case 'latent':
      return unit.index;
    default:
      return 0;
  }
}

/** "layer 3", "layer 3, MLP", "input", "logits"; `short` gives "L3", "L3 mlp". */
export function rowName(unit: CircuitNode['unit'], short: boolean): string {
  const depth = depthOf(unit);
  if (depth === undefined) return '';
  if (depth === 0) return short ? 'in' : 'input';
  if (depth === Number.POSITIVE_INFINITY) return short ? 'out' : 'output';
  const layer = Math.floor((depth - 1) / 2);
  const attention = depth % 2 === 1;
  if (short) return attention ? `L${layer}` : `L${layer} mlp`;
  return attention ? `layer ${layer}` : `layer ${layer}, MLP`;
}

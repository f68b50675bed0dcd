import { type Evidence, type Feature, type Intervention, unitLabel } from '@circuitscope/schema';
import { formatNumber } from './format-number.ts';

/** Where a feature lives, in the field's words: `head 1.0`, `direction at blocks.1.hook_resid_pre`. */
export function describeFeature(feature: Feature): string {
  switch (feature.kind) {
    case 'direction': {
      const size = Array.isArray(feature.vector) ? `, ${feature.vector.length} numbers` : '';
      return `direction at ${feature.site}${size}`;
    }
    case 'head':
      return `head ${feature.layer}.${feature.head}`;
    case 'neuron':
      return `neuron ${feature.neuron} of mlp${feature.layer}`;
    case 'channel':
      return `channel ${feature.channel} of layer ${feature.layer}`;
    case 'latent':
      return `latent ${feature.index}`;
    case 'token':
      return `embedding of token ${feature.token}`;
    case 'logit':
      return `unembedding of token ${feature.token}`;
    case 'error':
      return `what is left at ${feature.site}`;
  }
}

/** One change of a run in a few words. */
export function describeIntervention(change: Intervention): string {
  switch (change.kind) {
    case 'edge': {
      const { to } = change;
      const reader =
        to.kind === 'logits'
          ? 'logits'
          : to.kind === 'mlp'
            ? `mlp${to.layer}`
            : `${to.layer}.${to.head}.${to.port.toUpperCase()}`;
      return `cut ${unitLabel(change.from)}→${reader}`;
    }
    case 'weight': {
      const part = [
        ['head', change.head],
        ['row', change.row],
        ['column', change.column],
      ] as const;
      const where = part.flatMap(([name, at]) => (at === undefined ? [] : [`${name} ${at}`])).join(', ');
      const amount = change.value.kind === 'const' ? formatNumber(change.value.value) : 'a stored matrix';
      const verb = { set: 'set to', add: 'plus', scale: 'times' }[change.op];
      return `${change.param}${where ? ` (${where})` : ''} ${verb} ${amount}`;
    }
    case 'direction':
      return `${change.op.replaceAll('_', ' ')} at ${change.at.site}`;
    case 'write':
      return `${change.op} ${change.at.site}`;
    case 'detach':
      return `gradients do not pass ${change.at.site}`;
    case 'freeze':
      return `freeze ${change.at.site}`;
  }
}

export type InterventionEvidence = Extract<Evidence, { kind: 'intervention' }>;

/** Evidence that was predicted before it was measured. */
export function isPredicted(evidence: Evidence): evidence is InterventionEvidence & { readonly predicted: number } {
  return evidence.kind === 'intervention' && evidence.predicted !== undefined;
}

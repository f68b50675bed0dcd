// What a record's words and numbers look like to a reader. Everything here is plain text; the components put it into
// text nodes, so a label with angle brackets stays a label.

import {
  type CircuitEdge,
  type CircuitMetric,
  type CircuitNode,
  type Evidence,
  type Feature,
  type Port,
  type Sign,
  unitLabel,
} from '@circuitscope/schema';
import { formatInterval, formatNumber } from '../figure/format-number.ts';

/** The label of tables; a latent without the hash of its dictionary, which no box could hold. */
export function unitText(unit: CircuitNode['unit']): string {
  if (unit.kind === 'circuit') return 'circuit';
  return unit.kind === 'latent' ? `latent ${unit.index}` : unitLabel(unit);
}

/** The unit, with its position where the circuit tells positions apart. */
export function nodeText(node: CircuitNode): string {
  const { position, unit } = node;
  if (unit.kind === 'circuit') return node.label ?? unit.circuit;
  if (position === undefined) return unitText(unit);
  return `${unitText(unit)} @${position.kind === 'named' ? position.name : position.index}`;
}

/** What a feature of the circuit is called: its label, else the unit it stands for. */
export function featureText(feature: Feature): string {
  if (feature.label !== undefined) return feature.label;
  switch (feature.kind) {
    case 'direction':
      return `direction at ${feature.site}`;
    case 'token':
    case 'logit':
      return `${feature.kind} ${feature.token}`;
    default:
      return unitText(feature);
  }
}

export function portOf(edge: CircuitEdge): Port {
  return edge.port ?? 'in';
}

/** "0.0→1.0.K" */
export function edgeText(edge: CircuitEdge, nodes: ReadonlyMap<string, CircuitNode>): string {
  const end = (id: string) => {
    const node = nodes.get(id);
    return node ? nodeText(node) : id;
  };
  const port = portOf(edge);
  return `${end(edge.from)}→${end(edge.to)}${port === 'in' ? '' : `.${port.toUpperCase()}`}`;
}

/** What the sign of a number means, in one sentence; stated beside every number that has one. */
export function signSentence(sign: Sign): string {
  return SIGN_SENTENCES[sign];
}

/** An unsigned quantity is drawn in ink, never in the colour of positive ones. */
export function isUnsigned(sign: Sign): boolean {
  return sign === 'unsigned_norm' || sign === 'unsigned_share' || sign === 'indicator';
}

const SIGN_SENTENCES: Readonly<Record<Sign, string>> = {
  clean_minus_cut: 'Clean minus cut: positive means that cutting the edge lowers the metric.',
  cut_minus_clean: 'Cut minus clean: negative means that cutting the edge lowers the metric.',
  signed_weight: 'Signed weight: positive excites, negative inhibits.',
  unsigned_norm: 'Unsigned: a ratio of norms has a size and no direction of effect.',
  unsigned_share: 'Unsigned: a share between 0 and 1.',
  log_odds: 'Log odds of the edge being in: positive means in rather than out.',
  indicator: 'Indicator: 1 is in, 0 is out.',
};

/** One line per piece of evidence. */
export function evidenceText(evidence: Evidence): string {
  switch (evidence.kind) {
    case 'intervention': {
      const parts = [
        `${evidence.metric} ${formatNumber(evidence.before)} → ${formatNumber(evidence.after)}`,
        `effect ${formatNumber(evidence.before - evidence.after)}`,
      ];
      if (evidence.interval) parts[1] += ` ${formatInterval(evidence.interval)}`;
      if (evidence.predicted !== undefined) parts.push(`predicted ${formatNumber(evidence.predicted)}`);
      parts.push(`n = ${evidence.n}`);
      return parts.join(', ');
    }
    case 'test': {
      const { correction, family } = evidence;
      const corrected = correction && correction !== 'none' ? ` (${correction.replaceAll('_', ' ')}` : '';
      const among = family ? `${corrected === '' ? ' (' : ', '}${family.size} tests of ${family.name}` : '';
      const parts = [
        `${evidence.name}: statistic ${formatNumber(evidence.statistic)}`,
        `p = ${formatNumber(evidence.p)}${corrected}${among}${corrected + among === '' ? '' : ')'}`,
      ];
      if (evidence.interval) parts[0] += ` ${formatInterval(evidence.interval)}`;
      parts.push(`n = ${evidence.n}`, `H0: ${evidence.h0}`);
      return parts.join(', ');
    }
    case 'score': {
      const parts = [`${evidence.name} ${formatNumber(evidence.value)}`];
      if (evidence.interval) parts[0] += ` ${formatInterval(evidence.interval)}`;
      if (evidence.n !== undefined) parts.push(`n = ${evidence.n}`);
      return parts.join(', ');
    }
  }
}

/** "logit_diff, zero ablation, held back, n = 64": what a metric of the circuit was read on. */
export function metricConditions(metric: CircuitMetric): string {
  const parts: string[] = [metric.metric];
  if (metric.ablation) parts.push(`${metric.ablation} ablation`);
  parts.push(metric.heldBack ? 'held-back data' : 'the data that found it');
  if (metric.n !== undefined) parts.push(`n = ${metric.n}`);
  return parts.join(', ');
}

import type { Circuit, Estimate, Feature } from '@circuitscope/schema';
import { describeFeature } from './text/describe-feature.ts';

/** Something that the circuit's parts represent, with its scores by name. */
export interface FeatureRow {
  readonly label: string;
  /** Where it lives, if the label does not say so. */
  readonly where: string | null;
  readonly description: string | null;
  readonly scores: { readonly [name: string]: Estimate };
}

export interface FeatureGroup {
  readonly names: readonly string[];
  readonly rows: readonly FeatureRow[];
}

/** Named features and every head with scores of its own; those with the same scores together, so that no column is mostly empty. */
export function featureGroups({ features = [], nodes }: Circuit): readonly FeatureGroup[] {
  const rows = features.map(rowOf);
  const named = new Set(features.map(describeFeature));
  for (const { unit, label, evidence = [] } of nodes) {
    if (unit.kind !== 'head') continue;
    const head: Feature = {
      kind: 'head',
      layer: unit.layer,
      head: unit.head,
      ...(label === undefined ? {} : { label }),
    };
    const scores = evidence.flatMap((item) => (item.kind === 'score' ? [[item.name, estimateOf(item)] as const] : []));
    if (scores.length > 0 && !named.has(describeFeature(head)))
      rows.push(rowOf({ ...head, scores: Object.fromEntries(scores) }));
  }
  const groups = new Map<string, { readonly names: readonly string[]; readonly rows: FeatureRow[] }>();
  for (const row of rows) {
    const names = Object.keys(row.scores);
    const key = JSON.stringify([...names].sort());
    const group = groups.get(key) ?? { names, rows: [] };
    group.rows.push(row);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function rowOf(feature: Feature): FeatureRow {
  const where = describeFeature(feature);
  const { label, description, scores = {} } = feature;
  return { label: label ?? where, where: label === undefined ? null : where, description: description ?? null, scores };
}

function estimateOf({ value, interval, n }: Estimate): Estimate {
  return { value, ...(interval ? { interval } : {}), ...(n === undefined ? {} : { n }) };
}

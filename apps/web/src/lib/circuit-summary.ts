import type { Circuit, Hash } from '@circuitscope/schema';
import { countEdges, metricNamed } from './text/claim-sentence.ts';

/** A circuit as one row of the list. */
export interface CircuitSummary {
  readonly hash: Hash;
  readonly name: string;
  readonly description: string | null;
  readonly model: string;
  readonly task: string | null;
  readonly inside: number;
  readonly edges: number;
  readonly faithfulness: {
    readonly value: number;
    readonly interval: readonly [number, number] | null;
    readonly metric: string;
    readonly ablation: string | null;
    readonly random: {
      readonly mean: number;
      readonly interval: readonly [number, number] | null;
      readonly count: number;
    } | null;
  } | null;
  /** When it was found, ISO 8601; null without a run record. */
  readonly foundAt: string | null;
}

export function summarise(hash: Hash, circuit: Circuit, foundAt: string | null): CircuitSummary {
  const { inside, all } = countEdges(circuit);
  const metric = metricNamed(circuit, 'faithfulness');
  return {
    hash,
    name: circuit.name,
    description: circuit.description ?? null,
    model: circuit.model.name,
    task: circuit.task?.name ?? null,
    inside,
    edges: all,
    faithfulness: metric
      ? {
          value: metric.value,
          interval: metric.interval ?? null,
          metric: metric.metric,
          ablation: metric.ablation ?? null,
          random: metric.random
            ? { mean: metric.random.mean, interval: metric.random.interval ?? null, count: metric.random.count }
            : null,
        }
      : null,
    foundAt,
  };
}

/** Keeps the rows in which every word of the query stands somewhere. */
export function filterSummaries(all: readonly CircuitSummary[], query: string): readonly CircuitSummary[] {
  const wanted = query.toLowerCase().split(/\s+/).filter(Boolean);
  return all.filter(({ name, description, model, task, hash }) => {
    const text = [name, description, model, task, hash].join(' ').toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
}

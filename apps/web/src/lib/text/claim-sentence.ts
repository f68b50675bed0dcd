import type { Circuit, CircuitMetric } from '@circuitscope/schema';
import { formatInterval, formatNumber, formatP, words } from './format-number.ts';

/** The metric of a name to show where there is room for one: measured on held-back data if any was. */
export function metricNamed(circuit: Circuit, name: string): CircuitMetric | undefined {
  const found = (circuit.metrics ?? []).filter((metric) => metric.name === name);
  return found.find(({ heldBack }) => heldBack) ?? found[0];
}

export function countEdges({ edges }: Circuit): { readonly inside: number; readonly all: number } {
  return { inside: edges.filter(({ inCircuit }) => inCircuit).length, all: edges.length };
}

/** What a circuit claims, in one sentence; as much of it as was measured. */
export function claimSentence(circuit: Circuit): string {
  const { inside, all } = countEdges(circuit);
  const edges = `${inside} of ${all} ${all === 1 ? 'edge' : 'edges'}`;
  const task = circuit.task ? ` on ${circuit.task.name}` : '';
  const faithfulness = metricNamed(circuit, 'faithfulness');
  if (!faithfulness)
    return `${edges} of ${circuit.model.name} are proposed as the circuit${task}; how faithful they are was not measured.`;
  const { value, interval, metric, ablation, heldBack, random } = faithfulness;
  const outside = ablation ? ` when everything outside is ${ABLATED[ablation]}` : '';
  const measured = `${percent(value)}${interval ? ` ${formatInterval([100 * interval[0], 100 * interval[1]])}` : ''}`;
  const data = heldBack ? '' : ', measured on the examples that it was found on';
  const beside = random
    ? `; ${random.count} random circuits of its size keep ${percent(random.mean)} on average${random.p === undefined ? '' : ` (p\u00a0${formatP(random.p)})`}`
    : '';
  return `${edges} keep ${measured} of the model’s ${words(metric)}${task}${outside}${data}${beside}.`;
}

/** Shares read as percent in a sentence; tables keep them as they are. */
const percent = (share: number) => `${formatNumber(100 * share)}\u00a0%`;

const ABLATED = { zero: 'set to zero', mean: 'set to its mean', resample: 'taken from a corrupt prompt' } as const;

import {
  chooseExecutor,
  compareEstimates,
  decompose,
  type Estimate,
  edgesOf,
  engineFor,
  taskData,
} from '@circuitscope/core';
import { trainedInduction } from '@circuitscope/zoo';
import { median, saveRun } from '../save-run.ts';

// EAP and its kin against one exact pass over all edges of the trained two-layer model, in which each edge is cut once in
// one sweep: what each takes, and how far they agree in rank and in sign.

const ROUNDS = 5;
const { executor } = await chooseExecutor();
const member = trainedInduction(0);
const model = member.model();
const engine = engineFor(model, executor);
const data = taskData(member.task({ seed: 0, examples: 64 }));
const edges = edgesOf(decompose(model.graph));
const methods: readonly Estimate[] = [
  { kind: 'attribution' },
  { kind: 'eap' },
  { kind: 'eap-ig', steps: 5 },
  { kind: 'eap-ig', steps: 30 },
];
const about = { ablation: 'resample', metric: 'logit_diff' } as const;

const lines: string[] = [];
const times = new Map<string, number[]>();
const keep = (method: string, round: number, ms: number, more: object): void => {
  times.set(method, [...(times.get(method) ?? []), ms]);
  const setting = { edges: edges.length, examples: data.examples, ...about, executor: executor.info };
  lines.push(JSON.stringify({ question: 'discovery', method, round, ms, ...more, ...setting }));
};
// The first round warms up.
let last = await compareEstimates(engine, data, edges, methods, about);
for (let round = 0; round < ROUNDS; round++) {
  last = await compareEstimates(engine, data, edges, methods, about);
  keep(last.exact.scores.method, round, last.exact.ms, {});
  for (const { method, ms, rank, sameSign, signed, missed } of last.estimates)
    keep(method, round, ms, { rank, sameSign, signed, missed: missed.length });
}

const of = (method: string): string => `${median(times.get(method) ?? []).toFixed(0)} ms`.padStart(8);
const share = (value: number | null): string => (value === null ? '-' : value.toFixed(3)).padStart(6);
const rows = last.estimates.map(
  ({ method, rank, sameSign, signed }) =>
    `${method.padEnd(42)}${of(method)}  rank ${share(rank)}  same sign ${share(sameSign)} of ${signed}`,
);
process.stdout.write(
  `${edges.length} edges × ${data.examples} examples on ${executor.info.cpu} (${executor.info.path}, ${executor.info.threads} threads), median of ${ROUNDS}\n` +
    `${last.exact.scores.method.padEnd(42)}${of(last.exact.scores.method)}\n${rows.join('\n')}\n`,
);
saveRun(import.meta.dirname, lines);

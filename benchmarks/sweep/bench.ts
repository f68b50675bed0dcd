import {
  chooseExecutor,
  cutEdges,
  decompose,
  edgesOf,
  engineFor,
  measure,
  sourceRuns,
  taskData,
} from '@circuitscope/core';
import { trainedInduction } from '@circuitscope/zoo';
import { median, saveRun } from '../save-run.ts';

// Every edge of the trained two-layer model is cut once: as one sweep, and as one plan per edge. Same program parts, same
// numbers to the bit; what differs is how much work is shared and how wide the products are.

const ROUNDS = 7;
const { executor } = await chooseExecutor();
const member = trainedInduction(0);
const model = member.model();
const engine = engineFor(model, executor);
const data = taskData(member.task({ seed: 0, examples: 64 }));
const edges = edgesOf(decompose(model.graph));
const runs = await sourceRuns(engine, data, 'resample');
const cuts = edges.map((edge) => cutEdges([edge], 'resample'));

const together = async (): Promise<Float64Array> => (await measure(engine, data, 'logit_diff', cuts, { runs })).values;
const apart = async (): Promise<Float64Array> => {
  const parts: number[] = [];
  for (const cut of cuts) parts.push(...(await measure(engine, data, 'logit_diff', [cut], { runs })).values);
  return Float64Array.from(parts);
};

const [a, b] = [await together(), await apart()];
const differing = a.filter((value, index) => value !== b[index]).length;
const lines: string[] = [];
const times = { sweep: [] as number[], plans: [] as number[] };
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, work] of [
    ['sweep', together],
    ['plans', apart],
  ] as const) {
    const start = performance.now();
    await work();
    const ms = performance.now() - start;
    times[name].push(ms);
    lines.push(
      JSON.stringify({
        question: 'sweep',
        way: name,
        round,
        ms,
        edges: edges.length,
        examples: data.examples,
        executor: executor.info,
      }),
    );
  }
}
const [sweep, plans] = [median(times.sweep), median(times.plans)];
process.stdout.write(
  `${edges.length} edges × ${data.examples} examples on ${executor.info.cpu} (${executor.info.path}, ${executor.info.threads} threads), median of ${ROUNDS}\n` +
    `one sweep          ${sweep.toFixed(0)} ms\none plan per edge  ${plans.toFixed(0)} ms\nratio              ${(plans / sweep).toFixed(2)}\nvalues that differ ${differing} of ${a.length}\n`,
);
saveRun(import.meta.dirname, lines);

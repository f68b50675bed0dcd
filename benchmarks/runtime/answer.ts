import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import {
  chooseExecutor,
  countProducts,
  decompose,
  type Edge,
  type Engine,
  eapScores,
  edgeEffects,
  edgesOf,
  engineFor,
  type Floats,
  listSites,
  loadModel,
  logitLens,
  makePlan,
  type PatchGridShape,
  patchGrids,
  patchSweep,
  type Run,
  readoutTensor,
  requireDecoder,
  runPlan,
  taskData,
} from '@circuitscope/core';
import { peakBytes } from './peak-bytes.ts';
import { wideTokens } from './random-checkpoint.ts';
import { EDGE_STRIDE } from './rows.ts';

// Our side of a row, in a process of its own: says who it is, and answers every line of stdin as `answer.py` does.

interface Request {
  readonly row: string;
  readonly folder: string;
  readonly task: string;
  readonly threads: number;
  readonly names: readonly string[];
}

export type Values = { readonly [index: string]: number };

const request: Request = JSON.parse(process.argv[2] ?? '{}');
const { executor } = await chooseExecutor();
const model = requireDecoder(loadModel(request.folder));
let multiplyAdds = 0;
/** The same executor; what it was asked for is counted. */
const counting: Engine['executor'] = {
  info: executor.info,
  execute: (program, weights, binding, options) => {
    multiplyAdds += countProducts(program, binding.sizes, weights);
    return executor.execute(program, weights, binding, { ...options, threads: request.threads });
  },
};
const engine = engineFor(model, counting);
const data = taskData(JSON.parse(readFileSync(request.task, 'utf8')));
const { graph } = model;
const difference = { kind: 'logitDiff' as const, at: data.at, answer: [...data.answer], wrong: [...data.wrong] };

const every: readonly PatchGridShape[] = [
  ...(['z', 'q', 'k', 'v'] as const).map((site) => ({ site, axes: ['layer', 'position', 'head'] as const })),
  { site: 'pattern', axes: ['layer', 'query', 'head'] },
];
const heads = graph.nodes.find(({ sites }) => sites.includes('blocks.0.attn.hook_z'))?.shape[2];
const edges = edgesOf(decompose(graph)).sort((a, b) => readerOf(a) - readerOf(b) || writerOf(a) - writerOf(b));
const chosen = edges.filter((_, at) => at % EDGE_STRIDE === 0);

/** What each row does here; `indices` are how many whole forward passes it stands for. */
const work: {
  readonly [row: string]: (way: string) => Promise<{ values: Values; indices?: number; keptBytes?: number }>;
} = {
  block: () => grids(patchGrids.block),
  heads: () => grids(every),
  captures: async () => {
    const names = [...request.names, 'logits'];
    const run = await runPlan(engine, captures(names), { tokens: wideTokens(8, 64) });
    const kept = names.map((_, at) => readoutTensor(run, at).data);
    return {
      values: Object.assign({}, ...kept.map((all, at) => sampled(all, at))),
      keptBytes: kept.reduce((sum, all) => sum + all.byteLength, 0),
    };
  },
  difference: async () => {
    const run = await runPlan(engine, makePlan(graph, { readouts: [difference] }), data.clean);
    return { values: listed(readoutTensor(run, 0).data) };
  },
  lens: async () => {
    const tokens = wideTokens(1, 1024);
    const target = tokens.map((row) => row.map((_, at) => row[at + 1] ?? row[0] ?? 0));
    const lens = await logitLens(engine, { tokens }, { at: { kind: 'all' }, topK: 10, target });
    const values: { [index: string]: number } = {};
    for (let row = 0; row < lens.labels.length * lens.positions; row++) {
      if ((row % lens.positions) % 64 > 0) continue;
      const found = [lens.topK.logits[row * 10], lens.topK.logits[row * 10 + 9], lens.target?.rank[row]];
      found.forEach((value, kind) => {
        values[3 * row + kind] = value ?? Number.NaN;
      });
    }
    return { values };
  },
  eap: async () => {
    const { scores } = await eapScores(engine, data, edges, { ablation: 'resample', metric: 'logit_diff' });
    return { values: keyed(edges, scores) };
  },
  edges: async () => {
    const { effects } = await edgeEffects(engine, data, chosen, { ablation: 'resample', metric: 'logit_diff' });
    const found = effects.map(({ effect }) => effect);
    return { values: keyed(chosen, Float64Array.from(found)), indices: chosen.length };
  },
  'capture-one': async (way) => {
    const site = 'blocks.6.hook_resid_pre';
    const readouts = way === 'with' ? [difference, { kind: 'capture' as const, at: { site } }] : [difference];
    return { values: listed(readoutTensor(await runPlan(engine, makePlan(graph, { readouts }), data.clean), 0).data) };
  },
};

async function grids(shapes: readonly PatchGridShape[]) {
  const { grids } = await patchSweep(engine, data, { grids: shapes, direction: 'denoise', threads: request.threads });
  const all = grids.flatMap(({ values }) => [...values]);
  return { values: listed(all), indices: all.length };
}

function captures(names: readonly string[]) {
  return makePlan(graph, { readouts: names.map((site) => ({ kind: 'capture', at: { site } })) });
}

/** Eight entries of a tensor, spread over it; what is masked is left out. */
function sampled(all: Floats, tensor: number): Values {
  const values: { [index: string]: number } = {};
  for (let i = 0; i < 8; i++) {
    const value = all[(i + 1) * Math.floor(all.length / 8) - 1] ?? Number.NaN;
    if (Math.abs(value) < 1e30) values[tensor * 8 + i] = value;
  }
  return values;
}

function listed(all: ArrayLike<number>): Values {
  return Object.fromEntries(Array.from({ length: all.length }, (_, at) => [at, all[at] ?? Number.NaN]));
}

function keyed(of: readonly Edge[], scores: Float64Array): Values {
  const columns = 1 + readerOf({ from: { kind: 'input' }, to: { kind: 'logits', port: 'in' } });
  return Object.fromEntries(
    of.map((edge, at) => [writerOf(edge) * columns + readerOf(edge), scores[at] ?? Number.NaN]),
  );
}

/** The place of a reader in the order: heads by q, k and v and the MLP of each layer, then the logits. */
function readerOf({ to }: Pick<Edge, 'to'> & Partial<Edge>): number {
  const wide = 3 * Number(heads) + 1;
  if (to.kind === 'head') return to.layer * wide + ['q', 'k', 'v'].indexOf(to.port) * Number(heads) + to.head;
  return to.kind === 'mlp' ? to.layer * wide + wide - 1 : model.graph.nodes.filter(isLayer).length * wide;
}

function isLayer({ sites }: { readonly sites: readonly string[] }): boolean {
  return sites.some((site) => site.endsWith('.hook_mlp_out'));
}

/** The place of a writer: the embeddings, then the heads and the MLP of each layer. */
function writerOf({ from }: Pick<Edge, 'from'> & Partial<Edge>): number {
  if (from.kind === 'head') return 1 + from.layer * (Number(heads) + 1) + from.head;
  return from.kind === 'mlp' ? 1 + from.layer * (Number(heads) + 1) + Number(heads) : 0;
}

/** What one whole forward pass over the task's prompts takes. */
async function denseForward(): Promise<number> {
  const run: Run = await runPlan(engine, captures(['logits']), data.clean);
  return run.multiplyAdds;
}

const print = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);
const act = work[request.row];
if (!act) throw new Error(`no row ${request.row}`);
const dense = ['block', 'heads', 'edges'].includes(request.row) ? await denseForward() : null;
print({ version: `${executor.info.kind} ${executor.info.path}`, sites: listSites(graph).map(({ site }) => site) });
for await (const line of createInterface({ input: process.stdin })) {
  const { way } = JSON.parse(line);
  multiplyAdds = 0;
  const [busy, start] = [process.cpuUsage(), performance.now()];
  const { values, indices, keptBytes } = await act(way);
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(busy);
  print({
    ms,
    cpuMs: (user + system) / 1000,
    peakRssBytes: peakBytes(),
    values,
    multiplyAdds,
    ...(dense === null ? {} : { dense: dense * (indices ?? 1) }),
    ...(keptBytes === undefined ? {} : { keptBytes }),
  });
}

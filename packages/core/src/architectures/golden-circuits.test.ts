import type { Intervention, ReaderRef, Readout, Scope, UnitRef, Value } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { decompose, edgesOf } from '../graph/index.ts';
import {
  captured,
  chooseExecutor,
  type Engine,
  type Executor,
  makePlan,
  type Prompt,
  type Run,
  referenceExecutor,
  runPlan,
} from '../plan/index.ts';
import { digestTensor, type Tensor } from '../tensor/index.ts';
import { loadModel } from './load-model.ts';
import { recorded, relativeError, sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

// Interventions, patching grids, path patching and exact edge effects on a small random GPT-2, against a plain float64
// implementation that shares no code with any library.

interface Case {
  readonly clean_tokens: number[][];
  readonly corrupt_tokens: number[][];
  readonly answer: number[];
  readonly wrong_answer: number[];
  readonly interventions: readonly {
    readonly name: string;
    readonly edits: readonly Edit[];
    readonly metric: number;
  }[];
  readonly edges: readonly string[];
}

interface Edit {
  readonly site: string;
  readonly op: string;
  readonly head?: number;
  readonly position?: number;
  readonly neuron?: number;
  readonly value?: string;
  readonly scale?: number;
  readonly factor?: number;
}

const precisions: readonly {
  readonly name: string;
  readonly get: () => Promise<Executor>;
  readonly bound: number;
  readonly logitBound: number;
}[] = [
  {
    name: 'the reference in float64',
    get: async () => referenceExecutor({ precision: 'f64' }),
    bound: 1e-9,
    logitBound: 2e-7,
  },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, bound: 1e-4, logitBound: 1e-4 },
];

describe.skipIf(!sharedFolder)(`recorded interventions${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const precision of precisions) {
    describe(precision.name, async () => {
      if (!sharedFolder) return;
      const setting = await prepare(await precision.get());
      const { engine, record, clean, corrupt, metric, runs } = setting;

      test('every recorded intervention gives the recorded logits', async () => {
        const file = recorded('golden/circuits/interventions.safetensors');
        const direction = tensorOf(file.read('direction'));
        const pos = clean.tokens[0]?.length ?? 0;
        const uniform = tensorOf({
          shape: [pos, pos],
          data: Float64Array.from({ length: pos * pos }, (_, at) =>
            at % pos <= Math.floor(at / pos) ? 1 / (Math.floor(at / pos) + 1) : 0,
          ),
        });
        const zeroScores = tensorOf({
          shape: [pos, pos],
          data: Float64Array.from({ length: pos * pos }, (_, at) =>
            at % pos <= Math.floor(at / pos) ? 0 : Number.NEGATIVE_INFINITY,
          ),
        });
        const artefacts = new Map([direction, uniform, zeroScores].map(({ hash, tensor }) => [hash, tensor]));
        for (const { name, edits } of record.interventions) {
          const interventions = edits.map((edit) =>
            intervention(edit, direction.hash, edit.site.endsWith('scores') ? zeroScores.hash : uniform.hash),
          );
          const plan = makePlan(engine.graph, {
            interventions,
            readouts: [{ kind: 'capture', at: { site: 'logits' } }],
          });
          const run = await runPlan(engine, plan, clean, { runs, artefacts });
          expect(relativeError(captured(run, 'logits'), file.read(`${name}/logits`)), name).toBeLessThan(
            precision.logitBound,
          );
        }
        expect(record.interventions.length).toBeGreaterThan(15);
      });

      test('every recorded patching grid agrees, each as one sweep', async () => {
        const file = recorded('golden/circuits/patching.safetensors');
        const grids = file.names.filter((name) => name.startsWith('denoise/'));
        for (const name of grids) {
          const expected = file.read(name);
          const [, site = '', axes = ''] = /^denoise\/(\w+)\[(.*)\]$/.exec(name) ?? [];
          const names = axes.split(',');
          const cells = cellsOf(expected.shape);
          const sweep = cells.map((cell) => {
            const scope = scopeOf(site, names, cell);
            const query = cell[names.indexOf('query')] ?? 0;
            // Above the causal triangle there is nothing to patch: the records hold the corrupt metric.
            const nothing = names.includes('key') && (cell[names.indexOf('key')] ?? 0) > query;
            return nothing
              ? []
              : [
                  {
                    kind: 'write' as const,
                    at: scope,
                    op: 'set' as const,
                    value: { kind: 'run' as const, name: 'clean' },
                  },
                ];
          });
          const run = await runPlan(engine, makePlan(engine.graph, { readouts: [metric], sweep }), corrupt, { runs });
          expect(relativeError({ shape: expected.shape, data: metricsOf(run) }, expected), name).toBeLessThan(
            precision.bound,
          );
        }
        expect(grids.length).toBeGreaterThan(10);
      });

      test('path patching from a head to one port of a head, through MLPs and directly', async () => {
        const file = recorded('golden/circuits/patching.safetensors');
        const freeze = (site: string): Intervention => ({
          kind: 'freeze',
          at: { site },
          value: { kind: 'run', name: 'clean' },
        });
        for (const variant of ['through_mlps', 'direct']) {
          const expected = file.read(`path/${variant}/metric[sender,receiver,port]`);
          const [senders = 0, receivers = 0, ports = 0] = expected.shape;
          const got = new Float64Array(expected.data.length);
          for (let sender = 0; sender < senders; sender++) {
            const changed: Intervention = {
              kind: 'write',
              at: { site: 'blocks.0.attn.hook_z', head: [sender] },
              op: 'set',
              value: { kind: 'run', name: 'corrupt' },
            };
            const held = [
              freeze('blocks.0.attn.hook_z'),
              changed,
              ...(variant === 'direct' ? [freeze('blocks.0.hook_mlp_out')] : []),
            ];
            const read = makePlan(engine.graph, {
              interventions: held,
              readouts: [{ kind: 'capture', at: { site: 'blocks.1.hook_resid_pre' } }],
            });
            const stream = captured(await runPlan(engine, read, clean, { runs }), 'blocks.1.hook_resid_pre');
            const heads = receivers;
            const spread = tensorOf(perHead(stream, heads));
            const sweep = cellsOf([receivers, ports]).map(([receiver = 0, port = 0]): Intervention[] => [
              {
                kind: 'write',
                at: { site: `blocks.1.hook_${'qkv'[port]}_input`, head: [receiver] },
                op: 'set',
                value: { kind: 'artefact', hash: spread.hash },
              },
            ]);
            const run = await runPlan(engine, makePlan(engine.graph, { readouts: [metric], sweep }), clean, {
              runs,
              artefacts: new Map([[spread.hash, spread.tensor]]),
            });
            got.set(metricsOf(run), sender * receivers * ports);
          }
          expect(relativeError({ shape: expected.shape, data: got }, expected), variant).toBeLessThan(precision.bound);
        }
      });

      test('a direct path between two heads is one edge', async () => {
        const expected = recorded('golden/circuits/patching.safetensors').read(
          'path/direct/metric[sender,receiver,port]',
        );
        const sweep = cellsOf(expected.shape).map(([sender = 0, receiver = 0, port = 0]): Intervention[] => [
          edge(
            { kind: 'head', layer: 0, head: sender },
            { kind: 'head', layer: 1, head: receiver, port: (['q', 'k', 'v'] as const)[port] ?? 'q' },
          ),
        ]);
        const run = await runPlan(engine, makePlan(engine.graph, { readouts: [metric], sweep }), clean, { runs });
        expect(relativeError({ shape: expected.shape, data: metricsOf(run) }, expected)).toBeLessThan(precision.bound);
      });

      test('the direct effect of each head on the logits is its edge to them', async () => {
        const expected = recorded('golden/circuits/patching.safetensors').read(
          'path/head_to_logits/metric[layer,head]',
        );
        const sweep = cellsOf(expected.shape).map(([layer = 0, head = 0]): Intervention[] => [
          edge({ kind: 'head', layer, head }, { kind: 'logits', port: 'in' }),
        ]);
        const run = await runPlan(engine, makePlan(engine.graph, { readouts: [metric], sweep }), clean, { runs });
        expect(relativeError({ shape: expected.shape, data: metricsOf(run) }, expected)).toBeLessThan(precision.bound);
      });

      test('the decomposition has exactly the recorded edges, and each has its recorded exact effect', async () => {
        const expected = recorded('golden/circuits/edges.safetensors').read('edges/exact_edge_effect');
        const edges = record.edges.map(parseEapEdge);
        const derived = edgesOf(decompose(engine.graph)).map((one) => JSON.stringify([one.from, one.to]));
        expect(new Set(derived)).toEqual(new Set(edges.map((one) => JSON.stringify([one.from, one.to]))));
        const run = await runPlan(
          engine,
          makePlan(engine.graph, { readouts: [metric], sweep: edges.map(({ from, to }) => [edge(from, to)]) }),
          clean,
          { runs },
        );
        const base = setting.cleanMetric;
        const effects = Float64Array.from(metricsOf(run), (value) => value - base);
        expect(relativeError({ shape: expected.shape, data: effects }, expected)).toBeLessThan(precision.bound);
      });
    });
  }
});

async function prepare(executor: Executor) {
  const record = sharedJson('golden/circuits/case.json') as Case;
  const model = loadModel(sharedPath('golden/models/gpt2'));
  const engine: Engine = { graph: model.graph, weights: model.weights, executor };
  const clean: Prompt = { tokens: record.clean_tokens };
  const corrupt: Prompt = { tokens: record.corrupt_tokens };
  const metric: Readout = {
    kind: 'logitDiff',
    at: { kind: 'last' },
    answer: record.answer,
    wrong: record.wrong_answer,
  };
  const sites = model.graph.nodes.flatMap((node) => node.sites);
  const plan = makePlan(model.graph, {
    readouts: [metric, ...sites.map((site) => ({ kind: 'capture' as const, at: { site } }))],
  });
  const runs = new Map([
    ['clean', await runPlan(engine, plan, clean)],
    ['corrupt', await runPlan(engine, plan, corrupt)],
  ]);
  const cleanRun = runs.get('clean');
  if (!cleanRun) throw new Error('no clean run');
  return { engine, record, clean, corrupt, metric, runs, cleanMetric: metricsOf(cleanRun)[0] ?? Number.NaN };
}

/** Mean over the batch, one per variant. */
function metricsOf(run: Run): Float64Array {
  const result = run.results[0];
  if (result?.kind !== 'logitDiff') throw new Error('the metric is the first readout');
  const { data } = result.tensor;
  const variants = run.variants ?? 1;
  return Float64Array.from(
    { length: variants },
    (_, variant) =>
      Array.from(data.subarray(variant * run.batch, (variant + 1) * run.batch)).reduce((a, b) => a + b, 0) / run.batch,
  );
}

function edge(from: UnitRef, to: ReaderRef): Intervention {
  return { kind: 'edge', from, to, value: { kind: 'run', name: 'corrupt' } };
}

function tensorOf(tensor: Tensor) {
  return { tensor, hash: digestTensor(tensor) };
}

function intervention(
  edit: Edit,
  direction: ReturnType<typeof digestTensor>,
  table: ReturnType<typeof digestTensor>,
): Intervention {
  const at: Scope = {
    site: edit.site,
    ...(edit.head === undefined ? {} : { head: [edit.head] }),
    ...(edit.position === undefined ? {} : { at: { kind: 'positions' as const, positions: [edit.position] } }),
    ...(edit.neuron === undefined ? {} : { unit: [edit.neuron] }),
  };
  const write = (op: 'set' | 'add' | 'scale', value: Value, coefficient?: number): Intervention => ({
    kind: 'write',
    at,
    op,
    value,
    ...(coefficient === undefined ? {} : { coefficient }),
  });
  switch (edit.op) {
    case 'zero':
      return write('set', { kind: 'const', value: 0 });
    case 'mean':
      return write('set', { kind: 'mean', run: 'clean', over: 'batch_pos' });
    case 'resample':
      return write('set', { kind: 'resample', run: 'clean', by: { kind: 'roll', shift: 1 } });
    case 'patch':
      return write('set', { kind: 'run', name: 'corrupt' });
    case 'set':
      return write('set', { kind: 'artefact', hash: table });
    case 'add':
      return write('add', { kind: 'artefact', hash: direction }, edit.scale ?? 1);
    case 'scale':
      return write('scale', { kind: 'const', value: edit.factor ?? 1 });
    case 'project_out':
      return { kind: 'direction', at, op: 'project_out', direction };
    default:
      throw new Error(`the record has an unknown change ${edit.op}`);
  }
}

function cellsOf(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (cells, size) => cells.flatMap((cell) => Array.from({ length: size }, (_, at) => [...cell, at])),
    [[]],
  );
}

function scopeOf(site: string, axes: readonly string[], cell: readonly number[]): Scope {
  const at = (axis: string): number | undefined => cell[axes.indexOf(axis)];
  const layer = at('layer') ?? 0;
  const place = ['z', 'q', 'k', 'v', 'pattern'].includes(site) ? `attn.hook_${site}` : `hook_${site}`;
  const position = at('position') ?? at('query');
  const key = at('key');
  const head = at('head');
  return {
    site: `blocks.${layer}.${place}`,
    ...(position === undefined ? {} : { at: { kind: 'positions' as const, positions: [position] } }),
    ...(key === undefined ? {} : { key: { kind: 'positions' as const, positions: [key] } }),
    ...(head === undefined ? {} : { head: [head] }),
  };
}

/** [batch, pos, model] → [batch, pos, head, model] */
function perHead(tensor: Tensor, heads: number): Tensor {
  const [batch = 0, pos = 0, model = 0] = tensor.shape;
  const data = new Float64Array(batch * pos * heads * model);
  for (let row = 0; row < batch * pos * heads; row++) {
    const from = Math.floor(row / heads) * model;
    data.set(tensor.data.subarray(from, from + model), row * model);
  }
  return { shape: [batch, pos, heads, model], data };
}

/** `a0.h1->a1.h2<q>`, the notation of EAP. */
function parseEapEdge(text: string): { from: UnitRef; to: ReaderRef } {
  const [left = '', right = ''] = text.split('->');
  const from = /^a(\d+)\.h(\d+)$/.exec(left);
  const unit: UnitRef =
    left === 'input'
      ? { kind: 'input' }
      : from
        ? { kind: 'head', layer: Number(from[1]), head: Number(from[2]) }
        : { kind: 'mlp', layer: Number(left.slice(1)) };
  const to = /^a(\d+)\.h(\d+)<([qkv])>$/.exec(right);
  if (to)
    return {
      from: unit,
      to: { kind: 'head', layer: Number(to[1]), head: Number(to[2]), port: to[3] as 'q' | 'k' | 'v' },
    };
  return {
    from: unit,
    to:
      right === 'logits' ? { kind: 'logits', port: 'in' } : { kind: 'mlp', layer: Number(right.slice(1)), port: 'in' },
  };
}

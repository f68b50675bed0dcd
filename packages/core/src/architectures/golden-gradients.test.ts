import type { GradientTarget, Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { chooseExecutor, type Executor, makePlan, type Prompt, referenceExecutor, runPlan } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { gpt2 } from './gpt2.ts';
import { llama } from './llama.ts';
import { loadDecoder } from './load-model.ts';
import { recorded, relativeError, sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

// Gradients of the mean loss and of the mean logit difference, which PyTorch computed in float64, with respect to sites
// and to the stored tensors of the checkpoint.

interface Case {
  readonly runs: readonly {
    readonly name: string;
    readonly file: string;
    readonly tokens: number[][];
    readonly attention_mask?: number[][];
    readonly logit_diff: { readonly position: number[]; readonly answer: number[]; readonly wrong_answer: number[] };
  }[];
  readonly tolerance: { readonly float32_gradients: number; readonly float64_gradients: number };
}

const families = [
  { name: 'gpt2', architecture: gpt2 },
  { name: 'gpt2-inverse-layer-scale', architecture: gpt2 },
  { name: 'llama', architecture: llama },
  { name: 'llama-bias-headdim', architecture: llama },
];

const executors: { readonly name: string; readonly get: () => Promise<Executor>; readonly double: boolean }[] = [
  { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), double: true },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, double: false },
];

describe.skipIf(!sharedFolder)(`recorded gradients${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const { name: family, architecture } of families) {
    for (const { name, get, double } of executors) {
      test(`${family}: every recorded gradient agrees, computed by ${name}`, async () => {
        const model = loadDecoder(sharedPath('golden/models', family));
        const sources = architecture.sources(model.checkpoint, model.spec);
        const { runs, tolerance } = sharedJson('golden/models', family, 'case.json') as Case;
        const engine = { graph: model.graph, weights: model.weights, executor: await get() };
        let compared = 0;
        for (const run of runs) {
          const file = recorded('golden/models', family, run.file);
          const prompt: Prompt = run.attention_mask
            ? { tokens: run.tokens, mask: run.attention_mask }
            : { tokens: run.tokens };
          const { position, answer, wrong_answer: wrong } = run.logit_diff;
          const targets: { readonly [name: string]: GradientTarget } = {
            loss: { kind: 'loss', reduce: 'mean' },
            logit_diff: {
              kind: 'logitDiff',
              at: { kind: 'perExample', positions: position },
              answer,
              wrong,
              reduce: 'mean',
            },
          };
          for (const [label, target] of Object.entries(targets)) {
            const wanted = file.names.filter((entry) => entry.startsWith(`grad/${label}/`));
            const sites = wanted.filter((entry) => !entry.includes('/param/'));
            const params = wanted.filter((entry) => entry.includes('/param/'));
            if (wanted.length === 0) continue;
            // A tied matrix has two sources, of which the graph reads one.
            const read = new Set(model.graph.params.map((param) => param.name));
            const paramsOf = (tensor: string): string[] =>
              [...sources].flatMap(([param, source]) => (source.tensor === tensor && read.has(param) ? [param] : []));
            const names = [...new Set(params.flatMap((entry) => paramsOf(entry.split('/').slice(3).join('/'))))];
            const readouts = [
              ...sites.map(
                (entry): Readout => gradient(target, { kind: 'site', at: { site: entry.split('/')[2] ?? '' } }),
              ),
              ...names.map((param): Readout => gradient(target, { kind: 'param', name: param })),
            ];
            const { results } = await runPlan(engine, makePlan(model.graph, { readouts }), prompt);
            const bound = (expected: Tensor, entry: string): number => {
              if (!double) return tolerance.float32_gradients;
              // Long tensors are stored in float32.
              return expected.data.length <= 256 || /hook_resid_(pre|post)$/.test(entry)
                ? tolerance.float64_gradients
                : 2e-7;
            };
            sites.forEach((entry, index) => {
              const expected = file.read(entry);
              const got = results[index];
              if (got?.kind !== 'gradient') throw new Error('a gradient is missing');
              expect(got.tensor.shape[0]).toBe(1);
              const tensor = { shape: got.tensor.shape.slice(1), data: got.tensor.data };
              if (run.attention_mask) clearPadding(entry, [tensor, expected], run.attention_mask);
              expect(relativeError(tensor, expected), `${run.name} ${entry}`).toBeLessThan(bound(expected, entry));
              compared++;
            });
            for (const entry of params) {
              const stored = entry.split('/').slice(3).join('/');
              const expected = file.read(entry);
              const sum: Tensor = { shape: expected.shape, data: new Float64Array(expected.data.length) };
              for (const param of paramsOf(stored)) {
                const got = results[sites.length + names.indexOf(param)];
                if (got?.kind !== 'gradient') throw new Error('a gradient is missing');
                scatter(sum, got.tensor, sources, param);
              }
              expect(relativeError(sum, expected), `${run.name} ${entry}`).toBeLessThan(bound(expected, entry));
              compared++;
            }
          }
        }
        expect(compared).toBeGreaterThan(20);
      });
    }
  }
});

type Sources = ReturnType<typeof gpt2.sources>;

function gradient(of: GradientTarget, wrt: Extract<Readout, { kind: 'gradient' }>['wrt']): Readout {
  return { kind: 'gradient', of: [of], wrt };
}

/** Adds the gradient of a graph's weight where its entries lie in the stored tensor. */
function scatter(sum: Tensor, gradient: Tensor, sources: Sources, param: string): void {
  const source = sources.get(param);
  if (!source) throw new Error(`no source for ${param}`);
  const { offset, shape, strides, headStride } = source;
  const [rows = 1, columns = 1] = shape.length === 1 ? [1, shape[0]] : shape;
  const [down = 0, along = 1] = strides.length === 1 ? [0, strides[0]] : strides;
  const width = headStride ? columns / headStride.count : columns;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const at = offset + i * down + Math.floor(j / width) * (headStride?.stride ?? 0) + (j % width) * along;
      sum.data[at] = (sum.data[at] ?? 0) + (gradient.data[i * columns + j] ?? 0);
    }
  }
}

/** At padding the records hold zeros that mean nothing. */
function clearPadding(entry: string, tensors: readonly Tensor[], mask: readonly (readonly number[])[]): void {
  const pattern = /hook_pattern|hook_attn_scores/.test(entry);
  for (const { shape, data } of tensors) {
    const axis = pattern ? 2 : 1;
    const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
    const perExample = shape.slice(1).reduce((a, b) => a * b, 1);
    for (let at = 0; at < data.length; at++) {
      const position = Math.floor(at / inner) % (shape[axis] ?? 1);
      if (mask[Math.floor(at / perExample)]?.[position] === 0) data[at] = 0;
    }
  }
}

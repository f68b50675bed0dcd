import type { GradientTarget, Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { chooseExecutor, type Executor, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import type { WeightSource } from './architecture.ts';
import { decoders } from './decoders.ts';
import { loadDecoder } from './load-model.ts';
import { clearPadding, promptOf, recordedCase } from './parity.fixture.ts';
import { ParityTable, transformerKinds } from './parity-table.fixture.ts';
import { float64Bound, recordedFamilies } from './recorded-families.fixture.ts';
import { recorded, relativeError, sharedFolder, sharedPath, withoutShared } from './shared-data.ts';

// Gradients of the mean loss and of the mean logit difference, which PyTorch computed in float64, with respect to sites
// and to the stored tensors of the checkpoint.

const executors: { readonly name: string; readonly get: () => Promise<Executor>; readonly double: boolean }[] = [
  { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), double: true },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, double: false },
];

const table = new ParityTable('Decoders: gradients', transformerKinds.slice(0, 2));

describe.skipIf(!sharedFolder)(`recorded gradients${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const family of recordedFamilies) {
    for (const { name, get, double } of executors) {
      test(`${family}: every recorded gradient agrees, computed by ${name}`, async () => {
        const model = loadDecoder(sharedPath('golden/models', family));
        const architecture = decoders.find(({ name }) => name === model.architecture);
        const sources = architecture?.sources(model.checkpoint, model.spec) ?? new Map<string, WeightSource>();
        const { runs, tolerance } = recordedCase(family);
        const engine = { graph: model.graph, weights: model.weights, executor: await get() };
        let compared = 0;
        for (const run of runs) {
          const file = recorded('golden/models', family, run.file);
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
            const { results } = await runPlan(engine, makePlan(model.graph, { readouts }), promptOf(run));
            const bound = (expected: Tensor, entry: string): number => {
              if (!double) return tolerance.float32_gradients;
              // Long tensors are stored in float32.
              const wide = expected.data.length <= 256 || /hook_resid_(pre|post)$/.test(entry);
              return float64Bound(
                family,
                wide ? tolerance.float64_gradients : tolerance.float64_of_tensors_stored_as_F32,
              );
            };
            sites.forEach((entry, index) => {
              const expected = file.read(entry);
              const got = results[index];
              if (got?.kind !== 'gradient') throw new Error('a gradient is missing');
              expect(got.tensor.shape[0]).toBe(1);
              const tensor = { shape: got.tensor.shape.slice(1), data: got.tensor.data };
              if (run.attention_mask) clearPadding(entry, [tensor, expected], run.attention_mask);
              const error = relativeError(tensor, expected);
              expect(error, `${run.name} ${entry}`).toBeLessThan(bound(expected, entry));
              table.add(family, name, entry, error);
              compared++;
            });
            const scale = Math.max(...params.map((entry) => largest(file.read(entry))));
            for (const entry of params) {
              const stored = entry.split('/').slice(3).join('/');
              const expected = file.read(entry);
              const sum: Tensor = { shape: expected.shape, data: new Float64Array(expected.data.length) };
              for (const param of paramsOf(stored)) {
                const got = results[sites.length + names.indexOf(param)];
                if (got?.kind !== 'gradient') throw new Error('a gradient is missing');
                scatter(sum, got.tensor, sources, param);
              }
              const error = isRounding(expected) ? largest(sum) / scale : relativeError(sum, expected);
              expect(error, `${run.name} ${entry}`).toBeLessThan(bound(expected, entry));
              table.add(family, name, entry, error);
              compared++;
            }
          }
        }
        expect(compared).toBeGreaterThan(family === 'gpt2' ? 20 : 0);
      });
    }
  }

  test('the parity table has every family, with all that was recorded of it', () => {
    table.finish(
      recordedFamilies,
      executors.map(({ name }) => name),
    );
  });
});

type Sources = ReadonlyMap<string, WeightSource>;

function gradient(of: GradientTarget, wrt: Extract<Readout, { kind: 'gradient' }>['wrt']): Readout {
  return { kind: 'gradient', of: [of], wrt };
}

/** A bias on keys moves all scores of a query alike, so its gradient is zero but for rounding. */
function isRounding(expected: Tensor): boolean {
  return largest(expected) < 1e-12;
}

function largest({ data }: Tensor): number {
  return Array.from(data).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
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

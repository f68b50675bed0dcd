import type { GradientTarget, Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { type Checkpoint, openCheckpoint, readSafetensorsHeader } from '../checkpoints/index.ts';
import { findSite, type Graph, hashGraph } from '../graph/index.ts';
import {
  captured,
  chooseExecutor,
  type Executor,
  makePlan,
  type Prompt,
  referenceExecutor,
  runPlan,
} from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import type { WeightSource } from './architecture.ts';
import { bert, distilbert } from './bert.ts';
import { loadModel, modelFromCheckpoint } from './load-model.ts';
import { ParityTable, transformerKinds } from './parity-table.fixture.ts';
import { recorded, relativeError, sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';
import { t5 } from './t5.ts';

// Encoders and encoder-decoders: every activation that transformers computes in float64 for small random models, the loss,
// and its gradients with respect to activations and stored tensors.

interface Case {
  readonly runs: readonly {
    readonly name: string;
    readonly file: string;
    readonly tokens: number[][];
    readonly attention_mask: number[][];
    readonly decoder_input_ids?: number[][];
    readonly token_type_ids?: number[][];
    readonly labels: number[][];
    readonly logit_diff: { readonly position: number[]; readonly answer: number[]; readonly wrong_answer: number[] };
  }[];
  readonly tolerance: {
    readonly float32: number;
    readonly float64: number;
    readonly float32_gradients: number;
    readonly float64_gradients: number;
    readonly float64_of_tensors_stored_as_F32: number;
  };
}

/** Where the weights of a checkpoint lie. */
type SourcesOf = (checkpoint: Checkpoint) => ReadonlyMap<string, WeightSource>;

const ofT5: SourcesOf = (checkpoint) => t5.sources(checkpoint, t5.spec(checkpoint));

const families: readonly { readonly family: string; readonly sourcesOf: SourcesOf }[] = [
  { family: 't5', sourcesOf: ofT5 },
  { family: 't5-gated', sourcesOf: ofT5 },
  { family: 'bert', sourcesOf: (checkpoint) => bert.sources(checkpoint, bert.spec(checkpoint)) },
  { family: 'distilbert', sourcesOf: (checkpoint) => distilbert.sources(checkpoint, distilbert.spec(checkpoint)) },
];

const executors: { readonly name: string; readonly get: () => Promise<Executor>; readonly double: boolean }[] = [
  { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), double: true },
  { name: 'the reference in float32', get: async () => referenceExecutor(), double: false },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, double: false },
];

const table = new ParityTable('Encoders and encoder-decoders', transformerKinds);

describe.skipIf(!sharedFolder)(`recorded encoders${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test.each(families.map(({ family }) => family))('%s: the config of transformers 5 says the same model', (family) => {
    const checkpoint = openCheckpoint(sharedPath('golden/models', family));
    const config = sharedJson('golden/models', family, 'config.v5.json');
    const [first, second] = [checkpoint, { ...checkpoint, config }].map((one) => modelFromCheckpoint(one, family));
    expect(second?.spec).toEqual(first?.spec);
    expect(hashGraph(second?.graph ?? noGraph)).toBe(hashGraph(first?.graph ?? noGraph));
    const odd = { ...checkpoint, config: { ...(config as object), window_of_attention: 7 } };
    expect(() => modelFromCheckpoint(odd, family)).toThrow(expect.objectContaining({ code: 'unknown_config' }));
  });

  for (const { family, sourcesOf } of families) {
    for (const { name, get, double } of executors) {
      test(`${family}: activations, losses and gradients agree, computed by ${name}`, async () => {
        const model = loadModel(sharedPath('golden/models', family));
        const sources = sourcesOf(model.checkpoint);
        const { runs, tolerance } = sharedJson('golden/models', family, 'case.json') as Case;
        const engine = { graph: model.graph, weights: model.weights, executor: await get() };
        const report: { readonly entry: string; readonly error: number }[] = [];
        for (const run of runs) {
          const file = recorded('golden/models', family, run.file);
          const header = readSafetensorsHeader(sharedPath('golden/models', family, run.file));
          const single = new Set(header.tensors.flatMap((stored) => (stored.dtype === 'f32' ? [stored.name] : [])));
          const bound = (entry: string): number => {
            const gradient = entry.startsWith('grad/');
            if (!double) return gradient ? tolerance.float32_gradients : tolerance.float32;
            if (single.has(entry)) return tolerance.float64_of_tensors_stored_as_F32;
            return gradient ? tolerance.float64_gradients : tolerance.float64;
          };
          const compare = (entry: string, got: Tensor, wish = file.read(entry)): void => {
            // A bias of keys adds the same to every score of a query, which the softmax takes out: its gradient is 0 but for
            // rounding, and is measured by that of the queries' bias.
            const queries = entry.replace(/\.key\.bias$/, '.query.bias').replace(/k_lin\.bias$/, 'q_lin.bias');
            const unit = queries === entry ? null : largest(file.read(queries));
            const error = unit === null ? relativeError(got, wish) : largest(got) / unit;
            expect(error, `${run.name} ${entry}`).toBeLessThan(bound(entry));
            report.push({ entry, error });
            table.add(family, name, entry, error);
          };
          const prompt: Prompt = {
            tokens: run.tokens,
            mask: run.attention_mask,
            targets: run.labels,
            ...(run.token_type_ids ? { tokenTypes: run.token_type_ids } : {}),
            ...(run.decoder_input_ids ? { decoderTokens: run.decoder_input_ids } : {}),
          };
          const { position, answer, wrong_answer: wrong } = run.logit_diff;
          const at = { kind: 'perExample', positions: position } as const;
          const values = file.names.filter((entry) => !entry.startsWith('grad/'));
          const sites = values.filter((entry) => entry !== 'loss' && entry !== 'logit_diff');
          const captures = sites.map((site): Readout => ({ kind: 'capture', at: { site } }));
          const readouts: Readout[] = [{ kind: 'logitDiff', at, answer, wrong }, { kind: 'loss' }, ...captures];
          const forward = await runPlan(engine, makePlan(model.graph, { readouts }), prompt);
          const [difference, loss] = forward.results;
          if (difference?.kind !== 'logitDiff' || loss?.kind !== 'loss') throw new Error('readouts come in plan order');
          compare('logit_diff', { shape: [run.tokens.length], data: difference.tensor.data });
          const counted = run.labels.flat().filter((label) => label !== -100).length;
          const mean = Array.from(loss.tensor.data).reduce((a, b) => a + b, 0) / counted;
          compare('loss', { shape: [], data: Float64Array.of(mean) });
          // The decoder's text has no padding.
          const padded = run.decoder_input_ids ? 'source' : 'pos';
          const hidden = (site: string) => paddingOf(findSite(model.graph, site).shape, padded, run.attention_mask);
          for (const site of sites) {
            const wish = file.read(site);
            compare(site, without(captured(forward, site), hidden(site)), without(wish, hidden(site)));
          }

          const targets: { readonly [label: string]: GradientTarget } = {
            loss: { kind: 'loss', reduce: 'mean' },
            logit_diff: { kind: 'logitDiff', at, answer, wrong, reduce: 'mean' },
          };
          for (const [label, target] of Object.entries(targets)) {
            const wanted = file.names.filter((entry) => entry.startsWith(`grad/${label}/`));
            const params = wanted.filter((entry) => entry.includes('/param/'));
            const at = wanted.filter((entry) => !entry.includes('/param/'));
            const read = new Set(model.graph.params.map((param) => param.name));
            const paramsOf = (tensor: string): string[] =>
              [...sources].flatMap(([param, source]) => (source.tensor === tensor && read.has(param) ? [param] : []));
            const names = [...new Set(params.flatMap((entry) => paramsOf(entry.split('/').slice(3).join('/'))))];
            const { results } = await runPlan(
              engine,
              makePlan(model.graph, {
                readouts: [
                  ...at.map((entry): Readout => gradient(target, { kind: 'site', at: { site: siteOf(entry) } })),
                  ...names.map((param): Readout => gradient(target, { kind: 'param', name: param })),
                ],
              }),
              prompt,
            );
            const got = (index: number): Tensor => {
              const result = results[index];
              if (result?.kind !== 'gradient') throw new Error('a gradient is missing');
              return { shape: result.tensor.shape.slice(1), data: result.tensor.data };
            };
            at.forEach((entry, index) => {
              const places = hidden(siteOf(entry));
              compare(entry, without(got(index), places), without(file.read(entry), places));
            });
            for (const entry of params) {
              const wish = file.read(entry);
              const sum: Tensor = { shape: wish.shape, data: new Float64Array(wish.data.length) };
              for (const param of paramsOf(entry.split('/').slice(3).join('/')))
                scatter(sum, got(at.length + names.indexOf(param)), sources, param);
              compare(entry, sum, wish);
            }
          }
        }
        const count = (gradients: boolean) => report.filter(({ entry }) => entry.startsWith('grad/') === gradients);
        expect(count(false).length).toBeGreaterThan(20);
        expect(count(true).length).toBeGreaterThan(30);
      });
    }
  }

  test('the parity table has every family, with all that was recorded of it', () => {
    table.finish(
      families.map(({ family }) => family),
      executors.map(({ name }) => name),
    );
  });
});

const largest = ({ data }: Tensor): number => Math.max(...Array.from(data, Math.abs));

const noGraph: Graph = { nodes: [], inputs: {}, output: -1, params: [] };

const siteOf = (entry: string): string => entry.split('/').slice(2).join('/');

function gradient(of: GradientTarget, wrt: Extract<Readout, { kind: 'gradient' }>['wrt']): Readout {
  return { kind: 'gradient', of: [of], wrt };
}

/** Whether an entry lies at a padded position of the encoder, as a query; the records hold zeros there that mean nothing. */
function paddingOf(shape: readonly (number | string)[], padded: string, mask: readonly (readonly number[])[]) {
  const axis = shape.length === 4 && typeof shape[1] === 'number' ? 2 : 1;
  return (position: readonly number[]): boolean =>
    shape[axis] === padded && mask[position[0] ?? 0]?.[position[axis] ?? 0] === 0;
}

function without({ shape, data }: Tensor, hidden: (position: readonly number[]) => boolean): Tensor {
  const kept = Float64Array.from(data, (value, at) => {
    let rest = at;
    const position = shape.toReversed().map((size) => {
      const index = rest % size;
      rest = Math.floor(rest / size);
      return index;
    });
    return hidden(position.toReversed()) ? 0 : value;
  });
  return { shape, data: kept };
}

/** Adds the gradient of a graph's weight where its entries lie in the stored tensor. */
function scatter(sum: Tensor, gradient: Tensor, sources: ReadonlyMap<string, WeightSource>, param: string): void {
  const source = sources.get(param);
  if (!source) throw new Error(`no source for ${param}`);
  const { offset, shape, strides } = source;
  const [rows = 1, columns = 1] = shape.length === 1 ? [1, shape[0]] : shape;
  const [down = 0, along = 1] = strides.length === 1 ? [0, strides[0]] : strides;
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++)
      sum.data[offset + i * down + j * along] =
        (sum.data[offset + i * down + j * along] ?? 0) + (gradient.data[i * columns + j] ?? 0);
}

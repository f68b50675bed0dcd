import { describe, expect, test } from 'vitest';
import type { Architecture } from '../architectures/architecture.ts';
import { attentionOnly } from '../architectures/attention-only.ts';
import { gpt2 } from '../architectures/gpt2.ts';
import { modelFromCheckpoint } from '../architectures/index.ts';
import { recorded, sharedFolder, sharedJson, withoutShared } from '../architectures/shared-data.ts';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import { chooseExecutor, type Executor, nextTokenLoss, readWeight, referenceExecutor } from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { tokenBatch } from './batch.ts';
import { makeTrainer } from './trainer.ts';

// Five AdamW steps that PyTorch made in float64.

interface Case {
  readonly spec: {
    readonly n_layer: number;
    readonly d_model: number;
    readonly n_head: number;
    readonly vocab: number;
    readonly length: number;
    readonly optimiser: {
      readonly lr: number;
      readonly betas: readonly [number, number];
      readonly eps: number;
      readonly weight_decay: number;
      readonly clip: number;
    };
  };
  readonly tokens: number[][][];
  readonly losses_before_each_step: number[];
  readonly gradient_norm_before_clipping: number[];
  readonly loss_on_first_batch_after_training: number;
  readonly tolerance: {
    readonly losses_float64: number;
    readonly losses_float32: number;
    readonly final_float64: number;
    readonly change_float32: number;
  };
}

const cases: {
  readonly name: string;
  readonly architecture: Architecture;
  readonly config: (spec: Case['spec']) => object;
}[] = [
  {
    name: 'attention-only',
    architecture: attentionOnly,
    config: ({ n_layer, d_model, n_head, vocab, length }) => ({
      model_type: 'attention_only',
      n_layers: n_layer,
      d_model,
      n_heads: n_head,
      d_head: d_model / n_head,
      d_vocab: vocab,
      n_ctx: length,
      normalization_type: null,
    }),
  },
  {
    name: 'gpt2-one-layer',
    architecture: gpt2,
    config: ({ n_layer, d_model, n_head, vocab, length }) => ({
      model_type: 'gpt2',
      n_layer,
      n_embd: d_model,
      n_head,
      vocab_size: vocab,
      n_positions: length,
    }),
  },
];

const executors: { readonly name: string; readonly get: () => Promise<Executor>; readonly double: boolean }[] = [
  { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), double: true },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, double: false },
];

describe.skipIf(!sharedFolder)(`recorded trainings${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const { name, architecture, config } of cases) {
    for (const { name: executorName, get, double } of executors) {
      test(`${name}: five steps change every weight as recorded, computed by ${executorName}`, async () => {
        const { spec, tokens, tolerance, ...expected } = sharedJson('golden/training', name, 'case.json') as Case;
        const startFile = recorded('golden/training', name, 'start.safetensors');
        const expectedFile = recorded('golden/training', name, 'expected.safetensors');
        const stored = new Map(startFile.names.map((each) => [each, startFile.read(each)]));
        const checkpoint = memoryCheckpoint(name, config(spec), stored);
        const { graph, weights } = modelFromCheckpoint(checkpoint, name);
        const start = new Map(graph.params.map((param) => [param.name, readWeight(weights, param.name)]));
        const { lr, betas, eps, weight_decay, clip } = spec.optimiser;
        const trainer = makeTrainer(
          { graph, loss: nextTokenLoss(graph), weights: start },
          {
            executor: await get(),
            optimiser: { kind: 'adamw', learningRate: lr, betas, eps, weightDecay: weight_decay, decays: 'all', clip },
            schedule: { kind: 'constant' },
            steps: tokens.length,
            precision: double ? 'f64' : 'f32',
          },
        );
        const losses = double ? tolerance.losses_float64 : tolerance.losses_float32;
        const batches = tokens.map((each) => tokenBatch(each));
        for (const [step, batch] of batches.entries()) {
          const { loss, gradientNorm } = await trainer.step(batch);
          expect(relative(loss, expected.losses_before_each_step[step])).toBeLessThan(losses);
          expect(relative(gradientNorm, expected.gradient_norm_before_clipping[step])).toBeLessThan(losses);
        }
        const [first] = batches;
        if (!first) throw new Error('no batches are recorded');
        const after = (await trainer.measure(first)).loss;
        expect(relative(after, expected.loss_on_first_batch_after_training)).toBeLessThan(losses);

        const sources = architecture.sources(checkpoint, architecture.spec(checkpoint));
        for (const { name: param } of graph.params) {
          const source = sources.get(param);
          const [begin, end] = [start.get(param), trainer.trained.get(param)];
          if (!source || !begin || !end) throw new Error(`${param} is missing`);
          const change = { shape: end.shape, data: Float64Array.from(end.data, (w, at) => w - (begin.data[at] ?? 0)) };
          const whole = expectedFile.read(`change/${source.tensor}`);
          // Long tensors are stored in float32.
          const bound = double ? (whole.data.length <= 256 ? tolerance.final_float64 : 2e-7) : tolerance.change_float32;
          // A key's bias moves no pattern: its gradient is 0, and Adam makes steps of float32's rounding.
          if (!double && param.endsWith('.b_K')) continue;
          expect(error(change, part(whole, source)) / largest(whole), param).toBeLessThan(bound);
        }
      });
    }
  }
});

const largest = ({ data }: Tensor): number =>
  Float64Array.from(data).reduce((most, value) => Math.max(most, Math.abs(value)), 0);

function error(got: Tensor, expected: Tensor): number {
  expect(got.shape).toEqual(expected.shape);
  return largest({
    ...got,
    data: Float64Array.from(got.data, (value, at) => value - (expected.data[at] ?? Number.NaN)),
  });
}

function relative(got: number, expected: number | undefined): number {
  return Math.abs(got - (expected ?? Number.NaN)) / Math.abs(expected ?? Number.NaN);
}

/** The entries of a stored tensor that a weight of the graph is made of. */
function part(
  { data }: Tensor,
  source: ReturnType<Architecture['sources']> extends ReadonlyMap<string, infer S> ? S : never,
): Tensor {
  const { offset, shape, strides, headStride } = source;
  const columns = shape.at(-1) ?? 0;
  const down = shape.length === 1 ? 0 : (strides[0] ?? 0);
  const across = strides.at(-1) ?? 1;
  const width = headStride ? columns / headStride.count : columns;
  const length = shape.reduce((a, b) => a * b, 1);
  return {
    shape,
    data: Float64Array.from({ length }, (_, at) => {
      const [row, column] = [Math.floor(at / columns), at % columns];
      const head = Math.floor(column / width) * (headStride?.stride ?? 0);
      return data[offset + row * down + head + (column % width) * across] ?? Number.NaN;
    }),
  };
}

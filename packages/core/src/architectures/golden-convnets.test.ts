import type { GradientTarget, Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { memoryCheckpoint, readSafetensorsHeader, readStored } from '../checkpoints/index.ts';
import {
  captured,
  chooseExecutor,
  type Executor,
  imagePrompt,
  makePlan,
  referenceExecutor,
  runPlan,
} from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { type ConvnetModel, convnetConfig, convnetFromCheckpoint, loadConvnet } from './convnet.ts';
import type { ModuleEntry } from './convnet-modules.ts';
import { ParityTable } from './parity-table.fixture.ts';
import { recorded, relativeError, sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

// Residual nets of transformers and a net of the VGG kind: every recorded activation, the loss, and its gradients with
// respect to activations and weights, which PyTorch computed in float64.

interface Case {
  readonly labels: number[];
  readonly tolerance: {
    readonly float32: number;
    readonly float64: number;
    readonly float32_gradients: number;
    readonly float64_gradients: number;
    readonly float64_of_tensors_stored_as_F32: number;
  };
}

const nets: readonly { readonly name: string; readonly open: () => ConvnetModel }[] = [
  ...['resnet-basic', 'resnet-bottleneck'].map((name) => ({
    name,
    open: () => loadConvnet(sharedPath('golden/models', name), { size: [32, 32] }),
  })),
  {
    name: 'vgg',
    open: () => {
      const { tensors } = readSafetensorsHeader(sharedPath('golden/models/vgg/model.safetensors'));
      const modules = sharedJson('golden/models/vgg/layers.json') as ModuleEntry[];
      const weights = new Map(
        tensors
          .filter(({ name }) => !name.endsWith('num_batches_tracked'))
          .map((stored): [string, Tensor] => [stored.name, { shape: stored.shape, data: readStored(stored) }]),
      );
      return convnetFromCheckpoint(memoryCheckpoint('vgg', convnetConfig([3, 24, 24], modules), weights), 'vgg');
    },
  },
];

const executors: { readonly name: string; readonly get: () => Promise<Executor>; readonly double: boolean }[] = [
  { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), double: true },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, double: false },
];

const table = new ParityTable('Convolution nets', [
  ['gradients of weights', /^grad\/.*\/param\//],
  ['gradients', /^grad\//],
  ['logits, loss', /^(logits|loss)$/],
  ['norms', /normaliz|batch_norm|\.(1|4|8)(\.|$)/],
  ['convolutions, pools, sums', /./],
]);

describe.skipIf(!sharedFolder)(`recorded convolution nets${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const { name: net, open } of nets) {
    for (const { name, get, double } of executors) {
      test(`${net}: activations, loss and gradients agree, computed by ${name}`, async () => {
        const model = open();
        const { labels, tolerance } = sharedJson('golden/models', net, 'case.json') as Case;
        const file = recorded('golden/models', net, 'expected.safetensors');
        const header = readSafetensorsHeader(sharedPath('golden/models', net, 'expected.safetensors'));
        const single = new Set(header.tensors.flatMap(({ name, dtype }) => (dtype === 'f32' ? [name] : [])));
        const bound = (entry: string): number => {
          const gradient = entry.startsWith('grad/');
          if (!double) return gradient ? tolerance.float32_gradients : tolerance.float32;
          if (single.has(entry)) return tolerance.float64_of_tensors_stored_as_F32;
          return gradient ? tolerance.float64_gradients : tolerance.float64;
        };
        const sites = file.names.filter(
          (entry) => !entry.startsWith('grad/') && entry !== 'loss' && entry !== 'images',
        );
        const gradients = file.names.filter((entry) => entry.startsWith('grad/loss/'));
        const of: GradientTarget[] = [{ kind: 'loss', reduce: 'mean' }];
        const readouts = [
          { kind: 'loss' as const },
          ...sites.map((site) => ({ kind: 'capture' as const, at: { site } })),
          ...gradients.map((entry): Readout => {
            const param = entry.startsWith('grad/loss/param/');
            const at = entry.slice(param ? 16 : 10);
            return {
              kind: 'gradient',
              of,
              wrt: param ? { kind: 'param', name: at } : { kind: 'site', at: { site: at } },
            };
          }),
        ];
        const engine = { graph: model.graph, weights: model.weights, executor: await get() };
        const run = await runPlan(
          engine,
          makePlan(model.graph, { readouts }),
          imagePrompt(file.read('images'), labels),
        );
        const [loss] = run.results;
        if (loss?.kind !== 'loss') throw new Error('readouts come in plan order');
        const mean = Array.from(loss.tensor.data).reduce((sum, value) => sum + value, 0) / labels.length;
        const compare = (entry: string, error: number): void => {
          expect(error, entry).toBeLessThan(bound(entry));
          table.add(net, name, entry, error);
        };
        compare('loss', Math.abs(mean / (file.read('loss').data[0] ?? 0) - 1));
        for (const site of sites) {
          compare(site, relativeError(captured(run, site), file.read(site)));
        }
        gradients.forEach((entry, at) => {
          const got = run.results[1 + sites.length + at];
          if (got?.kind !== 'gradient') throw new Error('a gradient is missing');
          const wish = file.read(entry);
          const tensor = { shape: got.tensor.shape.slice(1), data: got.tensor.data };
          // A linear weight is stored [out, in] and multiplied as [in, out].
          const turned = /param\/classifier\.\d\.weight$/.test(entry) ? transposed(tensor) : tensor;
          compare(entry, relativeError(turned, wish));
        });
        expect(sites.length + gradients.length).toBeGreaterThan(25);
      });
    }
  }

  test('the parity table has every net, with all that was recorded of it', () => {
    table.finish(
      nets.map(({ name }) => name),
      executors.map(({ name }) => name),
    );
  });
});

function transposed({ shape: [rows = 0, columns = 0], data }: Tensor): Tensor {
  const out = new Float64Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j] ?? 0;
  return { shape: [columns, rows], data: out };
}

import type { Task } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { engineFor } from '../architectures/index.ts';
import { loadModel } from '../architectures/load-model.ts';
import { recorded, sharedFolder, sharedJson, sharedPath, withoutShared } from '../architectures/shared-data.ts';
import { smallModels } from '../plan/fixtures/small-models.ts';
import { chooseExecutor, type Executor, referenceExecutor } from '../plan/index.ts';
import { eapScores } from './eap.ts';
import { exactPatchScores } from './edge-scores.ts';
import { linearisedPathPatch } from './linearised-path-patch.ts';
import { type PatchedPath, pathPatch } from './path-patch.ts';
import { randomData } from './random-model.fixture.ts';
import { taskData } from './task-data.ts';

const about = { ablation: 'resample', metric: 'logit_diff' } as const;
const head = (layer: number, at: number) => ({ kind: 'head', layer, head: at }) as const;
const engine = engineFor(smallModels.gpt2(), referenceExecutor({ precision: 'f64' }));
const data = randomData(3);

describe.skipIf(!sharedFolder)(`recorded paths${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, async () => {
  if (!sharedFolder) return;
  const record = sharedJson('golden/circuits/case.json') as {
    readonly clean_tokens: number[][];
    readonly corrupt_tokens: number[][];
    readonly answer: number[];
    readonly wrong_answer: number[];
    readonly clean_metric: number;
  };
  const task: Task = {
    kind: 'task',
    version: 1,
    name: 'recorded',
    metric: { kind: 'logit_diff' },
    examples: record.clean_tokens.map((clean, at) => ({
      clean,
      corrupt: record.corrupt_tokens[at] ?? [],
      answer: record.answer[at] ?? 0,
      wrongAnswer: record.wrong_answer[at] ?? 0,
    })),
  };
  const executors: readonly [string, Executor, number][] = [
    ['the reference in float64', referenceExecutor({ precision: 'f64' }), 1e-9],
    ['the chosen executor', (await chooseExecutor()).executor, 1e-4],
  ];
  test.each(executors)('every path between two heads has its recorded metric, by %s', async (_, executor, bound) => {
    const recordedEngine = engineFor(loadModel(sharedPath('golden/models/gpt2')), executor);
    for (const [variant, mlps] of [
      ['through_mlps', 'recompute'],
      ['direct', 'freeze'],
    ] as const) {
      const { data: expected, shape } = recorded('golden/circuits/patching.safetensors').read(
        `path/${variant}/metric[sender,receiver,port]`,
      );
      const [, receivers = 0, ports = 0] = shape;
      for (let at = 0; at < expected.length; at++) {
        const [sender, receiver] = [Math.floor(at / (receivers * ports)), Math.floor(at / ports) % receivers];
        const port = (['q', 'k', 'v'] as const)[at % ports] ?? 'q';
        const path: PatchedPath = { sender: head(0, sender), receiver: { ...head(1, receiver), port }, mlps };
        const { effect } = await pathPatch(recordedEngine, taskData(task), path, about);
        const metric = record.clean_metric - effect;
        expect(Math.abs(metric - (expected[at] ?? 0)), `${variant} ${at}`).toBeLessThan(
          bound * Math.abs(record.clean_metric),
        );
      }
    }
  });
});

const paths: readonly PatchedPath[] = [
  { sender: head(0, 1), receiver: { ...head(1, 2), port: 'q' }, mlps: 'recompute' },
  { sender: head(0, 0), receiver: { ...head(1, 0), port: 'v' }, mlps: 'recompute' },
  { sender: head(0, 2), receiver: { kind: 'logits', port: 'in' }, mlps: 'recompute' },
  { sender: { kind: 'mlp', layer: 0 }, receiver: { kind: 'mlp', layer: 1, port: 'in' }, mlps: 'recompute' },
  { sender: head(0, 1), receiver: { ...head(1, 2), port: 'k' }, mlps: 'freeze' },
];

test('a straight path is an edge: exactly, and to first order', async () => {
  const edges = [
    { from: head(0, 1), to: { ...head(1, 2), port: 'k' } },
    { from: head(0, 0), to: { kind: 'logits', port: 'in' } },
    { from: { kind: 'mlp', layer: 0 }, to: { ...head(1, 1), port: 'v' } },
  ] as const;
  const exact = await exactPatchScores(engine, data, edges, about);
  const linear = await eapScores(engine, data, edges, about);
  for (const [at, { from, to }] of edges.entries()) {
    const path: PatchedPath = { sender: from, receiver: to, mlps: 'freeze' };
    expect((await pathPatch(engine, data, path, about)).effect).toBeCloseTo(exact.scores[at] ?? 0, 10);
    expect((await linearisedPathPatch(engine, data, path, about)).effect).toBeCloseTo(linear.scores[at] ?? 0, 10);
  }
});

test.each(paths)(
  'the linear twin is off by the square of the step: $sender.kind to $receiver.kind, $mlps',
  async (path) => {
    const errorAt = async (share: number): Promise<number> => {
      const exact = await pathPatch(engine, data, path, { ...about, share });
      const linear = await linearisedPathPatch(engine, data, path, { ...about, share });
      return Math.abs(linear.effect - exact.effect);
    };
    const [a, b] = [await errorAt(1e-3), await errorAt(5e-4)];
    expect(a).toBeGreaterThan(1e-10);
    expect(a / b).toBeGreaterThan(3.5);
    expect(a / b).toBeLessThan(4.5);
  },
);

test('MLPs on the way carry a part of the effect', async () => {
  const [path] = paths;
  if (!path) throw new Error('no path');
  const through = await pathPatch(engine, data, path, about);
  const straight = await pathPatch(engine, data, { ...path, mlps: 'freeze' }, about);
  expect(Math.abs(through.effect - straight.effect)).toBeGreaterThan(1e-3);
});

test('there is no path backwards, and none from the logits', async () => {
  const back: PatchedPath = { sender: head(1, 0), receiver: { ...head(0, 0), port: 'q' }, mlps: 'freeze' };
  await expect(pathPatch(engine, data, back, about)).rejects.toMatchObject({ code: 'unknown_path' });
  const odd: PatchedPath = { ...back, sender: { kind: 'logits' } };
  await expect(pathPatch(engine, data, odd, about)).rejects.toMatchObject({ code: 'unsupported_unit' });
});

import {
  chooseExecutor,
  cutEdges,
  decompose,
  edgesOf,
  engineFor,
  makePlan,
  meanValue,
  measure,
  readoutTensor,
  referenceExecutor,
  rowValues,
  runPlan,
  sourceRuns,
  type TaskData,
  taskData,
} from '@circuitscope/core';
import { edgeLabel, unitLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { zooMember, zooMembers } from './open-model.ts';
import { rmsChange } from './rms-change.ts';
import type { Truth, ZooMember } from './zoo-member.ts';

const { executor } = await chooseExecutor();

/** Each edge of the model with the largest and the root-mean-square change of the metric when it is cut alone. */
async function changes(member: ZooMember, data: TaskData, { ablation, metric }: Pick<Truth, 'ablation' | 'metric'>) {
  const model = member.model();
  const engine = engineFor(model, executor);
  const edges = edgesOf(decompose(model.graph));
  const runs = await sourceRuns(engine, data, ablation);
  const variants = [[], ...edges.map((edge) => cutEdges([edge], ablation))];
  const measured = await measure(engine, data, metric, variants, { runs });
  const whole = rowValues(measured, 0);
  return edges.map((edge, index) => ({
    label: edgeLabel(edge),
    largest: Math.max(...rowValues(measured, index + 1).map((value, at) => Math.abs(value - (whole[at] ?? 0)))),
    rms: rmsChange(measured, index + 1),
  }));
}

describe('the truth of a member', () => {
  for (const member of zooMembers) {
    for (const truth of member.truth) {
      const count = truth.edges.length;
      test(`${member.name}, ${truth.ablation} ablation, ${truth.metric}: of all edges exactly ${count} matter when cut alone`, async () => {
        const found = await changes(member, taskData(member.task({ seed: 7, examples: 40 })), truth);
        const matter = found.filter(({ largest }) => largest > truth.tolerance);
        expect(matter.map(({ label }) => label).sort()).toEqual(truth.edges.map(edgeLabel).sort());
        for (const { rms } of matter) expect(rms).toBeGreaterThan(1000 * truth.tolerance);
        for (const { edge, why } of truth.silent) {
          expect(found.find(({ label }) => label === edgeLabel(edge))?.largest).toBeLessThanOrEqual(truth.tolerance);
          expect(why.length).toBeGreaterThan(20);
        }
      });
    }
  }

  test('names the units at the ends of its edges', () => {
    const [zero, resample] = zooMember('rasp-reverse').truth;
    expect(zero?.nodes.map(unitLabel)).toEqual(['input', '0.0', 'mlp0', 'mlp1', 'mlp2', '3.0', 'logits']);
    expect(resample?.nodes.map(unitLabel)).toEqual(['input', '3.0', 'logits']);
  });
});

describe('the published circuits', () => {
  const labels = (name: string) => zooMember(name).truth.map(({ edges }) => edges.map(edgeLabel).sort());

  test('of reverse: ten edges by zero ablation; by resampling only what carries tokens', () => {
    expect(labels('rasp-reverse')).toEqual([
      [
        '0.0→mlp0',
        '3.0→logits',
        'input→0.0.V',
        'input→3.0.K',
        'input→3.0.V',
        'input→mlp0',
        'input→mlp1',
        'mlp0→mlp1',
        'mlp1→mlp2',
        'mlp2→3.0.Q',
      ],
      ['3.0→logits', 'input→3.0.V'],
    ]);
  });

  test('of the share so far: five edges by zero ablation; resampling does not see queries and keys', () => {
    expect(labels('rasp-frac-prevs')).toEqual([
      ['1.0→logits', 'input→1.0.K', 'input→1.0.Q', 'input→mlp0', 'mlp0→1.0.V'],
      ['1.0→logits', 'input→mlp0', 'mlp0→1.0.V'],
    ]);
  });

  test('of reverse say nothing at the middle if the corrupt prompt is the clean one backwards: it maps to itself', async () => {
    const member = zooMember('rasp-reverse');
    const task = member.task({ seed: 2, examples: 12 });
    for (const at of [1, 2, 3, 4, 5]) {
      const examples = [
        [1, 2, 3, 3, 2],
        [3, 1, 2, 2, 1],
      ].map((input) => ({
        clean: [0, ...input],
        corrupt: [0, ...input.toReversed()],
        answer: input[5 - at] ?? 0,
        wrongAnswer: ((input[5 - at] ?? 0) % 3) + 1,
        positions: { END: at },
      }));
      const data = taskData({ ...task, examples });
      const found = await changes(member, data, { ablation: 'resample', metric: 'logit_diff' });
      const matter = found.filter(({ largest }) => largest > 0).map(({ label }) => label);
      expect(matter).toEqual(at === 3 ? [] : ['input→3.0.V', '3.0→logits']);
    }
  });
});

describe('a metric that is a number', () => {
  test('is the logit difference of its token and BOS, and its changes do not cancel in the root mean square', async () => {
    const member = zooMember('rasp-pair-balance');
    const model = member.model();
    const task = member.task({ seed: 4, examples: 60 });
    const data = taskData(task);
    const measured = await measure(engineFor(model, executor), data, 'logit_diff', [
      [],
      cutEdges([{ from: { kind: 'mlp', layer: 1 }, to: { kind: 'logits', port: 'in' } }], 'zero'),
    ]);
    const program = member.program;
    const says = task.examples.map(({ clean }, at) =>
      Number(program?.evaluate(clean).round_balance?.[data.end[at] ?? 0]),
    );
    rowValues(measured, 0).forEach((value, at) => {
      expect(value).toBeCloseTo(says[at] ?? Number.NaN, 6);
    });
    const meanChange = Math.abs(meanValue(measured, 0) - meanValue(measured, 1));
    expect(rmsChange(measured, 1)).toBeCloseTo(Math.sqrt(says.reduce((sum, x) => sum + x * x, 0) / says.length), 5);
    expect(rmsChange(measured, 1)).toBeGreaterThan(3 * meanChange);
  });
});

describe('an expected failure of attribution', () => {
  for (const member of zooMembers) {
    const failures = (member.expectedFailures ?? []).filter(({ method }) => method === 'attribution');
    const heads = new Map(
      failures
        .flatMap(({ edges }) => edges)
        .map((label) => {
          const [, layer = '', head = ''] = /→(\d+)\.(\d+)\.[QK]$/.exec(label) ?? [];
          return [`${layer}.${head}`, { layer: Number(layer), head: Number(head) }];
        }),
    );
    if (heads.size === 0) continue;
    test(`${member.name}: what ${[...heads.keys()].join(', ')} write has no slope in their scores`, async () => {
      expect(await steepest(member, [...heads.values()])).toBeLessThan(1e-6);
    });
  }
});

/**
 * How far what these heads write can move per unit of any score, at positions from which the metric is read: the largest
 * p(v − z), in float64. Where two keys share the pattern, they hold the same value.
 */
async function steepest(member: ZooMember, heads: readonly { readonly layer: number; readonly head: number }[]) {
  const model = member.model();
  const data = taskData(member.task({ seed: 5, examples: 24 }));
  const engine = engineFor(model, referenceExecutor({ precision: 'f64' }));
  const readouts = heads.flatMap(({ layer, head }) =>
    ['pattern', 'v', 'z'].map((name) => ({
      kind: 'capture' as const,
      at: { site: `blocks.${layer}.attn.hook_${name}`, head: [head] },
    })),
  );
  const run = await runPlan(engine, makePlan(model.graph, { readouts }), data.clean);
  const { pos } = run;
  const width = model.spec.headWidth;
  let steep = 0;
  for (const index of heads.keys()) {
    const [pattern, v, z] = [0, 1, 2].map((part) => readoutTensor(run, 3 * index + part).data);
    for (const [example, query] of data.end.entries()) {
      for (let key = 0; key < pos; key++) {
        const p = pattern?.[(example * pos + query) * pos + key] ?? Number.NaN;
        for (let i = 0; i < width; i++) {
          const value = v?.[(example * pos + key) * width + i] ?? Number.NaN;
          const mixed = z?.[(example * pos + query) * width + i] ?? Number.NaN;
          steep = Math.max(steep, Math.abs(p * (value - mixed)));
        }
      }
    }
  }
  return steep;
}

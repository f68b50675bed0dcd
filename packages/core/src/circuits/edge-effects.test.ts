import { edgeLabel, parseEdgeLabel, type Task } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { decompose, edgesOf } from '../graph/index.ts';
import { makePlan, runPlan } from '../plan/index.ts';
import { attentionOnAnswer } from './attention-on-answer.ts';
import { edgeEffects } from './edge-effects.ts';
import { liveEffect } from './live-effect.ts';
import { ablationValue, cutEdges, meanValue, measure, sourceRuns } from './measure.ts';
import { randomAttentionOnly, randomData, randomGroupedLlama } from './random-model.fixture.ts';
import { taskData } from './task-data.ts';

const ablations = ['zero', 'mean', 'resample'] as const;

describe('the effect of an edge', () => {
  test('is the metric of a plain run minus that of a run with the edge cut, example by example', async () => {
    const { engine } = randomAttentionOnly('LN');
    const data = randomData();
    const edges = edgesOf(decompose(engine.graph));
    for (const ablation of ablations) {
      const runs = await sourceRuns(engine, data, ablation);
      const { effects, clean } = await edgeEffects(engine, data, edges, { ablation, metric: 'logit_diff' });
      const readouts = [
        { kind: 'logitDiff' as const, at: { kind: 'last' as const }, answer: [...data.answer], wrong: [...data.wrong] },
      ];
      const read = async (label: string | null): Promise<number> => {
        const interventions =
          label === null ? [] : [{ kind: 'edge' as const, ...parseEdgeLabel(label), value: ablationValue(ablation) }];
        const result = (
          await runPlan(engine, makePlan(engine.graph, { interventions, readouts }), data.clean, { runs })
        ).results[0];
        if (result?.kind !== 'logitDiff') throw new Error('no logit difference');
        return Array.from(result.tensor.data).reduce((a, b) => a + b, 0) / data.examples;
      };
      const before = await read(null);
      expect(clean).toBeCloseTo(before, 10);
      for (const label of ['input→0.1.V', '0.1→1.0.K', '1.1→logits', 'input→logits']) {
        const found = effects.find(({ edge }) => edgeLabel(edge) === label);
        expect(found?.effect, label).toBeCloseTo(before - (await read(label)), 10);
      }
    }
  });

  test('is positive where the edge helps: the direct path to the logit of the answer', async () => {
    const { engine, model } = randomAttentionOnly(null);
    const data = randomData(8);
    const { effects } = await edgeEffects(engine, data, [parseEdgeLabel('input→logits')], {
      ablation: 'zero',
      metric: 'logit_diff',
    });
    const { width, vocab } = model.spec;
    const [embed, positions, unembed] = ['embed.W_E', 'pos_embed.W_pos', 'unembed.W_U'].map(
      (name) => model.weights.get(name)?.read() ?? [],
    );
    let direct = 0;
    for (let example = 0; example < data.examples; example++) {
      const token = data.clean.tokens[example]?.[5] ?? 0;
      for (let i = 0; i < width; i++) {
        const x = (embed?.[token * width + i] ?? 0) + (positions?.[5 * width + i] ?? 0);
        direct +=
          x *
          ((unembed?.[i * vocab + (data.answer[example] ?? 0)] ?? 0) -
            (unembed?.[i * vocab + (data.wrong[example] ?? 0)] ?? 0));
      }
    }
    expect(effects[0]?.effect).toBeCloseTo(direct / data.examples, 9);
  });

  test('has an interval that covers it in about nine samples of ten, a little less often than it says', async () => {
    const { engine } = randomAttentionOnly(null);
    const edges = ['input→0.0.V', '0.0→1.0.V', '1.1→logits'].map(parseEdgeLabel);
    const options = { ablation: 'zero', metric: 'logit_diff' } as const;
    const cuts = [[], ...edges.map((edge) => cutEdges([edge], 'zero'))];
    const many = await measure(engine, randomData(6000, 99), 'logit_diff', cuts);
    const truth = edges.map((_, index) => meanValue(many, 0) - meanValue(many, index + 1));
    const samples = 40;
    let covered = 0;
    for (let sample = 0; sample < samples; sample++) {
      const { effects } = await edgeEffects(engine, randomData(60, 300 + sample), edges, options);
      effects.forEach(({ interval, n }, index) => {
        const value = truth[index] ?? Number.NaN;
        if (interval && interval[0] <= value && value <= interval[1]) covered++;
        expect(n).toBe(60);
      });
    }
    // About 0.93 over 800 samples. The three edges share examples: 0.82 is some three standard deviations below.
    const share = covered / (samples * edges.length);
    expect(share).toBeGreaterThan(0.82);
    expect(share).toBeLessThan(1);
  });

  test('that is the same in every example has no interval, not one of width zero', async () => {
    const { engine } = randomAttentionOnly(null);
    const data = randomData(6);
    const same = {
      ...data,
      clean: { tokens: data.clean.tokens.map(() => data.clean.tokens[0] ?? []) },
      answer: data.answer.map(() => 1),
      wrong: data.wrong.map(() => 2),
    };
    const { effects } = await edgeEffects(engine, same, [parseEdgeLabel('input→logits')], {
      ablation: 'zero',
      metric: 'logit_diff',
    });
    expect(effects[0]?.interval).toBeNull();
    expect(effects[0]?.effect).not.toBe(0);
  });
});

describe('resampling', () => {
  test('every edge gives the metric of the corrupt prompt', async () => {
    const { engine } = randomAttentionOnly('LN');
    const data = randomData();
    const runs = await sourceRuns(engine, data, 'resample');
    const cut = await measure(engine, data, 'logit_diff', [cutEdges(edgesOf(decompose(engine.graph)), 'resample')], {
      runs,
    });
    const corrupt = await measure(engine, { ...data, clean: data.corrupt }, 'logit_diff', [[]]);
    expect(meanValue(cut, 0)).toBeCloseTo(meanValue(corrupt, 0), 9);
  });
});

describe('a live effect', () => {
  const task: Task = randomData().task;

  test('of cutting nothing is exactly nothing', async () => {
    const { engine } = randomAttentionOnly('LN');
    for (const ablation of ablations) {
      const { before, after } = await liveEffect(engine, task, { edges: [], units: [], ablation });
      expect(after).toBe(before);
    }
  });

  test('of one edge is its edge effect', async () => {
    const { engine } = randomAttentionOnly('LN');
    const edge = parseEdgeLabel('0.1→1.0.V');
    const { before, after, interval, n } = await liveEffect(engine, task, {
      edges: [edge],
      units: [],
      ablation: 'resample',
    });
    const [only] = (await edgeEffects(engine, taskData(task), [edge], { ablation: 'resample', metric: 'logit_diff' }))
      .effects;
    expect(before - after).toBeCloseTo(only?.effect ?? Number.NaN, 12);
    expect(interval).toEqual(only?.interval);
    expect(n).toBe(only?.n);
  });

  test('of a unit is that of all edges that it writes, and of an ablated z', async () => {
    const { engine } = randomAttentionOnly(null);
    const out = edgesOf(decompose(engine.graph)).filter(
      ({ from }) => from.kind === 'head' && from.layer === 0 && from.head === 1,
    );
    expect(out).toHaveLength(7);
    const unit = await liveEffect(engine, task, {
      edges: [],
      units: [{ kind: 'head', layer: 0, head: 1 }],
      ablation: 'zero',
    });
    const edges = await liveEffect(engine, task, { edges: out, units: [], ablation: 'zero' });
    const both = await liveEffect(engine, task, {
      edges: out,
      units: [{ kind: 'head', layer: 0, head: 1 }],
      ablation: 'zero',
    });
    expect(unit.after).toBe(edges.after);
    expect(both.after).toBe(edges.after);
    const zeroed = {
      kind: 'write' as const,
      at: { site: 'blocks.0.attn.hook_z', head: [1] },
      op: 'set' as const,
      value: { kind: 'const' as const, value: 0 },
    };
    expect(meanValue(await measure(engine, taskData(task), 'logit_diff', [[zeroed]]), 0)).toBeCloseTo(unit.after, 10);
  });

  test('of a unit that the model does not have, or that nothing reads, is an error', async () => {
    const { engine } = randomAttentionOnly(null);
    for (const unit of [{ kind: 'head', layer: 7, head: 0 }, { kind: 'logits' }, { kind: 'mlp', layer: 0 }] as const) {
      await expect(liveEffect(engine, task, { edges: [], units: [unit], ablation: 'zero' })).rejects.toMatchObject({
        code: 'unknown_unit',
      });
    }
  });
});

describe('the change of attention on the answer', () => {
  test('of a key that query heads share is their mean', async () => {
    const { engine } = randomGroupedLlama();
    const data = randomData(6);
    const answers = data.clean.tokens.map((tokens) => tokens[2] ?? 0);
    const asked = { ...data, answer: answers };
    const edge = parseEdgeLabel('0.0→1.1.K');
    const changes = await attentionOnAnswer(engine, asked, [edge, parseEdgeLabel('0.0→1.1.V')], 'zero');
    const plan = makePlan(engine.graph, {
      readouts: [{ kind: 'capture', at: { site: 'blocks.1.attn.hook_pattern' } }],
      sweep: [[], cutEdges([edge], 'zero')],
    });
    const result = (await runPlan(engine, plan, data.clean)).results[0];
    if (result?.kind !== 'capture') throw new Error('no pattern');
    const at = (variant: number, example: number, head: number, key: number): number =>
      result.tensor.data[(((variant * 6 + example) * 4 + head) * 6 + 5) * 6 + key] ?? 0;
    let sum = 0;
    data.clean.tokens.forEach((tokens, example) => {
      tokens.forEach((token, key) => {
        if (token === answers[example])
          for (const head of [2, 3]) sum += (at(0, example, head, key) - at(1, example, head, key)) / 12;
      });
    });
    expect([...changes.keys()]).toEqual(['0.0→1.1.K']);
    expect(changes.get('0.0→1.1.K')).toBeCloseTo(sum, 10);
    expect(sum).not.toBe(0);
  });
});

describe('the loss as a metric', () => {
  test('where the prompt ends is refused, as no token follows', async () => {
    const { engine } = randomAttentionOnly(null);
    await expect(measure(engine, randomData(), 'loss', [[]])).rejects.toMatchObject({ code: 'bad_task' });
  });

  test('is lower with a helpful edge, so its effect is negative', async () => {
    const { engine } = randomAttentionOnly(null);
    const { task } = randomData(8);
    const data = taskData({ ...task, metric: { kind: 'loss', at: { kind: 'positions', positions: [3] } } });
    const edges = edgesOf(decompose(engine.graph));
    const { effects, clean } = await edgeEffects(engine, data, edges, { ablation: 'zero', metric: 'loss' });
    const all = meanValue(
      await measure(engine, data, 'loss', [cutEdges([edges[0] ?? parseEdgeLabel('input→0.0.Q')], 'zero')]),
      0,
    );
    expect(effects[0]?.effect).toBeCloseTo(clean - all, 12);
    expect(clean).toBeGreaterThan(0);
  });
});

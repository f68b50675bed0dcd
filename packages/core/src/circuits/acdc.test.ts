import { edgeLabel, parseEdgeLabel, unitLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { engineFor } from '../architectures/index.ts';
import { inductionModel } from '../features/hand-written.fixture.ts';
import { decompose, type Edge, edgesOf } from '../graph/index.ts';
import { chooseNative } from '../kernels/index.ts';
import { nativeExecutor, referenceExecutor } from '../plan/index.ts';
import { Rng } from '../tensor/index.ts';
import { type AcdcOptions, acdc } from './acdc.ts';
import { type AcdcOrder, acdcOrder } from './acdc-order.ts';
import { acdcOrderDependence } from './acdc-order-dependence.ts';
import { acdcOrderFree, orderFreeScores } from './acdc-order-free.ts';
import { acdcSweepScores } from './acdc-sweep-scores.ts';
import { unitsBehind } from './discover.ts';
import { cutEdges, meanValue, measure, sourceRuns } from './measure.ts';
import { harmOf, type SearchMetric } from './measure-harm.ts';
import { headCounts } from './query-heads.ts';
import { randomAttentionOnly, randomData, randomGroupedLlama } from './random-model.fixture.ts';
import { repeatedRandomTask } from './repeated-random-task.ts';
import { taskData } from './task-data.ts';
import { diagonal, tinyModel } from './tiny-model.fixture.ts';

const labels = (edges: readonly Edge[]): string[] => edges.map(edgeLabel).sort();

describe('the order of the search', () => {
  const all = edgesOf(decompose(randomGroupedLlama().model.graph));

  test('holds every edge once, receivers from the logits down, whatever order is given', () => {
    const shuffled = new Rng(3, 'test').shuffle(all);
    for (const order of ['descending', 'ascending', { seed: 1 }, { seed: 2 }] satisfies AcdcOrder[]) {
      const turns = acdcOrder(all, order);
      expect(labels(turns)).toEqual(labels(all));
      expect(acdcOrder(shuffled, order)).toEqual(turns);
      const layers = turns.map(({ to }) => (to.kind === 'logits' ? 9 : to.layer + (to.kind === 'mlp' ? 0.5 : 0)));
      expect(layers).toEqual([...layers].sort((a, b) => b - a));
    }
  });

  test('descending begins with the latest sender and the last head, ascending the other way round', () => {
    const down = acdcOrder(all, 'descending').map(edgeLabel);
    const up = acdcOrder(all, 'ascending').map(edgeLabel);
    expect(down.slice(0, 3)).toEqual(['mlp1→logits', '1.3→logits', '1.2→logits']);
    expect(up.slice(0, 3)).toEqual(['input→logits', '0.0→logits', '0.1→logits']);
    const heads = (list: string[]): string[] => list.filter((label) => /^input→1\.\d\./.test(label));
    expect(heads(down)[0]).toBe('input→1.3.Q');
    expect(heads(down).slice(-1)).toEqual(['input→1.0.Q']);
    expect(heads(up)).toEqual([...heads(down)].reverse());
  });

  test('by seed differs between seeds and not between runs', () => {
    expect(acdcOrder(all, { seed: 1 })).toEqual(acdcOrder(all, { seed: 1 }));
    expect(acdcOrder(all, { seed: 1 })).not.toEqual(acdcOrder(all, { seed: 2 }));
  });
});

describe('harm', () => {
  test('is the metric turned so that more is worse', async () => {
    const { engine } = randomAttentionOnly('LN');
    const data = randomData();
    const variants = [[], cutEdges([parseEdgeLabel('0.1→1.0.V')], 'zero')];
    for (const metric of ['logit_diff', 'accuracy'] as const) {
      const measured = await measure(engine, data, metric, variants);
      const harms = await (await harmOf(engine, data, metric, {}))(variants);
      expect([...harms]).toEqual([-meanValue(measured, 0), -meanValue(measured, 1)]);
    }
  });

  test('as KL is 0 for the whole model, and the divergence of the softmaxes for a changed one', async () => {
    const { engine } = randomAttentionOnly('LN');
    const data = randomData();
    const cut = cutEdges([parseEdgeLabel('1.1→logits')], 'zero');
    const [same, changed] = await (await harmOf(engine, data, 'kl', {}))([[], cut]);
    expect(same).toBe(0);
    let expected = 0;
    const vocab = 11;
    const diffs = async (interventions: typeof cut, token: number): Promise<Float64Array> => {
      const asked = { ...data, answer: data.answer.map(() => token), wrong: data.answer.map(() => 0) };
      return (await measure(engine, asked, 'logit_diff', [interventions])).values;
    };
    const columns = async (interventions: typeof cut): Promise<Float64Array[]> => {
      const out: Float64Array[] = [];
      for (let token = 0; token < vocab; token++) out.push(await diffs(interventions, token));
      return out;
    };
    const [p, q] = [await columns([]), await columns(cut)];
    for (let example = 0; example < data.examples; example++) {
      const norm = (c: Float64Array[]): number =>
        Math.log(c.reduce((sum, col) => sum + Math.exp(col[example] ?? 0), 0));
      const [np, nq] = [norm(p), norm(q)];
      for (let token = 0; token < vocab; token++) {
        const lp = (p[token]?.[example] ?? 0) - np;
        expected += (Math.exp(lp) * (lp - (q[token]?.[example] ?? 0) + nq)) / data.examples;
      }
    }
    expect(expected).toBeGreaterThan(0.01);
    expect(changed).toBeCloseTo(expected, 9);
  });
});

describe('ACDC on a circuit that is known', () => {
  const { engine } = inductionModel(16, 10);
  const data = taskData(repeatedRandomTask({ name: 'induction', vocab: 16, bos: 0, half: 4, seed: 1, examples: 12 }));
  const edges = edgesOf(decompose(engine.graph));
  const positional = ['input→0.0.Q', 'input→0.0.K'];
  const written = [...positional, 'input→0.0.V', '0.0→1.0.K', 'input→1.0.Q', 'input→1.0.V', '1.0→logits'].sort();

  test('finds the written edges among 29 in every order', async () => {
    for (const order of ['descending', 'ascending', { seed: 1 }, { seed: 2 }] satisfies AcdcOrder[]) {
      const found = await acdc(engine, data, edges, { ablation: 'zero', metric: 'accuracy', threshold: 0.05, order });
      expect(labels(found.edges)).toEqual(written);
      expect(found.alone).toBe(found.whole);
    }
  });

  test('under resampling leaves out the edges that carry positions alone', async () => {
    const options = { ablation: 'resample', threshold: 0.01 } as const;
    const content = written.filter((label) => !positional.includes(label));
    const found = await acdc(engine, data, edges, { ...options, metric: 'logit_diff' });
    expect(labels(found.edges)).toEqual(content);
    // The whole distribution also shows the direct path, which raises the logit of the current token.
    const byKl = await acdc(engine, data, edges, { ...options, metric: 'kl' });
    expect(labels(byKl.edges)).toEqual([...content, 'input→logits'].sort());
  });

  test('and without an order finds the same', async () => {
    const options = { ablation: 'zero', metric: 'accuracy', threshold: 0.05 } as const;
    const found = await acdcOrderFree(engine, data, edges, options);
    expect(labels(found.edges)).toEqual(written);
    const shuffled = await acdcOrderFree(engine, data, new Rng(4, 'test').shuffle(edges), options);
    expect(shuffled.steps).toEqual(found.steps);
  });

  test('ranks the written edges above all others by threshold and by place of removal', async () => {
    const options = { ablation: 'zero', metric: 'accuracy' } as const;
    const truth = new Set(written);
    for (const { scores } of [
      await acdcSweepScores(engine, data, edges, { ...options, thresholds: [0.02, 0.1] }),
      await orderFreeScores(engine, data, edges, options),
    ]) {
      const lowest = Math.min(...edges.flatMap((edge, at) => (truth.has(edgeLabel(edge)) ? [scores[at] ?? 0] : [])));
      const others = Math.max(...edges.flatMap((edge, at) => (truth.has(edgeLabel(edge)) ? [] : [scores[at] ?? 0])));
      expect(lowest).toBeGreaterThan(others);
    }
  });
});

describe('asking ahead', () => {
  const cases: [string, { engine: ReturnType<typeof randomAttentionOnly>['engine'] }][] = [
    ['attention only, float64', randomAttentionOnly('LN', 3)],
    ['grouped heads and MLPs, float64', randomGroupedLlama()],
    ['grouped heads and MLPs, float32', { engine: engineFor(randomGroupedLlama(2).model, referenceExecutor()) }],
  ];
  const kinds: Pick<AcdcOptions, 'ablation' | 'metric' | 'bySize'>[] = [
    { ablation: 'zero', metric: 'logit_diff' },
    { ablation: 'mean', metric: 'logit_diff', bySize: true },
    { ablation: 'resample', metric: 'kl' },
  ];
  for (const [name, { engine }] of cases) {
    test(`gives to the bit what asking one by one gives: ${name}`, async () => {
      const data = randomData(4, 4);
      const edges = edgesOf(decompose(engine.graph));
      for (const kind of kinds) {
        const threshold = kind.metric === 'kl' ? 0.02 : 0.05;
        const [one, many] = await Promise.all(
          [1, 16].map((ahead) => acdc(engine, data, edges, { ...kind, threshold, ahead, order: { seed: 5 } })),
        );
        expect(many?.steps).toEqual(one?.steps);
        expect(labels(many?.edges ?? [])).toEqual(labels(one?.edges ?? []));
        expect(one?.forwards).toBe(one?.oneByOne);
        expect(many?.oneByOne).toBe(one?.oneByOne);
        const removed = one?.steps.filter((step) => step.removed).length ?? 0;
        // Both answers came up, so wrong guesses were thrown away.
        expect(removed).toBeGreaterThan(3);
        expect(removed).toBeLessThan(edges.length);
      }
    });
  }

  test('gives the same bits natively', async (context) => {
    const choice = await chooseNative({});
    if (choice.kind === 'missing') return context.skip(`the addon does not load: ${choice.reason}`);
    const engine = engineFor(randomGroupedLlama(2).model, nativeExecutor(choice.addon));
    const data = randomData(4, 4);
    const edges = edgesOf(decompose(engine.graph));
    const options = { ablation: 'resample', metric: 'logit_diff', threshold: 0.05 } as const;
    const one = await acdc(engine, data, edges, { ...options, ahead: 1 });
    const many = await acdc(engine, data, edges, { ...options, ahead: 16 });
    expect(many.steps).toEqual(one.steps);
  });

  test('is the rule written out: cut, compare, keep or restore', async () => {
    const { engine } = randomGroupedLlama();
    const data = randomData(4, 4);
    const edges = edgesOf(decompose(engine.graph));
    const options = { ablation: 'resample', metric: 'logit_diff', threshold: 0.1 } as const;
    const found = await acdc(engine, data, edges, options);
    const runs = await sourceRuns(engine, data, 'resample');
    const score = async (cut: readonly Edge[]): Promise<number> =>
      meanValue(await measure(engine, data, 'logit_diff', [cutEdges(cut, 'resample')], { runs }), 0);
    const counts = headCounts(edges);
    let cut: Edge[] = [];
    let current = await score([]);
    for (const [at, edge] of acdcOrder(edges, 'descending').entries()) {
      const units = edge.to.kind === 'logits' ? null : unitsBehind(edge.to, counts);
      const outgoing = edges.filter(({ from }) => units?.includes(unitLabel(from)));
      const unread = units !== null && outgoing.every((out) => cut.includes(out));
      const after = await score([...cut, edge]);
      const delta = current - after;
      expect(found.steps[at]?.delta).toBeCloseTo(unread ? 0 : delta, 10);
      // What nothing reads has no effect but rounding.
      if (unread) expect(Math.abs(delta)).toBeLessThan(1e-10);
      if (!(unread || delta < 0.1)) continue;
      cut = [...cut, edge];
      current = after;
    }
    expect(labels(found.edges)).toEqual(labels(edges.filter((edge) => !cut.includes(edge))));
    expect(-found.alone).toBeCloseTo(current, 10);
  });
});

describe('edges that were not given', () => {
  test('stay, and keep what they read in use', async () => {
    const { engine } = randomAttentionOnly(null);
    const some = ['0.0→1.0.V', 'input→0.0.V', '0.1→logits'].map(parseEdgeLabel);
    const found = await acdc(engine, randomData(), some, {
      ablation: 'zero',
      metric: 'logit_diff',
      threshold: Number.POSITIVE_INFINITY,
    });
    expect(found.steps.every((step) => step.asked && step.removed)).toBe(true);
    expect(found.edges).toEqual([]);
  });
});

test('a threshold that is no number is refused', async () => {
  const { engine } = randomAttentionOnly(null);
  const options = { ablation: 'zero', metric: 'logit_diff' as SearchMetric, threshold: Number.NaN } as const;
  await expect(acdc(engine, randomData(), [], options)).rejects.toMatchObject({ code: 'bad_threshold' });
});

describe('two heads that do the same', () => {
  // Both attend evenly and copy: either alone names the token that the prompt holds most of.
  const vocab = 4;
  const copy = { v: diagonal(vocab, 1), o: diagonal(vocab, 1, 0, vocab) };
  const { engine } = tinyModel({
    vocab,
    context: 4,
    width: 2 * vocab,
    headWidth: vocab,
    embed: diagonal(vocab, 1),
    unembed: diagonal(vocab, 1, vocab),
    layers: [[copy, copy]],
  });
  const examples = [1, 2, 3].map((answer) => {
    const other = (answer % 3) + 1;
    return {
      clean: [answer, other, answer],
      corrupt: [other, answer, other],
      answer,
      wrongAnswer: other,
    };
  });
  const data = taskData({ kind: 'task', version: 1, name: 'most', metric: { kind: 'accuracy' }, examples });
  const edges = edgesOf(decompose(engine.graph));
  const options = { ablation: 'zero', metric: 'accuracy', threshold: 0.1 } as const;

  test('leave whichever was asked about last, so the order decides', async () => {
    const down = await acdc(engine, data, edges, { ...options, order: 'descending' });
    const up = await acdc(engine, data, edges, { ...options, order: 'ascending' });
    expect(labels(down.edges)).toEqual(['0.0→logits', 'input→0.0.V']);
    expect(labels(up.edges)).toEqual(['0.1→logits', 'input→0.1.V']);
  });

  test('show in the dependence on order: each is kept by some orders and none by all', async () => {
    const seeds = Array.from({ length: 8 }, (_, seed) => seed);
    const { jaccard, kept, always, sometimes, runs } = await acdcOrderDependence(engine, data, edges, {
      ...options,
      seeds,
    });
    expect(runs).toHaveLength(8);
    expect(always).toEqual([]);
    expect(labels(sometimes)).toEqual(['0.0→logits', '0.1→logits', 'input→0.0.V', 'input→0.1.V']);
    const share = (label: string): number => kept[edges.findIndex((edge) => edgeLabel(edge) === label)] ?? 0;
    expect(share('0.0→logits') + share('0.1→logits')).toBe(1);
    expect(jaccard?.smallest).toBe(0);
    expect(jaccard?.mean).toBeLessThan(1);
    expect(jaccard?.pairs).toBe(28);
  });

  test('leave one without an order too, the same whatever order is given', async () => {
    const found = await acdcOrderFree(engine, data, edges, options);
    expect(labels(found.edges)).toEqual(['0.1→logits', 'input→0.1.V']);
    expect(labels((await acdcOrderFree(engine, data, [...edges].reverse(), options)).edges)).toEqual(
      labels(found.edges),
    );
    expect(found.forwards).toBeLessThanOrEqual(1 + (edges.length * (edges.length + 1)) / 2);
  });
});

import type { ComparedScore } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { engineFor } from '../architectures/index.ts';
import { taskData } from '../circuits/index.ts';
import { randomAttentionOnly } from '../circuits/random-model.fixture.ts';
import { referenceExecutor } from '../plan/index.ts';
import { Rng } from '../tensor/index.ts';
import { behaviourNames, behaviourTask } from './behaviours.ts';
import { compareModels } from './compare-models.ts';
import { disguised } from './disguised-model.fixture.ts';
import { measureHeadRoles } from './head-roles.ts';
import { matchHeads } from './match-heads.ts';
import { type RoleGraph, rewired, roleGraph, weightedJaccard } from './role-graph.ts';
import { controlNull, meanOverPairs, nullOf, perModel, type Unit } from './score-over-models.ts';
import { universalityRule, universalityVerdict } from './universality-rule.ts';
import { inductionInitialiser, untrainedModel } from './untrained-model.ts';

const provenance = { tool: 'circuitscope', toolVersion: '0', numericsVersion: '0' };

describe('a model against itself in other clothes', () => {
  test.each([1, 2, 3])('gives back the order of its heads, every one of them, draw %i', async (seed) => {
    const { model, engine } = randomAttentionOnly(null, seed);
    const { model: other, order } = await disguised(model, seed);
    const options = { seed: 5, examples: 16 };
    const [a, b] = [
      await measureHeadRoles(engine, model, options),
      await measureHeadRoles(engineFor(other, referenceExecutor({ precision: 'f64' })), other, options),
    ];
    const expected = order.flatMap((heads, layer) => heads.map((head) => layer * heads.length + head));
    for (const withAblation of [true, false]) expect(matchHeads(b.heads, a.heads, withAblation)).toEqual(expected);
    a.heads.forEach((head, at) => {
      const there = b.heads[expected.indexOf(at)];
      head.roles.forEach((value, role) => {
        expect(there?.roles[role]).toBeCloseTo(value, 4);
      });
    });
    expect(weightedJaccard(await roleGraph(other), await roleGraph(model), expected)).toBeCloseTo(1, 4);
  });

  test('is compared as equal in roles, effects and edges, and no disguise helps an untrained model to the behaviour', async () => {
    const { model } = randomAttentionOnly(null, 4);
    const copies = await Promise.all([1, 2, 3].map((seed) => disguised(model, seed)));
    const models = copies.map((copy, at) => ({ id: `copy ${at + 1}`, model: copy.model }));
    const comparison = await compareModels({
      name: 'copies',
      groups: [{ name: 'toy', models, tokens: {}, initialiser: inductionInitialiser }],
      executor: referenceExecutor({ precision: 'f64' }),
      seed: 1,
      examples: 8,
      untrained: 3,
      draws: 49,
      questions: 9,
      provenance,
    });
    const value = (score: ComparedScore) => comparison.scores.find((one) => one.score === score)?.estimate.value;
    for (const score of ['roles', 'causal', 'edges'] as const) expect(value(score)).toBeCloseTo(1, 3);
    expect(comparison.similarities[0]?.estimate.value).toBeCloseTo(1, 6);
    expect(comparison.verdict.outcome).toBe('none');
    expect(comparison.models.map(({ as }) => as)).toEqual([...Array(3).fill('subject'), ...Array(3).fill('control')]);
    expect(comparison.pairs).toHaveLength(3);
  }, 60_000);
});

describe('behaviours', () => {
  const size = { vocab: 40, context: 32 };
  test.each(behaviourNames)(
    '%s: the same for the same seed, the answer where it says, nothing repeats in the corrupt prompt',
    (name) => {
      const task = behaviourTask(name, size, { seed: 3, examples: 40, bos: 0 });
      expect(task).toEqual(behaviourTask(name, size, { seed: 3, examples: 40, bos: 0 }));
      expect(taskData(task).examples).toBe(40);
      for (const { clean, corrupt, answer, wrongAnswer, positions = {} } of task.examples) {
        const { END = -1, TARGET = -1, OFFSET = -1 } = positions;
        expect(END).toBe(clean.length - 1);
        expect(clean[TARGET]).toBe(answer);
        expect(clean).toContain(wrongAnswer);
        expect(new Set(corrupt).size).toBe(corrupt.length);
        const current = clean[END] as number;
        const earlier = clean.indexOf(current);
        const repeats = ['copy', 'shuffled', 'once', 'duplicate'].includes(name);
        expect(earlier < END).toBe(repeats);
        if (['copy', 'shuffled', 'once'].includes(name)) {
          expect(TARGET).toBe(earlier + 1);
          // The question would be ambiguous if the current token stood twice before.
          expect(clean.lastIndexOf(current, END - 1)).toBe(earlier);
        }
        expect(TARGET === OFFSET).toBe(name !== 'shuffled');
      }
    },
  );

  test('a vocabulary that is too small for the question is an error', () => {
    expect(() => behaviourTask('copy', { vocab: 5, context: 32 }, { seed: 1, examples: 2 })).toThrow(
      expect.objectContaining({ code: 'too_few' }),
    );
  });
});

describe('role graphs', () => {
  const graph = (heads: number, layers: readonly number[], fill: (at: number) => number): RoleGraph => ({
    heads,
    layers,
    weights: Float64Array.from({ length: heads * heads * 3 }, (_, at) => {
      const [from, to] = [Math.floor(at / 3 / heads), Math.floor(at / 3) % heads];
      return (layers[from] as number) < (layers[to] as number) ? fill(at) : 0;
    }),
  });
  const rng = new Rng(1, 'test');
  const a = graph(5, [0, 0, 1, 1, 2], () => rng.float());

  test('rewiring keeps what each head sends and reads, and never reaches back', () => {
    const other = rewired(a, new Rng(2, 'test'));
    const sums = (weights: Float64Array, of: (from: number, to: number) => number) => {
      const out = new Float64Array(5);
      weights.forEach((value, at) => {
        const head = of(Math.floor(at / 15), Math.floor(at / 3) % 5);
        out[head] = (out[head] as number) + value;
      });
      return [...out];
    };
    for (const end of [(from: number) => from, (_: number, to: number) => to])
      expect(sums(other.weights, end)).toEqual(sums(a.weights, end).map((value) => expect.closeTo(value, 10)));
    other.weights.forEach((value, at) => {
      expect(value).toBeGreaterThanOrEqual(0);
      if (a.layers[Math.floor(at / 15)] === a.layers[Math.floor(at / 3) % 5]) expect(value).toBe(0);
    });
    expect(weightedJaccard(a, other, [0, 1, 2, 3, 4])).toBeLessThan(0.9);
  });

  test('the Jaccard of a graph with itself is 1, renamed 1, with nothing 0, and a head without a partner costs its edges on both sides', () => {
    const same = [0, 1, 2, 3, 4];
    expect(weightedJaccard(a, a, same)).toBe(1);
    const empty = graph(5, a.layers, () => 0);
    expect(weightedJaccard(a, empty, same)).toBe(0);
    expect(weightedJaccard(empty, empty, same)).toBe(0);
    const total = a.weights.reduce((sum, value) => sum + value, 0);
    const last = a.weights.reduce((sum, value, at) => sum + (Math.floor(at / 3) % 5 === 4 ? value : 0), 0);
    expect(weightedJaccard(a, a, [0, 1, 2, 3, -1])).toBeCloseTo((total - last) / (total + last), 12);
  });
});

describe('scores over models', () => {
  const units = (count: number, group = 'g'): Unit[] =>
    Array.from({ length: count }, (_, at) => ({ id: `${group}${at}`, group }));

  test('draw models, not pairs: one odd model of eight widens the interval by all its pairs', () => {
    const odd = meanOverPairs(units(8), 'within', (i, j) => (i === 0 || j === 0 ? 0 : 1), 1);
    expect(odd.value).toBeCloseTo(21 / 28, 12);
    expect(odd.n).toBe(8);
    expect((odd.interval?.[1] ?? 0) - (odd.interval?.[0] ?? 0)).toBeGreaterThan(0.3);
    expect(perModel(units(8), 'within', (i, j) => (i === 0 || j === 0 ? 0 : 1)).map(({ value }) => value)).toEqual([
      0,
      ...Array(7).fill(6 / 7),
    ]);
  });

  test('between groups only pairs of different groups count', () => {
    const both = [...units(2, 'a'), ...units(3, 'b')];
    expect(meanOverPairs(both, 'between', (i, j) => (i < 2 === j < 2 ? 100 : 0.5), 1).value).toBe(0.5);
  });

  test('p is never 0 and never below what the number of models allows', () => {
    const clear = controlNull(
      'untrained',
      units(2),
      units(8).map(({ id }) => ({ id: `c${id}`, group: 'g' })),
      'within',
      (i, j) => (i < 2 && j < 2 ? 1 : 0),
      { seed: 1, draws: 2000 },
    );
    // One of C(10, 2) = 45 ways to choose the two.
    expect(clear.p).toBeGreaterThan(0.012);
    expect(clear.p).toBeLessThan(0.035);
    expect(nullOf('x', 'x', 5, [1, 2, 3]).p).toBe(0.25);
  });

  test('models that are all alike are told from controls about as often as alpha says', () => {
    const rng = new Rng(7, 'test');
    let rejected = 0;
    const trials = 300;
    for (let trial = 0; trial < trials; trial++) {
      const table = Float64Array.from({ length: 64 }, () => rng.float());
      const score = (i: number, j: number) => table[Math.min(i, j) * 8 + Math.max(i, j)] as number;
      const { p } = controlNull('c', units(4), units(4), 'within', score, { seed: trial, draws: 99 });
      if (p <= 0.1) rejected += 1;
    }
    expect(rejected / trials).toBeGreaterThan(0.05);
    expect(rejected / trials).toBeLessThan(0.15);
  });
});

describe('the verdict', () => {
  const all: readonly ComparedScore[] = ['functional', 'roles', 'causal', 'edges'];
  const scoresFor = (passing: readonly ComparedScore[]) =>
    universalityRule.scores.map(({ score, nulls }) => ({
      score,
      estimate: { value: passing.includes(score) ? 1 : 0 },
      nulls: nulls.map((kind) => ({ kind, what: '', mean: 0, sd: 1, p: 0.01, n: 99 })),
      missing: [],
    }));

  test.each(
    Array.from({ length: 16 }, (_, bits) => all.filter((_, at) => (bits >> at) & 1)).map((passing) => {
      const has = (score: ComparedScore) => passing.includes(score);
      const weak = has('functional') && has('roles') && has('causal');
      const outcome = weak ? (has('edges') ? 'strong' : 'weak') : has('functional') ? 'functional' : 'none';
      return [passing.join(', ') || 'nothing', outcome, passing] as const;
    }),
  )('where %s passes is %s', (_, outcome, passing) => {
    expect(universalityVerdict(scoresFor(passing)).outcome).toBe(outcome);
  });

  test('asks the low end of the interval, every null of the rule, and excuses only a null that cannot be drawn', () => {
    const change = (score: ComparedScore, with_: object) =>
      scoresFor(all).map((one) => (one.score === score ? { ...one, ...with_ } : one));
    expect(universalityVerdict(change('edges', { estimate: { value: 0.9, interval: [0.4, 1] } })).outcome).toBe('weak');
    expect(universalityVerdict(change('causal', { nulls: [] })).outcome).toBe('functional');
    const untrained = [{ kind: 'untrained', what: '', mean: 0, sd: 1, p: 0.01, n: 99 }];
    const rewiredAlone = [...untrained, { ...(untrained[0] as (typeof untrained)[0]), kind: 'rewired' }];
    expect(universalityVerdict(change('edges', { nulls: rewiredAlone })).outcome).toBe('weak');
    const missing = [{ kind: 'permuted_roles', reason: 'one head per layer' }];
    expect(universalityVerdict(change('edges', { nulls: rewiredAlone, missing })).outcome).toBe('strong');
    expect(universalityVerdict(change('roles', { nulls: [{ ...untrained[0], p: 0.2 }] })).criteria[1]).toEqual({
      score: 'roles',
      passed: false,
      reasons: ['untrained gives as much with p 0.200'],
    });
  });
});

test('an untrained model has the shape of the trained one, its deviations, and other numbers for another seed', () => {
  const { model } = randomAttentionOnly('LN', 1);
  const [one, two] = [1, 2].map((seed) => untrainedModel(model, { deviations: { 'embed.W_E': 3 } }, seed));
  const stored = (name: string, of = one) => of?.checkpoint.tensors.get(name)?.data ?? new Float32Array();
  expect(one?.spec).toMatchObject({ layers: 2, heads: 2, width: 12 });
  const deviation = (data: ArrayLike<number>) =>
    Math.sqrt(Array.from(data).reduce((sum, value) => sum + value * value, 0) / data.length);
  expect(deviation(stored('embed.W_E'))).toBeGreaterThan(2.2);
  expect(deviation(stored('blocks.0.attn.W_Q'))).toBeLessThan(0.5);
  expect([...stored('blocks.0.ln1.w')]).toEqual(Array(12).fill(1));
  expect([...stored('blocks.0.ln1.b'), ...stored('blocks.0.attn.b_Q')]).toEqual(Array(18).fill(0));
  expect(stored('unembed.W_U')).not.toEqual(stored('unembed.W_U', two));
});

import {
  chooseExecutor,
  engineFor,
  makePlan,
  partScope,
  readoutTensor,
  referenceExecutor,
  runPlan,
} from '@circuitscope/core';
import { describe, expect, test } from 'vitest';
import { modularAddition, modularAddition13, modularAddition113 } from './modular-addition.ts';
import type { ZooMember } from './zoo-member.ts';

const { executor } = await chooseExecutor();

/** Logits of all sums for all pairs a, b: [a·p + b][c]. */
async function logitsOf(member: ZooMember, p: number, precision: 'f32' | 'f64' = 'f32'): Promise<number[][]> {
  const model = member.model();
  const tokens = Array.from({ length: p * p }, (_, at) => [p + 1, Math.floor(at / p), at % p, p]);
  const plan = makePlan(model.graph, {
    readouts: [
      { kind: 'capture', at: { site: 'logits', at: { kind: 'last' }, unit: Array.from({ length: p }, (_, c) => c) } },
    ],
  });
  const engine = engineFor(model, precision === 'f64' ? referenceExecutor({ precision }) : executor);
  const { data } = readoutTensor(await runPlan(engine, plan, { tokens }), 0);
  return tokens.map((_, row) => [...data.subarray(row * p, (row + 1) * p)]);
}

const wave = (p: number, frequencies: readonly number[], difference: number): number =>
  frequencies.reduce((sum, k) => sum + Math.cos((2 * Math.PI * ((k * difference) % p)) / p), 0);

describe('addition modulo 113 by five waves', () => {
  test('is right for all 12,769 pairs, at 5 for the answer and 2.590 for the next, 2.410 behind', async () => {
    const logits = await logitsOf(modularAddition113, 113);
    expect(logits).toHaveLength(12_769);
    let [lowestTop, highestNext, right] = [Number.POSITIVE_INFINITY, 0, 0];
    for (const [at, row] of logits.entries()) {
      const answer = (Math.floor(at / 113) + (at % 113)) % 113;
      const next = row.reduce(
        (most, value, c) => (c === answer ? most : Math.max(most, value)),
        Number.NEGATIVE_INFINITY,
      );
      const top = row[answer] ?? Number.NaN;
      if (top > next) right++;
      lowestTop = Math.min(lowestTop, top);
      highestNext = Math.max(highestNext, next);
    }
    expect(right).toBe(12_769);
    expect(lowestTop).toBeCloseTo(5, 4);
    expect(highestNext).toBeCloseTo(2.59, 3);
    expect(lowestTop - highestNext).toBeCloseTo(2.41, 3);
  });

  test('needs its frequencies: the lead is 0.0015 with one, 0.045 with two, 0.671 with three', async () => {
    const lead = async (frequencies: readonly number[]): Promise<number> => {
      const member = modularAddition({ name: 'few-waves', p: 113, frequencies });
      const model = member.model();
      const plan = makePlan(model.graph, { readouts: [{ kind: 'topK', at: { kind: 'last' }, k: 2 }] });
      const run = await runPlan(engineFor(model, referenceExecutor({ precision: 'f64' })), plan, {
        tokens: [[114, 17, 80, 113]],
      });
      const { data } = readoutTensor(run, 0);
      return (data[0] ?? 0) - (data[1] ?? 0);
    };
    expect(await lead([14])).toBeCloseTo(0.0015, 4);
    expect(await lead([14, 35])).toBeCloseTo(0.045, 3);
    expect(await lead([14, 35, 41])).toBeCloseTo(0.671, 3);
  });
});

describe('addition modulo 13', () => {
  test('has the logit Σ cos w(a + b − c) for every a, b and c, to the rounding of its weights', async () => {
    const logits = await logitsOf(modularAddition13, 13, 'f64');
    logits.forEach((row, at) => {
      row.forEach((value, c) => {
        const difference = Math.floor(at / 13) + (at % 13) - c;
        expect(Math.abs(value - wave(13, [1, 3, 4], difference + 13))).toBeLessThan(1e-6);
      });
    });
  });

  test('has a causal model that says the sum, and follows what it is told of a and b', () => {
    const program = modularAddition13.program;
    expect(program?.evaluate([14, 9, 8, 13])).toMatchObject({ a: [null, null, null, 9], sum: [null, null, null, 4] });
    expect(program?.evaluate([14, 9, 8, 13], { a: [undefined, undefined, undefined, 1] }).sum?.[3]).toBe(9);
    expect(() => program?.evaluate([9, 8])).toThrow(expect.objectContaining({ code: 'bad_prompt' }));
  });

  test('carries a, b and the sum where its alignment says', async () => {
    const model = modularAddition13.model();
    const engine = engineFor(model, executor);
    const [base, other] = [
      [14, 9, 8, 13],
      [14, 2, 5, 13],
    ];
    const sites = ['hook_embed', 'blocks.0.hook_attn_out', 'blocks.0.hook_mlp_out'];
    const capture = makePlan(model.graph, { readouts: sites.map((site) => ({ kind: 'capture', at: { site } })) });
    const source = await runPlan(engine, capture, { tokens: [other] });
    for (const [name, part] of Object.entries(modularAddition13.alignment ?? {})) {
      const plan = makePlan(model.graph, {
        interventions: [
          {
            kind: 'write',
            at: partScope(part),
            op: 'set',
            value: { kind: 'run', name: 'source' },
          },
        ],
        readouts: [{ kind: 'topK', at: { kind: 'last' }, k: 1 }],
      });
      const run = await runPlan(engine, plan, { tokens: [base] }, { runs: new Map([['source', source]]) });
      const [result] = run.results;
      const from = modularAddition13.program?.evaluate(other)[name] ?? [];
      const says = modularAddition13.program?.evaluate(base, { [name]: from }).sum?.[3];
      expect(result?.kind === 'topK' ? result.indices.data[0] : null, name).toBe(says);
      expect(says).not.toBe(4);
    }
  });
});

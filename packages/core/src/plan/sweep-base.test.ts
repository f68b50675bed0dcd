import type { Intervention, Pos, Readout, Scope } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import type { Model } from '../architectures/index.ts';
import { listSites } from '../graph/index.ts';
import { Rng } from '../tensor/index.ts';
import { chooseExecutor } from './choose-executor.ts';
import { randomTokens, smallModelNames, smallModels } from './fixtures/small-models.ts';
import { referenceExecutor } from './reference-executor.ts';
import { type Run, readoutTensor } from './run.ts';
import { type Engine, makePlan, runPlan } from './run-plan.ts';
import { bucketsOf } from './sweep-base.ts';

const BATCH = 3;
const LENGTH = 9;
const ends = [8, 6, 7];

/** Right-padded prompts, so that examples end at different positions. */
const mask = ends.map((end) => Array.from({ length: LENGTH }, (_, at) => (at <= end ? 1 : 0)));
const prompt = { tokens: randomTokens(5, BATCH, LENGTH), mask };
const other = { tokens: randomTokens(6, BATCH, LENGTH), mask };
const readouts: Readout[] = [
  { kind: 'logitDiff', at: { kind: 'last' }, answer: [1, 2, 3], wrong: [4, 5, 6] },
  { kind: 'topK', at: { kind: 'perExample', positions: ends }, k: 3 },
];

/** A change at some positions of a random site, at the end of the text at the latest where the readouts are. */
function randomChange(model: Model, rng: Rng): Intervention | null {
  const sites = listSites(model.graph).filter(({ site, shape }) => shape.length > 2 && site !== 'logits');
  const { site, shape } = sites[rng.below(sites.length)] ?? { site: '', shape: [] };
  const square = shape[2] === 'pos';
  const at: Pos = [
    { kind: 'positions' as const, positions: [rng.below(7)] },
    { kind: 'perExample' as const, positions: ends.map((end) => rng.below(end + 1)) },
    { kind: 'last' as const },
  ][rng.below(3)] ?? { kind: 'last' };
  const heads = square ? shape[1] : shape.length === 4 ? shape[2] : undefined;
  const scope: Scope = {
    site,
    ...(rng.below(5) === 0 ? {} : { at }),
    ...(typeof heads === 'number' && rng.below(2) === 0 ? { head: [rng.below(heads)] } : {}),
  };
  // A pattern of another prompt keeps what lies above its diagonal at 0.
  if (rng.below(3) > 0) return { kind: 'write', at: scope, op: 'set', value: { kind: 'run', name: 'other' } };
  if (square) return null;
  return { kind: 'write', at: scope, op: 'scale', value: { kind: 'const', value: 0.5 } };
}

async function engineOf(model: Model, exact = false): Promise<Engine> {
  const executor = exact ? referenceExecutor({ precision: 'f64' }) : (await chooseExecutor()).executor;
  return { graph: model.graph, weights: model.weights, executor };
}

const rowsOf = (run: Run): unknown[] =>
  run.results.map((result, at) =>
    result.kind === 'topK' ? [result.values.data, result.indices.data] : readoutTensor(run, at).data,
  );

describe('a sweep that reads single positions', () => {
  for (const name of smallModelNames) {
    test(`${name}: has the bits of its variants run alone, whatever they change and wherever`, async () => {
      const model = smallModels[name]();
      const engine = await engineOf(model);
      const captures = listSites(model.graph).map(({ site }) => ({ kind: 'capture' as const, at: { site } }));
      const runs = new Map([['other', await runPlan(engine, makePlan(model.graph, { readouts: captures }), other)]]);
      const rng = new Rng(11, `sweep-base ${name}`);
      const sweep: Intervention[][] = [[]];
      while (sweep.length < 60) {
        const list = Array.from({ length: 1 + rng.below(2) }, () => randomChange(model, rng)).filter(
          (one) => one !== null,
        );
        if (list.length > 0) sweep.push(list);
      }
      const swept = await runPlan(engine, makePlan(model.graph, { readouts, sweep }), prompt, { runs });
      for (const [variant, interventions] of sweep.entries()) {
        const alone = await runPlan(engine, makePlan(model.graph, { readouts, interventions }), prompt, { runs });
        const [values, top] = rowsOf(alone);
        const [sweptValues, sweptTop] = swept.results;
        const label = JSON.stringify(interventions);
        if (sweptTop?.kind !== 'topK' || sweptValues?.kind !== 'logitDiff') throw new Error('other readouts');
        expect(sweptValues.tensor.data.subarray(variant * BATCH, (variant + 1) * BATCH), label).toEqual(values);
        const wide = BATCH * 3;
        expect(
          [
            sweptTop.values.data.subarray(variant * wide, (variant + 1) * wide),
            sweptTop.indices.data.subarray(variant * wide, (variant + 1) * wide),
          ],
          label,
        ).toEqual(top);
      }
    });
  }

  test('computes neither what lies before its changes nor the model once per variant', async () => {
    const model = smallModels.gpt2();
    const engine = await engineOf(model, true);
    const late = Array.from({ length: 4 }, (_, at): Intervention[] => [
      {
        kind: 'write',
        at: { site: 'blocks.1.hook_mlp_out', at: { kind: 'positions', positions: [8 - (at % 2)] } },
        op: 'scale',
        value: { kind: 'const', value: at },
      },
    ]);
    const whole = { tokens: prompt.tokens };
    const [read] = readouts;
    if (!read) throw new Error('no readout');
    const alone = await runPlan(engine, makePlan(model.graph, { readouts: [read] }), whole);
    const swept = await runPlan(engine, makePlan(model.graph, { readouts: [read], sweep: late }), whole);
    // One run for all, and two columns of the unembedding for each.
    expect(swept.multiplyAdds - alone.multiplyAdds).toBeLessThan(0.02 * alone.multiplyAdds);
  });

  test('computes everything where keeping it takes too much memory, to the same bits', async () => {
    const model = smallModels.llama();
    const engine = await engineOf(model);
    const sites = ['hook_resid_pre', 'attn.hook_q', 'attn.hook_k', 'attn.hook_z', 'hook_mlp_out', 'mlp.hook_post'];
    const at = { kind: 'positions' as const, positions: [5] };
    const sweep = [0, 1].flatMap((layer) =>
      sites.map((site): Intervention[] => [
        { kind: 'write', at: { site: `blocks.${layer}.${site}`, at }, op: 'scale', value: { kind: 'const', value: 2 } },
      ]),
    );
    const plan = makePlan(model.graph, { readouts, sweep });
    const kept = await runPlan(engine, plan, { tokens: prompt.tokens });
    const scarce = await runPlan(engine, plan, { tokens: prompt.tokens }, { memoryBytes: 60_000 });
    expect(rowsOf(scarce)).toEqual(rowsOf(kept));
    expect(scarce.multiplyAdds).toBeGreaterThan(kept.multiplyAdds);
  });
});

test('variants that first change near positions are run together, the latest first', () => {
  expect(bucketsOf([3, 9, 3, 0], 1, 10)).toEqual([{ past: 0, members: [1, 0, 2, 3] }]);
  const firsts = Array.from({ length: 20 }, (_, at) => at);
  const buckets = bucketsOf(firsts, 16, 20);
  expect(buckets.flatMap(({ members }) => members).sort((a, b) => a - b)).toEqual(firsts);
  for (const { past, members } of buckets) expect(Math.min(...members)).toBe(past);
  expect(buckets.length).toBeGreaterThan(4);
  expect(bucketsOf([5, 5, 5], 1000, 10)).toHaveLength(1);
});

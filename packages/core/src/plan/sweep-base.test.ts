import {
  CircuitscopeError,
  type Intervention,
  type Pos,
  type Readout,
  type Scope,
  type Value,
} from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import type { Model } from '../architectures/index.ts';
import { decompose, edgesOf, listSites } from '../graph/index.ts';
import { type Floats, Rng } from '../tensor/index.ts';
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
/** Begins as the prompt does, so that what edges carry from it is nothing new at first. */
const other = {
  tokens: randomTokens(6, BATCH, LENGTH).map((row, at) =>
    row.map((id, pos) => (pos < 3 ? (prompt.tokens[at]?.[pos] ?? id) : id)),
  ),
  mask,
};
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

/** An edge that is cut, or carries what it does in the other run; none where the stream is no sum of what units write. */
function randomEdges(model: Model, rng: Rng, count: number): Intervention[] {
  const decomposition = decompose(model.graph);
  if (!decomposition.exactSum) return [];
  const edges = edgesOf(decomposition);
  return Array.from({ length: count }, () => {
    const edge = edges[rng.below(edges.length)];
    if (!edge) throw new Error('a model without edges');
    const value =
      rng.below(4) === 0 ? ({ kind: 'const', value: 0 } as const) : ({ kind: 'run', name: 'other' } as const);
    return { kind: 'edge', ...edge, value };
  });
}

function randomWeightEdit(model: Model, rng: Rng): Intervention {
  const { name } = model.graph.params[rng.below(model.graph.params.length)] ?? { name: '' };
  return { kind: 'weight', param: name, op: 'scale', value: { kind: 'const', value: 0.75 } };
}

/** The numbers of each readout of one variant of a sweep, or of a plan alone. */
function numbersOf(run: Run, variant = 0): unknown[] {
  const count = run.variants ?? 1;
  const part = <T extends Floats | Int32Array>(data: T): T =>
    data.subarray((variant * data.length) / count, ((variant + 1) * data.length) / count) as T;
  return run.results.map((result, at) =>
    result.kind === 'topK' ? [part(result.values.data), part(result.indices.data)] : part(readoutTensor(run, at).data),
  );
}

const rowsOf = (run: Run): unknown[] =>
  run.results.map((result, at) =>
    result.kind === 'topK' ? [result.values.data, result.indices.data] : readoutTensor(run, at).data,
  );

/** Whether the changes make a plan: some readout can tell that they were made, and they do not contradict each other. */
async function reaches(
  engine: Engine,
  reads: readonly Readout[],
  interventions: readonly Intervention[],
  runs: ReadonlyMap<string, Run>,
): Promise<boolean> {
  try {
    await runPlan(engine, makePlan(engine.graph, { readouts: reads, interventions }), prompt, { runs });
    return true;
  } catch (error) {
    if (error instanceof CircuitscopeError && (error.code === 'never_fires' || error.code === 'shared_norm'))
      return false;
    throw error;
  }
}

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

  const statistics: Readout[] = [
    ...readouts,
    { kind: 'rank', at: { kind: 'perExample', positions: ends }, answer: [7, 8, 9] },
    { kind: 'entropy', at: { kind: 'last' } },
    { kind: 'kl', at: { kind: 'last' }, run: 'other' },
  ];
  const wide: Readout[] = [
    { kind: 'loss' },
    { kind: 'capture', at: { site: 'blocks.0.hook_resid_post' } },
    { kind: 'capture', at: { site: 'blocks.1.hook_resid_post', at: { kind: 'positions', positions: [4] } } },
  ];
  const makers: { readonly [what: string]: (model: Model, rng: Rng) => (Intervention | null)[] } = {
    'edges from another run': (model, rng) =>
      randomEdges(model, rng, 1 + rng.below(2)).map(
        (edge) => ({ ...edge, value: { kind: 'run', name: 'other' } }) as Intervention,
      ),
    'edges of all kinds and writes': (model, rng) => [...randomEdges(model, rng, 1), randomChange(model, rng)],
    'edited weights and writes': (model, rng) => [
      randomWeightEdit(model, rng),
      ...(rng.below(2) ? [randomChange(model, rng)] : []),
    ],
  };
  for (const [what, make] of Object.entries(makers)) {
    for (const name of smallModelNames) {
      for (const [which, reads] of [
        ['chosen places', statistics],
        ['every place', wide],
      ] as const) {
        test(`${name}, ${what}, read at ${which}: has the bits of its variants run alone`, async () => {
          const model = smallModels[name]();
          const engine = await engineOf(model);
          const known = new Set(listSites(model.graph).map(({ site }) => site));
          const some = reads.filter((one) => one.kind !== 'capture' || known.has(one.at.site));
          const captures = [...known].map((site) => ({ kind: 'capture' as const, at: { site } }));
          const runs = new Map([
            ['other', await runPlan(engine, makePlan(model.graph, { readouts: captures }), other)],
          ]);
          const rng = new Rng(13, `sweep-base ${what} ${name}`);
          const lists = Array.from({ length: 25 }, () => make(model, rng).filter((one) => one !== null));
          const fires = await Promise.all(lists.map((list) => reaches(engine, some, list, runs)));
          const sweep = [[], ...lists.filter((list, at) => list.length > 0 && fires[at])];
          const swept = await runPlan(engine, makePlan(model.graph, { readouts: some, sweep }), prompt, { runs });
          for (const [variant, interventions] of sweep.entries()) {
            const alone = await runPlan(engine, makePlan(model.graph, { readouts: some, interventions }), prompt, {
              runs,
            });
            expect(numbersOf(swept, variant), JSON.stringify(interventions)).toEqual(numbersOf(alone));
          }
        });
      }
    }
  }

  test('edges from a prompt that begins alike are computed from where it differs', async () => {
    const model = smallModels.gpt2();
    const engine = await engineOf(model, true);
    const [read] = readouts;
    if (!read) throw new Error('no readout');
    const late = { tokens: prompt.tokens.map((row) => row.map((id, at) => (at < 7 ? id : (id + 1) % 11))) };
    const captures = listSites(model.graph).map(({ site }) => ({ kind: 'capture' as const, at: { site } }));
    const runs = new Map([['other', await runPlan(engine, makePlan(model.graph, { readouts: captures }), late)]]);
    const whole = { tokens: prompt.tokens };
    const sweepOf = (value: Value): Intervention[][] =>
      edgesOf(decompose(model.graph)).map((edge) => [{ kind: 'edge', ...edge, value }]);
    const run = await runPlan(
      engine,
      makePlan(model.graph, { readouts: [read], sweep: sweepOf({ kind: 'run', name: 'other' }) }),
      whole,
      { runs },
    );
    const cut = await runPlan(
      engine,
      makePlan(model.graph, { readouts: [read], sweep: sweepOf({ kind: 'const', value: 0 }) }),
      whole,
    );
    // Two of nine positions, and what keys and values of the others there are.
    expect(run.multiplyAdds).toBeLessThan(0.4 * cut.multiplyAdds);
  });

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
    const stream: Readout = { kind: 'capture', at: { site: 'blocks.1.hook_resid_post' } };
    const alone = await runPlan(engine, makePlan(model.graph, { readouts: [stream] }), whole);
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

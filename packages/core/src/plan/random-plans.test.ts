import {
  CircuitscopeError,
  type Intervention,
  type Pos,
  type Readout,
  type Scope,
  type Value,
} from '@circuitscope/schema';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { engineFor, type Model } from '../architectures/index.ts';
import { decompose, edgesOf, type Graph, listSites } from '../graph/index.ts';
import { chooseNative } from '../kernels/index.ts';
import { digestTensor, type Tensor } from '../tensor/index.ts';
import type { Executor } from './executor.ts';
import { randomTensor, randomTokens, smallModelNames, smallModels } from './fixtures/small-models.ts';
import { nativeExecutor } from './native-executor.ts';
import { referenceExecutor } from './reference-executor.ts';
import { type Run, readoutTensor } from './run.ts';
import { makePlan, runPlan } from './run-plan.ts';

// Random lists of random changes: whatever the mixture, a variant computes the same bits alone and in a sweep, and native
// code agrees with the float64 oracle. This is where a wrong mask, a wrong row or a slot given away too early would show.

const [batch, pos] = [3, 6];
const choice = await chooseNative({});
const native = choice.kind === 'native' ? nativeExecutor(choice.addon) : null;

function arbitraryChange(model: Model): fc.Arbitrary<Intervention> {
  const { graph, spec } = model;
  const readers = [0, 1].flatMap((layer) => ['q', 'k', 'v'].map((port) => `blocks.${layer}.hook_${port}_input`));
  const sites = [
    ...listSites(graph).filter(({ site }) => site !== 'logits'),
    ...readers.map((site) => ({
      site,
      shape: ['batch', 'pos', site.includes('_q_') ? spec.heads : spec.kvHeads, spec.width],
    })),
  ];
  return fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...sites).chain(({ site, shape }) => writeAt(site, shape)) },
    {
      weight: 2,
      arbitrary: fc
        .constantFrom(...sites.filter(({ site }) => !/scores|pattern|scale/.test(site)))
        .chain(({ site, shape }) => directionAt(site, shape)),
    },
    { weight: 4, arbitrary: edge(graph) },
    { weight: 1, arbitrary: weight(graph) },
  );
}

const value: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom(0, 1, -0.5).map((number): Value => ({ kind: 'const', value: number })),
  fc.constant<Value>({ kind: 'run', name: 'other' }),
  fc.constant<Value>({ kind: 'mean', run: 'other', over: 'batch' }),
  fc.constantFrom(1, 2).map((shift): Value => ({ kind: 'resample', run: 'other', by: { kind: 'roll', shift } })),
);

const place: fc.Arbitrary<Pos> = fc.oneof(
  fc.constant<Pos>({ kind: 'last' }),
  fc.subarray([0, 2, -1], { minLength: 1 }).map((positions): Pos => ({ kind: 'positions', positions })),
  fc.constant<Pos>({ kind: 'perExample', positions: [1, 0, 5] }),
);

function scopeAt(site: string, shape: readonly (number | string)[]): fc.Arbitrary<Scope> {
  const pattern = /scores|pattern/.test(site);
  const heads = pattern ? Number(shape[1]) : shape.length === 4 ? Number(shape[2]) : 0;
  const width = pattern ? 0 : Number(shape[shape.length - 1]);
  const some = (count: number) => fc.uniqueArray(fc.nat(count - 1), { minLength: 1, maxLength: 3 });
  return fc.record(
    {
      site: fc.constant(site),
      at: place,
      ...(pattern ? { key: place } : {}),
      ...(heads > 0 ? { head: some(heads) } : {}),
      ...(width > 0 ? { unit: some(width) } : {}),
    },
    { requiredKeys: ['site'] },
  ) as fc.Arbitrary<Scope>;
}

function writeAt(site: string, shape: readonly (number | string)[]): fc.Arbitrary<Intervention> {
  return fc.oneof(
    fc.record({
      kind: fc.constant('write' as const),
      at: scopeAt(site, shape),
      op: fc.constantFrom('set', 'add', 'scale'),
      value,
      coefficient: fc.constantFrom(1, 0.5),
    }),
    fc.record({ kind: fc.constant('freeze' as const), at: scopeAt(site, shape), value }),
  );
}

function directionAt(site: string, shape: readonly (number | string)[]): fc.Arbitrary<Intervention> {
  const direction = digestTensor(vectorOf(Number(shape[shape.length - 1])));
  return fc
    .tuple(scopeAt(site, shape), fc.constantFrom('project_out' as const, 'steer' as const, 'clamp' as const))
    .map(([{ unit: _, ...at }, op]) => ({
      kind: 'direction',
      at,
      op,
      direction,
      ...(op === 'project_out' ? {} : { value: 0.75 }),
    }));
}

function edge(graph: Graph): fc.Arbitrary<Intervention> {
  return fc.tuple(fc.constantFrom(...edgesOf(decompose(graph))), value).map(([{ from, to }, own]) => ({
    kind: 'edge',
    from,
    to,
    value: own.kind === 'const' ? { kind: 'const', value: 0 } : own,
  }));
}

function weight(graph: Graph): fc.Arbitrary<Intervention> {
  const params = graph.params.filter(({ name }) => !name.startsWith('rotary'));
  return fc.tuple(fc.constantFrom(...params), fc.constantFrom(0, 0.5, 2)).map(([{ name, heads }, factor]) => ({
    kind: 'weight',
    param: name,
    op: 'scale',
    value: { kind: 'const', value: factor },
    ...(heads ? { head: heads.count - 1 } : {}),
  }));
}

function vectorOf(width: number): Tensor {
  return randomTensor(77, [width]);
}

const widths = [2, 5, 6, 7, 9, 18, 20, 21, 33, 40, 1];
const artefacts = new Map(widths.map((width) => [digestTensor(vectorOf(width)), vectorOf(width)] as const));
const tokens = randomTokens(31, batch, pos);

async function otherRun(model: Model, executor: Executor): Promise<Run> {
  const readers = [0, 1].flatMap((layer) => ['q', 'k', 'v'].map((port) => `blocks.${layer}.hook_${port}_input`));
  const sites = [...listSites(model.graph).map(({ site }) => site), ...readers];
  const plan = makePlan(model.graph, { readouts: sites.map((site) => ({ kind: 'capture', at: { site } })) });
  return runPlan(engineFor(model, executor), plan, { tokens: randomTokens(32, batch, pos) });
}

const readouts: Readout[] = [
  { kind: 'capture', at: { site: 'logits' } },
  { kind: 'capture', at: { site: 'blocks.1.attn.hook_z' } },
  { kind: 'logitDiff', at: { kind: 'perExample', positions: [5, 2, 3] }, answer: [1, 2, 3], wrong: [4, 5, 6] },
];

/** A digest of the bits, so that a failure prints no page. */
function bits({ data }: Tensor, from = 0, count = data.length): string {
  return digestTensor({ shape: [count], data: Float32Array.from(data.subarray(from, from + count)) });
}

for (const name of smallModelNames) {
  const model = smallModels[name]();
  const changes = arbitraryChange(model);
  const executor = native ?? referenceExecutor();

  test(`${name}: a random variant has the same bits alone and in a random sweep`, { timeout: 120_000 }, async () => {
    const engine = engineFor(model, executor);
    const runs = new Map([['other', await otherRun(model, executor)]]);
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(changes, { maxLength: 4 }), { minLength: 2, maxLength: 6 }),
        fc.array(changes, { maxLength: 1 }),
        async (drawn, interventions) => {
          const alone: Run[] = [];
          const sweep: Intervention[][] = [];
          for (const list of drawn) {
            const run = await runPlan(
              engine,
              makePlan(model.graph, { interventions: [...interventions, ...list], readouts }),
              { tokens },
              { runs, artefacts },
            ).catch(refusedForReason);
            if (!run) continue;
            alone.push(run);
            sweep.push(list);
          }
          fc.pre(sweep.length > 0);
          const swept = await runPlan(
            engine,
            makePlan(model.graph, { interventions, sweep, readouts }),
            { tokens },
            { runs, artefacts },
          );
          for (const [variant, run] of alone.entries()) {
            for (const index of readouts.keys()) {
              const want = readoutTensor(run, index);
              const size = want.data.length;
              expect(
                bits(readoutTensor(swept, index), variant * size, size),
                `variant ${variant}, readout ${index}`,
              ).toBe(bits(want));
              compared += 1;
            }
          }
        },
      ),
      { numRuns: 60 },
    );
    expect(compared).toBeGreaterThan(200);
  });

  test(`${name}: the executor agrees with the float64 oracle on random changes`, { timeout: 120_000 }, async () => {
    const oracle = referenceExecutor({ precision: 'f64' });
    const runsOf = async (which: Executor) => new Map([['other', await otherRun(model, which)]]);
    const [runs, exactRuns] = [await runsOf(executor), await runsOf(oracle)];
    await fc.assert(
      fc.asyncProperty(fc.array(changes, { minLength: 1, maxLength: 4 }), async (interventions) => {
        const plan = makePlan(model.graph, { interventions, readouts: readouts.slice(0, 1) });
        const got = await runPlan(engineFor(model, executor), plan, { tokens }, { runs, artefacts }).catch(
          refusedForReason,
        );
        fc.pre(got !== null);
        const want = await runPlan(engineFor(model, oracle), plan, { tokens }, { runs: exactRuns, artefacts });
        expect(worst(readoutTensor(got as Run, 0), readoutTensor(want, 0))).toBeLessThan(1e-3);
      }),
      { numRuns: 60 },
    );
  });
}

/** Two changes of one layer may exclude each other; anything else that throws is a bug. */
function refusedForReason(error: unknown): null {
  if (error instanceof CircuitscopeError && error.code === 'shared_norm') return null;
  throw error;
}

/** max |difference| over the largest finite entry; NaN must meet NaN (a masked score times zero, a division by zero). */
function worst(got: Tensor, want: Tensor): number {
  const pairs = Array.from(want.data, (entry, at) => [got.data[at] ?? 0, entry] as const);
  const largest = Math.max(1, ...pairs.map(([, entry]) => (Number.isFinite(entry) ? Math.abs(entry) : 0)));
  return Math.max(
    ...pairs.map(([have, entry]) => {
      if (!Number.isFinite(have) || !Number.isFinite(entry))
        return Object.is(have, entry) ? 0 : Number.POSITIVE_INFINITY;
      return Math.abs(have - entry) / largest;
    }),
  );
}

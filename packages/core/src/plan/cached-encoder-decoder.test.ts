import { createHash } from 'node:crypto';
import type { Hash, Intervention, Readout, Scope } from '@circuitscope/schema';
import { expect, test } from 'vitest';
import { randomT5 } from '../architectures/random-t5.fixture.ts';
import { listSites } from '../graph/index.ts';
import type { Tensor } from '../tensor/index.ts';
import type { Prompt } from './bind.ts';
import { type CachedRunnerOptions, cachedRunner } from './cached-runner.ts';
import { chooseExecutor } from './choose-executor.ts';
import { randomTokens as anyTokens, randomTensor } from './fixtures/small-models.ts';
import type { KeyValueCache } from './key-value-cache.ts';
import { positionAxes } from './position-axes.ts';
import { referenceExecutor } from './reference-executor.ts';
import { captured, type Run } from './run.ts';
import { type Engine, makePlan, runPlan } from './run-plan.ts';

// The text of a decoder that grows beside what its encoder gave once has the bits of the whole text run at once: with
// every change at every site of both sides, for texts of different lengths side by side.

const model = randomT5();
const { graph } = model;
const sites = listSites(graph).map(({ site }) => site);
const { executor } = await chooseExecutor();
const fast: Engine = { ...model, executor };
const plain: Engine = { ...model, executor: referenceExecutor() };

const randomTokens = (seed: number, examples: number, length: number): number[][] =>
  anyTokens(seed, examples, length).map((row) => row.map((id) => id % model.spec.vocab));
const [batch, into, total, from] = [2, 6, 7, 4];
const rows = (lengths: readonly number[], length: number, left: boolean): number[][] =>
  lengths.map((real) => Array.from({ length }, (_, at) => ((left ? length - 1 - at : at) < real ? 1 : 0)));
const source = { tokens: randomTokens(2, batch, into), mask: rows([6, 4], into, false) };
const text = { tokens: randomTokens(5, batch, total), mask: rows([7, 5], total, true) };
const whole: Prompt = { ...source, decoderTokens: text.tokens, decoderMask: text.mask, grows: { from } };
const pieces = [
  [4, 1, 1, 1],
  [2, 2, 1, 2],
];

const hash = (name: string): Hash => `sha256:${createHash('sha256').update(name).digest('hex')}` as Hash;
const widths = new Set(graph.nodes.map(({ shape }) => shape.at(-1)).filter((dim) => typeof dim === 'number'));
const artefacts = new Map<Hash, Tensor>([...widths].map((width) => [hash(String(width)), randomTensor(3, [width])]));
const capture = (site: string): Readout => ({ kind: 'capture', at: { site } });
const constant = (value: number) => ({ kind: 'const', value }) as const;

async function inPieces(
  engine: Engine,
  lengths: readonly number[],
  interventions: readonly Intervention[],
  readouts: readonly Readout[],
  more: Partial<CachedRunnerOptions> = {},
): Promise<{ readonly runs: Run[]; readonly cache: KeyValueCache | null }> {
  const plan = makePlan(graph, { interventions, readouts });
  const runner = cachedRunner(engine, plan, { from, source, artefacts, ...more });
  const runs: Run[] = [];
  let cache: KeyValueCache | null = null;
  let at = 0;
  for (const length of lengths) {
    const cut = (of: readonly (readonly number[])[]) => of.map((row) => row.slice(at, at + length));
    const next: Awaited<ReturnType<typeof runner.extend>> = await runner.extend(cache, {
      tokens: cut(text.tokens),
      mask: cut(text.mask),
    });
    runs.push(next.run);
    cache = next.cache;
    at += length;
  }
  return { runs, cache };
}

/** Entries of a capture by example, or by example and head, with positions behind one another. */
function joined(runs: readonly Run[], site: string): number[][] {
  const { at: axis, key } = positionAxes(graph, site);
  const ofPattern = /hook_(?:pattern|attn_scores)$/.test(site);
  expect(axis).toBe('pos');
  const hidden = site.endsWith('scores') ? Number.NEGATIVE_INFINITY : 0;
  const found = new Map<number, number[]>();
  for (const run of runs) {
    const { shape, data } = captured(run, site);
    const lead = ofPattern ? (shape[0] ?? 1) * (shape[1] ?? 1) : (shape[0] ?? 1);
    const queries = (ofPattern ? shape[2] : shape[1]) ?? 1;
    const width = data.length / lead / queries;
    for (let row = 0; row < lead; row++) {
      const list = found.get(row) ?? [];
      found.set(row, list);
      for (let query = 0; query < queries; query++) {
        const start = (row * queries + query) * width;
        list.push(...data.subarray(start, start + width));
        // Keys that a piece has not yet are those that its queries may not read.
        if (ofPattern && key !== 'source') list.push(...new Array<number>(total - width).fill(hidden));
      }
    }
  }
  return [...found.values()];
}

const ofDecoder = sites.filter((site) => positionAxes(graph, site).at === 'pos');

test('every site of the decoder, however its text is cut', async () => {
  const readouts = ofDecoder.map(capture);
  for (const engine of [fast, plain]) {
    const wish = await runPlan(engine, makePlan(graph, { readouts }), whole);
    for (const lengths of pieces) {
      const { runs } = await inPieces(engine, lengths, [], readouts);
      for (const site of ofDecoder) expect(joined(runs, site), `${site} ${lengths}`).toEqual(joined([wish], site));
    }
  }
});

function changesAt(site: string): Intervention[] {
  const { at: axis, key } = positionAxes(graph, site);
  const ofPattern = /hook_(?:pattern|attn_scores)$/.test(site);
  const places: Partial<Scope>[] = [
    {},
    { at: { kind: 'positions', positions: axis === 'source' ? [1, 3] : [2, 5] } },
    ...(axis === 'source' ? [] : [{ at: { kind: 'generated' } } as const]),
    ...(ofPattern && key === 'source' ? [{ key: { kind: 'positions', positions: [0, 2] } } as const] : []),
  ];
  return places.flatMap((place): Intervention[] => {
    const at = { site, ...place };
    const scaled: Intervention = { kind: 'write', at, op: 'scale', value: constant(0.4) };
    if (ofPattern && key !== 'source') return [scaled];
    const set: Intervention = { kind: 'write', at, op: 'set', value: constant(0.3) };
    if (ofPattern) return [scaled, set];
    const direction = hash(String(graph.nodes.find(({ sites: names }) => names.includes(site))?.shape.at(-1)));
    return [
      scaled,
      set,
      { kind: 'write', at, op: 'add', value: { kind: 'artefact', hash: direction }, coefficient: 0.7 },
      { kind: 'direction', at, op: 'steer', direction, value: 1.3 },
    ];
  });
}

// Of the changes at all sites, so many that each kind meets sites of each kind.
test('changes of every kind at sites of both sides', { timeout: 60_000 }, async () => {
  const readouts = [capture('logits')];
  const run = (interventions: readonly Intervention[]) =>
    runPlan(fast, makePlan(graph, { interventions, readouts }), whole, { artefacts });
  const unchanged = joined([await run([])], 'logits');
  let [count, silent] = [0, 0];
  for (const change of sites.flatMap(changesAt).filter((_, at) => at % 11 === 0)) {
    const wish = joined([await run([change])], 'logits');
    const { runs } = await inPieces(fast, pieces[count++ % pieces.length] ?? [], [change], readouts);
    expect(joined(runs, 'logits'), JSON.stringify(change)).toEqual(wish);
    if (JSON.stringify(wish) === JSON.stringify(unchanged)) silent++;
  }
  expect(count).toBeGreaterThan(25);
  expect(silent / count).toBeLessThan(0.1);
});

test('edges from the encoder into the decoder, and edited weights of either', async () => {
  const zero = constant(0);
  const lists: Intervention[][] = [
    [
      {
        kind: 'edge',
        from: { kind: 'head', stack: 'encoder', layer: 0, head: 1 },
        to: { kind: 'head', stack: 'cross', layer: 1, head: 0, port: 'k' },
        value: zero,
      },
      {
        kind: 'edge',
        from: { kind: 'mlp', stack: 'decoder', layer: 0 },
        to: { kind: 'head', stack: 'cross', layer: 1, head: 2, port: 'q' },
        value: zero,
      },
    ],
    [{ kind: 'weight', param: 'encoder.0.attn.W_V', op: 'scale', value: constant(-1.5) }],
    [{ kind: 'weight', param: 'decoder.1.cross_attn.W_K', op: 'scale', value: constant(-1.5) }],
  ];
  const readouts = [capture('logits')];
  for (const list of lists) {
    const wish = joined([await runPlan(fast, makePlan(graph, { interventions: list, readouts }), whole)], 'logits');
    for (const lengths of pieces)
      expect(joined((await inPieces(fast, lengths, list, readouts)).runs, 'logits')).toEqual(wish);
  }
});

test('values of another run, of the encoder everywhere, of the decoder within the prompt', async () => {
  const readouts = [capture('logits')];
  const other: Prompt = {
    ...source,
    tokens: randomTokens(9, batch, into),
    decoderTokens: randomTokens(7, batch, from),
  };
  for (const site of [
    'encoder.1.hook_resid_post',
    'decoder.0.cross_attn.hook_v',
    'decoder.0.cross_attn.hook_pattern',
  ]) {
    const recorded = await runPlan(fast, makePlan(graph, { readouts: [capture(site)] }), other);
    const runs = new Map([['other', recorded]]);
    const ofEncoder = positionAxes(graph, site).at === 'source';
    const at: Scope = ofEncoder ? { site } : { site, at: { kind: 'positions', positions: [1, 3] } };
    const change: Intervention = { kind: 'write', at, op: 'set', value: { kind: 'run', name: 'other' } };
    const plan = makePlan(graph, { interventions: [change], readouts });
    const wish = joined([await runPlan(fast, plan, whole, { runs })], 'logits');
    expect(joined((await inPieces(fast, [4, 2, 1], [change], readouts, { runs })).runs, 'logits')).toEqual(wish);
  }
});

test('the encoder runs with the first piece and never again', async () => {
  const longer = { tokens: randomTokens(2, batch, 60), mask: rows([60, 60], 60, false) };
  const readouts = [capture('logits')];
  const [short, long] = [
    (await inPieces(fast, [1, 1], [], readouts)).runs,
    (await inPieces(fast, [1, 1], [], readouts, { source: longer })).runs,
  ];
  // Later on, each key more costs a product per head with the query and one with the value, in each of two blocks.
  const { heads, headWidth } = model.spec;
  const perKey = 2 * 2 * batch * heads * headWidth;
  const grown = (long[1]?.multiplyAdds ?? 0) - (short[1]?.multiplyAdds ?? 0);
  expect(grown).toBeLessThanOrEqual(perKey * (60 - into));
  expect((long[0]?.multiplyAdds ?? 0) - (short[0]?.multiplyAdds ?? 0)).toBeGreaterThan(20 * perKey * (60 - into));
});

test('what a text beside an encoder cannot have is refused', async () => {
  const readouts = [capture('logits')];
  const plan = makePlan(graph, { readouts });
  const refusal = (run: () => unknown) => expect(run).toThrow(expect.objectContaining({ code: 'bad_prompt' }));
  refusal(() => cachedRunner(fast, plan, { from }));
  expect(() =>
    cachedRunner(fast, makePlan(graph, { readouts: [capture('encoder.0.hook_resid_post')] }), { from, source }),
  ).toThrow(expect.objectContaining({ code: 'unsupported' }));
  const { cache } = await inPieces(fast, [4], [], readouts);
  const others = { ...source, tokens: randomTokens(9, batch, into) };
  const runner = cachedRunner(fast, plan, { from, source: others, artefacts });
  await expect(runner.extend(cache, { tokens: [[1], [2]] })).rejects.toMatchObject({ code: 'wrong_cache' });
  const three = cachedRunner(fast, plan, { from, source, artefacts });
  await expect(three.extend(null, { tokens: [[1], [2], [3]] })).rejects.toMatchObject({ code: 'bad_prompt' });
});

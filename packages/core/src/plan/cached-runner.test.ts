import { createHash } from 'node:crypto';
import type { Hash, Intervention, Readout, Scope, Value } from '@circuitscope/schema';
import { describe, expect, type TestContext, test } from 'vitest';
import { engineFor, type Model } from '../architectures/index.ts';
import { GraphBuilder, listSites } from '../graph/index.ts';
import { chooseNative } from '../kernels/index.ts';
import type { Tensor } from '../tensor/index.ts';
import type { Prompt } from './bind.ts';
import { cachedRunner } from './cached-runner.ts';
import type { Executor } from './executor.ts';
import { fixPositions } from './fix-positions.ts';
import { randomTensor, randomTokens, smallModelNames, smallModels } from './fixtures/small-models.ts';
import type { KeyValueCache } from './key-value-cache.ts';
import { nativeExecutor } from './native-executor.ts';
import { referenceExecutor } from './reference-executor.ts';
import { captured, type Run } from './run.ts';
import { makePlan, runPlan } from './run-plan.ts';
import { mutableWeight, readWeight } from './weights.ts';

// A text run in pieces, each reading the keys and values that earlier pieces left, has the bits of the text run as a
// whole: with every change at every site, for texts of different lengths side by side.

const choice = await chooseNative({});
const native = choice.kind === 'native' ? nativeExecutor(choice.addon) : null;
const executors: readonly { readonly name: string; readonly get: (context: TestContext) => Executor }[] = [
  { name: 'reference', get: () => referenceExecutor() },
  {
    name: 'native',
    get: (context) => {
      if (!native) context.skip(choice.kind === 'missing' ? `the addon does not load: ${choice.reason}` : '');
      return native ?? referenceExecutor();
    },
  },
];

const [batch, total, from] = [3, 11, 7];
/** Three texts of 7, 4 and 6 tokens, padded at the left, and four new tokens each. */
const text: Prompt = {
  tokens: randomTokens(5, batch, total),
  mask: [0, 3, 1].map((padding) => Array.from({ length: total }, (_, at) => (at < padding ? 0 : 1))),
  grows: { from },
};
const pieces = [
  [7, 1, 1, 1, 1],
  [3, 4, 2, 2],
  [1, 1, 1, 5, 3],
];

const hash = (name: string): Hash => `sha256:${createHash('sha256').update(name).digest('hex')}` as Hash;
const logits: Readout = { kind: 'capture', at: { site: 'logits' } };
const constant = (value: number): Extract<Value, { kind: 'const' }> => ({ kind: 'const', value });

const isPattern = (site: string): boolean => /hook_(pattern|attn_scores)$/.test(site);

function vectors(model: Model): Map<Hash, Tensor> {
  const widths = new Set(model.graph.nodes.map(({ shape }) => shape.at(-1)).filter((dim) => typeof dim === 'number'));
  return new Map([...widths].map((width) => [hash(String(width)), randomTensor(3, [width])]));
}

/** Changes of each kind at a site, those that act everywhere and those that act at single positions. */
function changesAt(model: Model, site: string): Intervention[] {
  const width = model.graph.nodes.find(({ sites }) => sites.includes(site))?.shape.at(-1);
  const direction = hash(String(width));
  const places: Partial<Scope>[] = [
    {},
    { at: { kind: 'positions', positions: [2, 5, 8] } },
    { at: { kind: 'perExample', positions: [6, 8, 10] } },
    { at: { kind: 'generated' } },
  ];
  if (isPattern(site)) {
    const key = { kind: 'positions', positions: [0, 2] } as const;
    const later = { kind: 'positions', positions: [3, 6, 9] } as const;
    const ops = site.endsWith('pattern')
      ? ([
          ['scale', 0.5],
          ['set', 0],
        ] as const)
      : ([
          ['scale', 0.5],
          ['add', 1.5],
        ] as const);
    return [
      ...places.flatMap((place) =>
        ops.map(([op, value]): Intervention => ({ kind: 'write', at: { site, ...place }, op, value: constant(value) })),
      ),
      { kind: 'write', at: { site, head: [1], at: later, key }, op: 'set', value: constant(0.7) },
      { kind: 'write', at: { site, at: { kind: 'generated' }, key }, op: 'set', value: constant(0.3) },
    ];
  }
  return places.flatMap((place): Intervention[] => {
    const at = { site, ...place };
    return [
      ...(['set', 'add', 'scale'] as const).map(
        (op): Intervention => ({ kind: 'write', at, op, value: constant(0.4) }),
      ),
      { kind: 'write', at, op: 'add', value: { kind: 'artefact', hash: direction }, coefficient: 0.7 },
      { kind: 'freeze', at, value: { kind: 'artefact', hash: direction } },
      { kind: 'direction', at, op: 'project_out', direction },
      { kind: 'direction', at, op: 'steer', direction, value: 1.3 },
      { kind: 'direction', at, op: 'clamp', direction, value: 0.2 },
    ];
  });
}

const readouts: readonly Readout[] = [logits];

async function inPieces(
  model: Model,
  executor: Executor,
  interventions: readonly Intervention[],
  lengths: readonly number[],
  {
    threads,
    prompt = text,
    reads = readouts,
    runs,
  }: { threads?: number; prompt?: Prompt; reads?: readonly Readout[]; runs?: ReadonlyMap<string, Run> } = {},
): Promise<Run[]> {
  const engine = engineFor(model, executor);
  const plan = makePlan(model.graph, { interventions, readouts: reads });
  const runner = cachedRunner(engine, plan, {
    from: prompt.grows?.from ?? 0,
    artefacts: vectors(model),
    ...(runs ? { runs } : {}),
  });
  const found: Run[] = [];
  let cache: KeyValueCache | null = null;
  let at = 0;
  for (const length of lengths) {
    const cut = <T>(rows: readonly (readonly T[])[]): T[][] => rows.map((row) => row.slice(at, at + length));
    const chunk = { tokens: cut(prompt.tokens), mask: cut(prompt.mask ?? []) };
    const next: Awaited<ReturnType<typeof runner.extend>> = await runner.extend(
      cache,
      chunk,
      threads ? { threads } : {},
    );
    found.push(next.run);
    cache = next.cache;
    at += length;
  }
  return found;
}

/** Entries of a capture by row, with positions behind one another; patterns with what later keys would hold. */
function joined(runs: readonly Run[], site: string): number[][] {
  const hidden = site.endsWith('scores') ? Number.NEGATIVE_INFINITY : 0;
  const rows = new Map<number, number[]>();
  const rowAt = (row: number): number[] => {
    const list = rows.get(row) ?? [];
    rows.set(row, list);
    return list;
  };
  for (const run of runs) {
    const { shape, data } = captured(run, site);
    if (isPattern(site)) {
      const [, heads = 0, queries = 0, keys = 0] = shape;
      for (let row = 0; row < (shape[0] ?? 0) * heads; row++) {
        const list = rowAt(row);
        for (let query = 0; query < queries; query++) {
          list.push(...data.subarray((row * queries + query) * keys, (row * queries + query + 1) * keys));
          for (let key = keys; key < total; key++) list.push(hidden);
        }
      }
    } else {
      const size = data.length / (shape[0] ?? 1);
      for (let row = 0; row < (shape[0] ?? 0); row++) rowAt(row).push(...data.subarray(row * size, (row + 1) * size));
    }
  }
  return [...rows.values()];
}

async function whole(
  model: Model,
  executor: Executor,
  interventions: readonly Intervention[],
  reads = readouts,
  more = {},
) {
  const plan = makePlan(model.graph, { interventions, readouts: reads });
  return runPlan(engineFor(model, executor), plan, text, { artefacts: vectors(model), ...more });
}

const sitesOf = (model: Model): string[] => listSites(model.graph).map(({ site }) => site);

describe.each(executors)('$name: in pieces as at once', ({ get }) => {
  test.for(smallModelNames)('%s: every site, however the text is cut', { timeout: 60_000 }, async (name, context) => {
    const model = smallModels[name]();
    const reads: Readout[] = sitesOf(model).map((site) => ({ kind: 'capture', at: { site } }));
    const wish = await whole(model, get(context), [], reads);
    for (const lengths of pieces) {
      const got = await inPieces(model, get(context), [], lengths, { reads });
      for (const site of sitesOf(model)) expect(joined(got, site), `${site} ${lengths}`).toEqual(joined([wish], site));
    }
  });

  test.for(smallModelNames)('%s: every kind of change at every site', { timeout: 120_000 }, async (name, context) => {
    const model = smallModels[name]();
    const executor = get(context);
    const plain = joined([await whole(model, executor, [])], 'logits');
    let silent = 0;
    let count = 0;
    for (const site of sitesOf(model)) {
      for (const change of changesAt(model, site)) {
        const wish = joined([await whole(model, executor, [change])], 'logits');
        const lengths = pieces[count++ % pieces.length] ?? [];
        const got = joined(await inPieces(model, executor, [change], lengths), 'logits');
        expect(got, JSON.stringify(change)).toEqual(wish);
        if (JSON.stringify(wish) === JSON.stringify(plain)) silent++;
      }
    }
    expect(count).toBeGreaterThan(200);
    // The changes do something: nearly all are seen in the logits.
    expect(silent / count).toBeLessThan(0.1);
  });

  test('edges, weight edits and several changes at once', async (context) => {
    const executor = get(context);
    const lists: Intervention[][] = [
      [
        {
          kind: 'edge',
          from: { kind: 'head', layer: 0, head: 1 },
          to: { kind: 'head', layer: 1, head: 0, port: 'k' },
          value: constant(0),
        },
        {
          kind: 'edge',
          from: { kind: 'mlp', layer: 0 },
          to: { kind: 'head', layer: 1, head: 1, port: 'v' },
          value: constant(0),
        },
        { kind: 'edge', from: { kind: 'input' }, to: { kind: 'logits', port: 'in' }, value: constant(0) },
      ],
      [{ kind: 'weight', param: 'blocks.0.attn.W_V', op: 'scale', value: constant(-1.5) }],
      [
        {
          kind: 'write',
          at: { site: 'blocks.0.attn.hook_k', at: { kind: 'positions', positions: [4] } },
          op: 'scale',
          value: constant(2),
        },
        { kind: 'write', at: { site: 'blocks.0.attn.hook_v', head: [0] }, op: 'add', value: constant(0.2) },
        {
          kind: 'direction',
          at: { site: 'blocks.1.hook_resid_pre', at: { kind: 'generated' } },
          op: 'steer',
          direction: hash('21'),
          value: 2,
        },
        {
          kind: 'write',
          at: { site: 'blocks.1.attn.hook_pattern', key: { kind: 'positions', positions: [3] } },
          op: 'scale',
          value: constant(0),
        },
      ],
    ];
    const model = smallModels.gpt2();
    for (const list of lists) {
      const wish = joined([await whole(model, executor, list)], 'logits');
      for (const lengths of pieces)
        expect(joined(await inPieces(model, executor, list, lengths), 'logits')).toEqual(wish);
    }
  });

  test('values of a run of the prompt alone, where the change keeps to the prompt', async (context) => {
    const model = smallModels.llama();
    const executor = get(context);
    for (const site of [
      'blocks.0.hook_resid_post',
      'blocks.0.attn.hook_v',
      'blocks.1.attn.hook_pattern',
      'blocks.1.attn.hook_attn_scores',
    ]) {
      const prompt: Prompt = { tokens: randomTokens(8, batch, from) };
      const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site } }] });
      const runs = new Map([['other', await runPlan(engineFor(model, executor), plan, prompt)]]);
      const at = { site, at: { kind: 'positions', positions: [1, 4, 6] } } as const;
      for (const value of [
        { kind: 'run', name: 'other' },
        { kind: 'mean', run: 'other', over: 'batch' },
        { kind: 'resample', run: 'other', by: { kind: 'roll', shift: 1 } },
      ] as const) {
        const change: Intervention = { kind: 'write', at, op: 'set', value };
        const wish = joined([await whole(model, executor, [change], readouts, { runs })], 'logits');
        for (const lengths of pieces.slice(0, 1)) {
          expect(joined(await inPieces(model, executor, [change], lengths, { runs }), 'logits')).toEqual(wish);
        }
      }
      const everywhere: Intervention = {
        kind: 'write',
        at: { site },
        op: 'set',
        value: { kind: 'run', name: 'other' },
      };
      await expect(inPieces(model, executor, [everywhere], [7, 1], { runs })).rejects.toMatchObject({
        code: 'shape_mismatch',
      });
    }
  });
});

test('1, 2 and 7 threads give the same bits in pieces as at once', async ({ skip }) => {
  if (!native) return skip('the addon does not load');
  for (const name of smallModelNames) {
    const model = smallModels[name]();
    const change: Intervention = {
      kind: 'write',
      at: { site: 'blocks.0.attn.hook_v' },
      op: 'scale',
      value: constant(1.1),
    };
    const wish = joined([await whole(model, native, [change], readouts, { threads: 1 })], 'logits');
    for (const threads of [1, 2, 7]) {
      for (const lengths of pieces) {
        expect(joined(await inPieces(model, native, [change], lengths, { threads }), 'logits')).toEqual(wish);
      }
    }
  }
});

test('positions that move with the end are fixed to the prompt', async () => {
  const model = smallModels.gpt2();
  const site = 'blocks.0.hook_resid_post';
  const write = (at: Scope['at']): Intervention => ({
    kind: 'write',
    at: { site, ...(at ? { at } : {}) },
    op: 'add',
    value: constant(1),
  });
  const moving = [
    write({ kind: 'last' }),
    write({ kind: 'positions', positions: [-2] }),
    write({ kind: 'named', name: 'S' }),
  ];
  const prompt: Prompt = {
    tokens: randomTokens(1, 2, 5),
    named: { S: [1, -1] },
    mask: [
      [1, 1, 1, 1, 0],
      [1, 1, 1, 1, 1],
    ],
  };
  expect(
    fixPositions(model.graph, [...moving, write(undefined)], prompt).map(
      (change) => 'at' in change && 'at' in change.at && change.at.at,
    ),
  ).toEqual([
    { kind: 'perExample', positions: [3, 4] },
    { kind: 'positions', positions: [3] },
    { kind: 'perExample', positions: [1, 4] },
    false,
  ]);
  const executor = referenceExecutor();
  for (const change of moving.slice(0, 2)) {
    await expect(whole(model, executor, [change])).rejects.toMatchObject({ code: 'moving_position' });
    await expect(inPieces(model, executor, [change], [3])).rejects.toMatchObject({ code: 'moving_position' });
  }
  await expect(
    runPlan(
      engineFor(model, executor),
      makePlan(model.graph, { interventions: [write({ kind: 'generated' })], readouts: [logits] }),
      prompt,
    ),
  ).rejects.toMatchObject({ code: 'unknown_position' });
});

test('a pattern that would read keys to come is refused, in pieces as at once', async () => {
  const model = smallModels.attentionOnly();
  const executor = referenceExecutor();
  const [pattern, scores] = ['blocks.0.attn.hook_pattern', 'blocks.0.attn.hook_attn_scores'];
  const refused: Intervention[] = [
    { kind: 'write', at: { site: pattern }, op: 'set', value: constant(0.1) },
    { kind: 'write', at: { site: pattern }, op: 'add', value: constant(0.1) },
    { kind: 'write', at: { site: scores }, op: 'scale', value: constant(-1) },
    { kind: 'write', at: { site: scores }, op: 'set', value: constant(0) },
    {
      kind: 'write',
      at: { site: pattern, at: { kind: 'positions', positions: [2] }, key: { kind: 'positions', positions: [3] } },
      op: 'set',
      value: constant(1),
    },
    {
      kind: 'write',
      at: { site: pattern, at: { kind: 'generated' }, key: { kind: 'positions', positions: [15] } },
      op: 'set',
      value: constant(1),
    },
    { kind: 'direction', at: { site: pattern }, op: 'steer', direction: hash('18'), value: 1 },
  ];
  for (const change of refused) {
    for (const run of [
      whole(model, executor, [change]),
      inPieces(model, executor, [change], [1, 1, 1, 1, 1, 1, 1, 1]),
    ]) {
      await expect(run, JSON.stringify(change)).rejects.toMatchObject({ code: 'looks_ahead' });
    }
  }
});

test('a cache of another plan, model, executor or of changed weights is refused; one of other readouts serves', async () => {
  const model = smallModels.gpt2();
  const engine = engineFor(model, referenceExecutor());
  const chunk = { tokens: randomTokens(1, 2, 4) };
  const scaled = (value: number): Intervention => ({
    kind: 'write',
    at: { site: 'blocks.0.attn.hook_v' },
    op: 'scale',
    value: constant(value),
  });
  const runnerOf = (interventions: readonly Intervention[], reads = readouts, on = engine, start = 4) =>
    cachedRunner(on, makePlan(on.graph, { interventions, readouts: reads }), { from: start });
  const { cache } = await runnerOf([scaled(2)]).extend(null, chunk);
  const wrong = { code: 'wrong_cache' };
  await expect(runnerOf([scaled(3)]).extend(cache, chunk)).rejects.toMatchObject(wrong);
  await expect(runnerOf([]).extend(cache, chunk)).rejects.toMatchObject(wrong);
  await expect(runnerOf([scaled(2)], readouts, engine, 5).extend(cache, chunk)).rejects.toMatchObject(wrong);
  await expect(
    runnerOf([scaled(2)], readouts, engineFor(smallModels.gpt2(2), engine.executor)).extend(cache, chunk),
  ).rejects.toMatchObject(wrong);
  await expect(
    runnerOf([scaled(2)], readouts, { ...engine, executor: referenceExecutor({ precision: 'f64' }) }).extend(
      cache,
      chunk,
    ),
  ).rejects.toMatchObject(wrong);
  await expect(runnerOf([scaled(2)]).extend(cache, { tokens: randomTokens(1, 3, 1) })).rejects.toMatchObject({
    code: 'shape_mismatch',
  });
  const other = runnerOf([scaled(2)], [{ kind: 'topK', at: { kind: 'last' }, k: 2 }]);
  await expect(other.extend(cache, chunk)).resolves.toBeDefined();

  const W_E = readWeight(model.weights, 'blocks.0.attn.W_V');
  const weight = mutableWeight('blocks.0.attn.W_V', W_E.shape, W_E.data.slice());
  const training = { ...engine, weights: new Map([...model.weights, [weight.name, weight]]) };
  const runner = runnerOf([], readouts, training);
  const before = await runner.extend(null, chunk);
  weight.data[0] = 9;
  weight.touch();
  await expect(runner.extend(before.cache, chunk)).rejects.toMatchObject(wrong);
  await expect(runner.extend(null, chunk)).rejects.toMatchObject(wrong);
});

test('two continuations of one cache do not disturb each other', async () => {
  const model = smallModels.llama();
  const runner = cachedRunner(engineFor(model, referenceExecutor()), makePlan(model.graph, { readouts: [logits] }), {
    from: 3,
  });
  const start = await runner.extend(null, { tokens: [[1, 2, 3]] });
  const follow = async (...ids: number[]) => {
    let { cache } = start;
    let last: Run = start.run;
    for (const id of ids) ({ cache, run: last } = await runner.extend(cache, { tokens: [[id]] }));
    return captured(last, 'logits').data;
  };
  const alone = await follow(4, 5, 6);
  const a1 = await runner.extend(start.cache, { tokens: [[4]] });
  const b1 = await runner.extend(start.cache, { tokens: [[9]] });
  const a2 = await runner.extend(a1.cache, { tokens: [[5]] });
  const b2 = await runner.extend(b1.cache, { tokens: [[8]] });
  expect(captured((await runner.extend(a2.cache, { tokens: [[6]] })).run, 'logits').data).toEqual(alone);
  expect(captured((await runner.extend(b2.cache, { tokens: [[7]] })).run, 'logits').data).toEqual(
    await follow(9, 8, 7),
  );
});

test('what pieces cannot give is refused: sweeps, losses, gradients, chosen positions, models that read both ways', () => {
  const model = smallModels.gpt2();
  const engine = engineFor(model, referenceExecutor());
  const wrong: Readout[] = [
    { kind: 'loss' },
    { kind: 'capture', at: { site: 'logits', at: { kind: 'last' } } },
    { kind: 'topK', at: { kind: 'positions', positions: [1] }, k: 1 },
    { kind: 'gradient', of: [{ kind: 'loss', reduce: 'mean' }], wrt: { kind: 'site', at: { site: 'logits' } } },
  ];
  for (const readout of wrong) {
    const plan = makePlan(model.graph, { readouts: [readout] });
    expect(() => cachedRunner(engine, plan, { from: 1 })).toThrow(expect.objectContaining({ code: 'unsupported' }));
  }
  const sweep = makePlan(model.graph, { readouts, sweep: [[], []] });
  expect(() => cachedRunner(engine, sweep, { from: 1 })).toThrow(expect.objectContaining({ code: 'unsupported' }));

  const builder = new GraphBuilder();
  const x = builder.add('embed', [builder.input('tokens')], {
    params: [builder.param('E', [5, 4])],
    attrs: { width: 4 },
  });
  const product = (name: string) =>
    builder.add('linear', [x], { params: [builder.param(name, [4, 4]), null], attrs: { out: [1, 4] } });
  const scores = builder.add('scores', [product('Q'), product('K'), -1], { attrs: { scale: 1, causal: false } });
  const both = builder.build(
    builder.add('mix', [builder.add('softmax', [scores]), product('V')], { sites: ['logits'] }),
  );
  const without = builder.build(x);
  for (const graph of [both, { ...without, nodes: without.nodes.slice(0, x + 1) }]) {
    const other = { graph, weights: new Map(), executor: referenceExecutor() };
    expect(() => cachedRunner(other, makePlan(graph, { readouts }), { from: 1 })).toThrow(
      expect.objectContaining({ code: 'no_cache' }),
    );
  }
});

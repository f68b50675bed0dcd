import { CircuitscopeError, type Hash, type Intervention, type Plan, type Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { engineFor } from '../architectures/index.ts';
import { chooseNative } from '../kernels/index.ts';
import type { Tensor } from '../tensor/index.ts';
import type { Prompt } from './bind.ts';
import type { Executor } from './executor.ts';
import { randomTokens, smallModels } from './fixtures/small-models.ts';
import { nativeExecutor } from './native-executor.ts';
import { referenceExecutor } from './reference-executor.ts';
import { captured, type Run } from './run.ts';
import { makePlan, type RunOptions, runPlan } from './run-plan.ts';

// What a plan cannot do, it says: with a code to act on, the place, and a sentence about what to do next.

const model = smallModels.gpt2();
const choice = await chooseNative({});
const engine = engineFor(model, referenceExecutor());
const tokens = randomTokens(1, 3, 6);
const logits: Readout = { kind: 'capture', at: { site: 'logits' } };
const z = 'blocks.0.attn.hook_z';
const zero = { kind: 'const', value: 0 } as const;
const hash: Hash = `sha256:${'0'.repeat(64)}`;

interface Case extends RunOptions {
  readonly interventions?: Intervention[];
  readonly sweep?: Intervention[][];
  readonly readouts?: Readout[];
  readonly prompt?: Prompt;
  readonly plan?: Plan;
  readonly executor?: Executor;
}

async function refused({
  interventions,
  sweep,
  readouts,
  prompt,
  plan,
  executor,
  ...options
}: Case): Promise<CircuitscopeError> {
  const parts = { interventions: interventions ?? [], readouts: readouts ?? [logits], ...(sweep ? { sweep } : {}) };
  const own = executor ? engineFor(model, executor) : engine;
  try {
    await runPlan(own, plan ?? makePlan(model.graph, parts), prompt ?? { tokens }, options);
  } catch (error) {
    if (error instanceof CircuitscopeError) return error;
    throw error;
  }
  throw new Error('the plan ran');
}

const set = (site: string, scope: object = {}): Intervention => ({
  kind: 'write',
  at: { site, ...scope },
  op: 'set',
  value: zero,
});

describe('a place that is not there', () => {
  test('an unknown site names the nearest ones, in a change and in a readout', async () => {
    const want = { code: 'unknown_site', at: 'blocks.0.attn.hook_zz', message: expect.stringContaining(z) };
    expect(await refused({ interventions: [set('blocks.0.attn.hook_zz')] })).toMatchObject(want);
    const readouts: Readout[] = [{ kind: 'capture', at: { site: 'blocks.0.attn.hook_zz' } }];
    expect(await refused({ readouts })).toMatchObject(want);
    expect(await refused({ interventions: [set('blocks.9.hook_q_input')] })).toMatchObject({ code: 'unknown_site' });
  });

  test('an axis that the site lacks', async () => {
    const axes = [
      set('blocks.0.hook_resid_pre', { head: [0] }),
      set('blocks.0.hook_resid_pre', { key: { kind: 'last' } }),
      set('blocks.0.attn.hook_pattern', { unit: [0] }),
    ];
    for (const change of axes) expect(await refused({ interventions: [change] })).toMatchObject({ code: 'bad_scope' });
    const readouts: Readout[] = [{ kind: 'capture', at: { site: 'logits', head: [0] } }];
    expect(await refused({ readouts })).toMatchObject({ code: 'bad_scope', at: 'logits', got: 'head' });
  });

  test('a head, unit or position outside', async () => {
    const range = { code: 'out_of_range' };
    expect(await refused({ interventions: [set(z, { head: [3] })] })).toMatchObject({ ...range, expected: '0 to 2' });
    expect(await refused({ interventions: [set(z, { unit: [7] })] })).toMatchObject({ ...range, expected: '0 to 6' });
    for (const position of [6, -7]) {
      const at = { kind: 'positions', positions: [position] } as const;
      expect(await refused({ interventions: [set(z, { at })] })).toMatchObject({ ...range, expected: '-6 to 5' });
      expect(await refused({ readouts: [{ kind: 'capture', at: { site: z, at } }] })).toMatchObject(range);
      expect(await refused({ readouts: [{ kind: 'topK', at, k: 1 }] })).toMatchObject(range);
    }
  });

  test('a named position that the prompt does not give, or gives too few of', async () => {
    const at = { kind: 'named', name: 'subject' } as const;
    const unknown = { code: 'unknown_position', message: expect.stringContaining('subject') };
    expect(await refused({ interventions: [set(z, { at })] })).toMatchObject({ ...unknown, at: 'example 0' });
    const prompt = { tokens, named: { subject: [1, 1] } };
    expect(await refused({ interventions: [set(z, { at })], prompt })).toMatchObject({ ...unknown, at: 'example 2' });
  });

  test('an edge that does not exist: from later to earlier, from or to a head that is not there', async () => {
    const edges = [
      [{ kind: 'head', layer: 1, head: 0 }, { kind: 'head', layer: 0, head: 0, port: 'q' }, '1.0→0.0.Q'],
      [{ kind: 'head', layer: 0, head: 3 }, { kind: 'head', layer: 1, head: 0, port: 'q' }, '0.3→1.0.Q'],
      [{ kind: 'mlp', layer: 0 }, { kind: 'head', layer: 1, head: 5, port: 'v' }, 'mlp0→1.5.V'],
      [{ kind: 'input' }, { kind: 'mlp', layer: 4, port: 'in' }, 'input→mlp4'],
    ] as const;
    for (const [from, to, at] of edges) {
      const error = await refused({ interventions: [{ kind: 'edge', from, to, value: zero }] });
      expect(error).toMatchObject({ code: 'unknown_edge', at });
    }
  });

  test('a weight that the graph does not use, a tied one, a part outside', async () => {
    const edit = (param: string, part: object = {}): Intervention => ({
      kind: 'weight',
      param,
      op: 'set',
      value: zero,
      ...part,
    });
    const unknown = { code: 'unknown_param', got: 'blocks.0.attn.W_X' };
    expect(await refused({ interventions: [edit('blocks.0.attn.W_X')] })).toMatchObject(unknown);
    const tied = await refused({ interventions: [edit('embed.W_E')] });
    expect(tied).toMatchObject({ code: 'unknown_param', message: expect.stringContaining('unembed.W_U') });
    const outside = [
      edit('blocks.0.attn.W_Q', { head: 3 }),
      edit('blocks.0.mlp.W_in', { head: 0 }),
      edit('blocks.0.mlp.W_in', { row: 21 }),
      edit('blocks.0.mlp.W_in', { column: 40 }),
      edit('blocks.0.attn.W_Q', { head: 1, column: 7 }),
    ];
    for (const change of outside)
      expect(await refused({ interventions: [change] })).toMatchObject({ code: 'out_of_range' });
  });
});

describe('a change that cannot be', () => {
  test('one that reaches no readout never fires', async () => {
    const readouts: Readout[] = [{ kind: 'capture', at: { site: 'blocks.0.hook_resid_pre' } }];
    const error = await refused({ interventions: [set('blocks.1.attn.hook_z')], readouts });
    expect(error).toMatchObject({ code: 'never_fires', at: 'blocks.1.attn.hook_z' });
    const edge: Intervention = {
      kind: 'edge',
      from: { kind: 'input' },
      to: { kind: 'mlp', layer: 1, port: 'in' },
      value: zero,
    };
    expect(await refused({ interventions: [edge], readouts })).toMatchObject({ code: 'never_fires' });
    expect(await refused({ sweep: [[], [set('blocks.1.attn.hook_z')]], readouts })).toMatchObject({
      code: 'never_fires',
    });
  });

  test('an edge cannot carry a constant but zero', async () => {
    const edge: Intervention = {
      kind: 'edge',
      from: { kind: 'input' },
      to: { kind: 'mlp', layer: 0, port: 'in' },
      value: { kind: 'const', value: 1 },
    };
    expect(await refused({ interventions: [edge] })).toMatchObject({ code: 'bad_value', at: 'input→mlp0', got: '1' });
  });

  test("heads' own results can be read, not written", async () => {
    const error = await refused({ interventions: [set('blocks.0.attn.hook_result')] });
    expect(error).toMatchObject({ code: 'read_only_site' });
  });

  test('a norm that heads share cannot change where some of them read through one of their own', async () => {
    const norm = set('blocks.1.ln1.hook_scale');
    const edge: Intervention = {
      kind: 'edge',
      from: { kind: 'head', layer: 0, head: 0 },
      to: { kind: 'head', layer: 1, head: 0, port: 'k' },
      value: zero,
    };
    expect(await refused({ interventions: [norm, edge] })).toMatchObject({
      code: 'shared_norm',
      at: 'blocks.1.ln1.hook_scale',
    });
    const readouts: Readout[] = [logits, { kind: 'capture', at: { site: 'blocks.1.hook_v_input' } }];
    expect(await refused({ interventions: [norm], readouts })).toMatchObject({ code: 'shared_norm' });
    // In a sweep the two are variants of their own, and both run.
    const scaled: Intervention = {
      kind: 'write',
      at: { site: 'blocks.1.ln1.hook_scale' },
      op: 'scale',
      value: { kind: 'const', value: 2 },
    };
    const swept = await runPlan(engine, makePlan(model.graph, { readouts: [logits], sweep: [[scaled], [edge]] }), {
      tokens,
    });
    const alone = await runPlan(engine, makePlan(model.graph, { readouts: [logits], interventions: [scaled] }), {
      tokens,
    });
    const { data } = captured(alone, 'logits');
    expect(captured(swept, 'logits').data.subarray(0, data.length)).toEqual(data);
  });

  test('a direction of length zero, of another width, or with single units', async () => {
    const steer = (scope: object = {}): Intervention => ({
      kind: 'direction',
      at: { site: z, ...scope },
      op: 'steer',
      direction: hash,
      value: 1,
    });
    const artefacts = (tensor: Tensor) => ({ artefacts: new Map([[hash, tensor]]) });
    const none = { shape: [7], data: new Float32Array(7) };
    expect(await refused({ interventions: [steer()], ...artefacts(none) })).toMatchObject({
      code: 'zero_direction',
      at: z,
    });
    const long = { shape: [8], data: new Float32Array(8).fill(1) };
    const shape = { code: 'shape_mismatch', expected: '7', got: '8' };
    expect(await refused({ interventions: [steer()], ...artefacts(long) })).toMatchObject(shape);
    const readouts: Readout[] = [{ kind: 'project', at: { site: z }, direction: hash }];
    expect(await refused({ readouts, ...artefacts(long) })).toMatchObject(shape);
    const fitting = artefacts({ shape: [7], data: new Float32Array(7).fill(1) });
    expect(await refused({ interventions: [steer({ unit: [1] })], ...fitting })).toMatchObject({ code: 'bad_scope' });
    const units: Readout[] = [{ kind: 'project', at: { site: z, unit: [1] }, direction: hash }];
    expect(await refused({ readouts: units, ...fitting })).toMatchObject({ code: 'bad_scope' });
  });
});

describe('values that are not given', () => {
  const patch = (name: string, site = z): Intervention => ({
    kind: 'write',
    at: { site },
    op: 'set',
    value: { kind: 'run', name },
  });
  const other = (readouts: Readout[], batch = 3, pos = 6): Promise<Run> =>
    runPlan(engine, makePlan(model.graph, { readouts }), { tokens: randomTokens(2, batch, pos) });
  const whole: Readout[] = [{ kind: 'capture', at: { site: z } }];

  test('a run of another name', async () => {
    const runs = new Map([['corrupt', await other(whole)]]);
    const error = await refused({ interventions: [patch('clean')], runs });
    expect(error).toMatchObject({ code: 'unknown_run', got: 'clean', expected: 'corrupt' });
  });

  test('a run that did not capture the site, or only a part of it', async () => {
    const runs = new Map([
      ['without', await other([logits])],
      ['part', await other([{ kind: 'capture', at: { site: z, head: [0] } }])],
    ]);
    for (const name of runs.keys()) {
      expect(await refused({ interventions: [patch(name)], runs })).toMatchObject({ code: 'not_captured', at: z });
    }
  });

  test('a run over other shapes, or a sweep', async () => {
    const swept = await runPlan(engine, makePlan(model.graph, { readouts: whole, sweep: [[], []] }), { tokens });
    const runs = new Map([
      ['longer', await other(whole, 3, 7)],
      ['fewer', await other(whole, 2, 6)],
      ['swept', swept],
    ]);
    for (const name of ['longer', 'fewer']) {
      expect(await refused({ interventions: [patch(name)], runs })).toMatchObject({ code: 'shape_mismatch', at: z });
    }
    expect(await refused({ interventions: [patch('swept')], runs })).toMatchObject({ code: 'bad_run' });
    const mean: Intervention = {
      kind: 'write',
      at: { site: z },
      op: 'set',
      value: { kind: 'mean', run: 'longer', over: 'batch' },
    };
    expect(await refused({ interventions: [mean], runs })).toMatchObject({ code: 'shape_mismatch' });
  });

  test('an artefact that was not given, or does not fit', async () => {
    const interventions: Intervention[] = [
      { kind: 'write', at: { site: z }, op: 'add', value: { kind: 'artefact', hash } },
    ];
    expect(await refused({ interventions })).toMatchObject({ code: 'unknown_artefact', got: hash });
    const artefacts = new Map([[hash, { shape: [5], data: new Float32Array(5) }]]);
    const shape = { code: 'shape_mismatch', at: z, got: '5', expected: expect.stringContaining('[6, 3, 7]') };
    expect(await refused({ interventions, artefacts })).toMatchObject(shape);
  });

  test('an average over positions of something that has two position axes', async () => {
    const site = 'blocks.0.attn.hook_pattern';
    const runs = new Map([['clean', await other([{ kind: 'capture', at: { site } }])]]);
    const value = { kind: 'mean', run: 'clean', over: 'batch_pos' } as const;
    expect(await refused({ interventions: [{ kind: 'write', at: { site }, op: 'set', value }], runs })).toMatchObject({
      code: 'bad_value',
      at: site,
    });
  });

  test('a resampling that gives everybody their own value back', async () => {
    const runs = new Map([['clean', await other(whole)]]);
    const value = { kind: 'resample', run: 'clean', by: { kind: 'roll', shift: 3 } } as const;
    expect(
      await refused({ interventions: [{ kind: 'write', at: { site: z }, op: 'set', value }], runs }),
    ).toMatchObject({ code: 'bad_value', at: z });
  });
});

describe('a plan', () => {
  test('for another graph', async () => {
    const plan = makePlan(smallModels.llama().graph, { readouts: [logits] });
    expect(await refused({ plan })).toMatchObject({ code: 'wrong_graph', got: plan.graph });
  });

  test('without readouts, or with a sweep of nothing', async () => {
    expect(await refused({ readouts: [] })).toMatchObject({ code: 'no_readouts' });
    expect(await refused({ sweep: [] })).toMatchObject({ code: 'empty_sweep' });
  });

  test('whose answers are fewer than the examples, or not in the vocabulary', async () => {
    const at = { kind: 'last' } as const;
    const few: Readout = { kind: 'logitDiff', at, answer: [1, 2], wrong: [3, 4] };
    expect(await refused({ readouts: [few] })).toMatchObject({ code: 'bad_readout' });
    const far: Readout = { kind: 'logitDiff', at, answer: [37], wrong: [3] };
    expect(await refused({ readouts: [far] })).toMatchObject({ code: 'out_of_range', expected: '0 to 36', got: '37' });
  });

  test('that changes the logits cannot read metrics of them', async () => {
    const readouts: Readout[] = [{ kind: 'topK', at: { kind: 'last' }, k: 1 }];
    expect(await refused({ interventions: [set('logits')], readouts })).toMatchObject({
      code: 'unsupported',
      at: 'logits',
    });
  });
});

describe('a prompt', () => {
  test('without tokens, ragged, with ids that are none, with a mask of another shape', async () => {
    const prompts: Prompt[] = [
      { tokens: [] },
      { tokens: [[]] },
      { tokens: [[1, 2], [3]] },
      { tokens: [[1, 2.5]] },
      { tokens: [[1, -1]] },
      { tokens: [[1, 2]], mask: [[1]] },
      {
        tokens: [[1, 2]],
        positions: [
          [0, 1],
          [0, 1],
        ],
      },
    ];
    for (const prompt of prompts)
      expect(await refused({ prompt }), JSON.stringify(prompt)).toMatchObject({ code: 'bad_prompt' });
  });

  const executors: [string, Executor | null][] = [
    ['reference', referenceExecutor()],
    ['native', choice.kind === 'native' ? nativeExecutor(choice.addon) : null],
  ];
  for (const [name, executor] of executors) {
    test(`${name}: with a token outside the vocabulary, a position outside the context`, async (context) => {
      if (!executor) return context.skip(`the addon does not load: ${choice.kind === 'missing' ? choice.reason : ''}`);
      const token = await refused({ prompt: { tokens: [[1, 37]] }, executor });
      expect(token).toMatchObject({ code: 'out_of_range', message: expect.stringMatching(/37.*vocabulary/) });
      const position = await refused({ prompt: { tokens: [[1, 2]], positions: [[18, 19]] }, executor });
      expect(position).toMatchObject({ code: 'out_of_range', message: expect.stringMatching(/19.*context/) });
      const long = await refused({ prompt: { tokens: randomTokens(1, 1, 20) }, executor });
      expect(long).toMatchObject({ code: 'out_of_range', message: expect.stringContaining('context') });
    });
  }
});

import type { GradientTarget, Intervention, Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { listSites } from '../graph/index.ts';
import { digestTensor, type Floats, Rng, type Tensor } from '../tensor/index.ts';
import { chooseExecutor } from './choose-executor.ts';
import { compile } from './compile.ts';
import {
  randomTensor,
  randomTokens,
  type SmallModelName,
  smallModelNames,
  smallModels,
} from './fixtures/small-models.ts';
import { programBytes } from './program.ts';
import { referenceExecutor } from './reference-executor.ts';
import { type Engine, makePlan, type RunOptions, runPlan } from './run-plan.ts';

// Gradients against central differences of the float64 reference: h small enough for h² and large enough for rounding.

const tokens = randomTokens(5, 2, 6);
const h = 1e-5;

const difference: GradientTarget = {
  kind: 'logitDiff',
  at: { kind: 'positions', positions: [2, 5] },
  answer: [3, 9],
  wrong: [11, 4],
  reduce: 'sum',
};
const loss: GradientTarget = { kind: 'loss', reduce: 'mean' };

function engineOf(name: SmallModelName): Engine {
  const { graph, weights } = smallModels[name]();
  // In float64, so that an edit of 1e-5 is not rounded.
  const exact = new Map(
    [...weights].map(([key, weight]) => [key, { ...weight, read: () => Float64Array.from(weight.read()) }]),
  );
  return { graph, weights: exact, executor: referenceExecutor({ precision: 'f64' }) };
}

async function gradients(
  engine: Engine,
  of: readonly GradientTarget[],
  wrt: readonly Extract<Readout, { kind: 'gradient' }>['wrt'][],
  rest: { interventions?: readonly Intervention[]; sweep?: readonly (readonly Intervention[])[] } & RunOptions = {},
): Promise<Tensor[]> {
  const { interventions, sweep, ...options } = rest;
  const readouts = wrt.map((one): Readout => ({ kind: 'gradient', of: [...of], wrt: one }));
  const plan = makePlan(engine.graph, {
    readouts,
    ...(interventions ? { interventions } : {}),
    ...(sweep ? { sweep } : {}),
  });
  const { results } = await runPlan(engine, plan, { tokens }, options);
  return results.map((result) => {
    if (result.kind !== 'gradient') throw new Error('a gradient is missing');
    return result.tensor;
  });
}

/** The targets' numbers, each added over examples and positions. */
async function numbers(engine: Engine, interventions: readonly Intervention[], options: RunOptions = {}) {
  const readouts: Readout[] = [
    { kind: 'logitDiff', at: { kind: 'positions', positions: [2, 5] }, answer: [3, 9], wrong: [11, 4] },
    { kind: 'loss' },
  ];
  const { results } = await runPlan(engine, makePlan(engine.graph, { readouts, interventions }), { tokens }, options);
  const [first, second] = results.map((result) => {
    if (result.kind === 'topK' || result.kind === 'latents') throw new Error('not a number');
    return Array.from(result.tensor.data).reduce((a, b) => a + b, 0);
  });
  return { difference: first ?? 0, loss: (second ?? 0) / (2 * 5) };
}

async function slope(engine: Engine, change: (amount: number) => { list: Intervention[]; options?: RunOptions }) {
  const at = async (amount: number) => {
    const { list, options } = change(amount);
    return numbers(engine, list, options);
  };
  const [up, down] = [await at(h), await at(-h)];
  return { difference: (up.difference - down.difference) / (2 * h), loss: (up.loss - down.loss) / (2 * h) };
}

function expectClose(got: number, wish: number, scale: number, what: string): void {
  expect(Math.abs(got - wish), `${what}: ${got} instead of ${wish}`).toBeLessThan(1e-6 * Math.max(scale, 1e-3));
}

const largest = (data: Floats): number => Array.from(data).reduce((a, b) => Math.max(a, Math.abs(b)), 0);

describe.each(smallModelNames)('%s', (name) => {
  test('the gradient at every site is the slope of both targets', async () => {
    const engine = engineOf(name);
    const sites = [
      ...listSites(engine.graph)
        .map(({ site }) => site)
        .filter((site) => site !== 'logits' && !site.endsWith('hook_expert_indices')),
      'blocks.0.hook_q_input',
      'blocks.1.hook_v_input',
      'final.hook_in',
    ].filter((site) => !/^blocks\.[01]\.ln1\./.test(site));
    const tensors = await gradients(
      engine,
      [difference, loss],
      sites.map((site) => ({ kind: 'site', at: { site } })),
    );
    const rng = new Rng(1, 'gradients.sites');
    for (const [index, site] of sites.entries()) {
      const tensor = tensors[index];
      if (!tensor) throw new Error(site);
      const each = tensor.data.length / 2;
      expect(tensor.shape.slice(0, 2), site).toEqual([2, 2]);
      for (let draw = 0; draw < 2; draw++) {
        const entry = rng.below(each);
        const shape = tensor.shape.slice(1);
        const size = shape.slice(1).reduce((a, b) => a * b, 1);
        const bump = new Float64Array(each);
        bump[entry] = 1;
        const { hash, artefacts } = await stored({ shape, data: bump });
        const got = await slope(engine, (amount) => ({
          list: [{ kind: 'write', at: { site }, op: 'add', value: { kind: 'artefact', hash }, coefficient: amount }],
          options: { artefacts },
        }));
        const what = `${site}[${Math.floor(entry / size)}, ${entry % size}]`;
        expectClose(tensor.data[entry] ?? Number.NaN, got.difference, largest(tensor.data.subarray(0, each)), what);
        expectClose(tensor.data[each + entry] ?? Number.NaN, got.loss, largest(tensor.data.subarray(each)), what);
      }
    }
  });

  test('the gradient of every weight is the slope of both targets', async () => {
    const engine = engineOf(name);
    const params = engine.graph.params.filter(({ name: param }) => !param.startsWith('rotary'));
    const tensors = await gradients(
      engine,
      [difference, loss],
      params.map(({ name: param }) => ({ kind: 'param', name: param })),
    );
    const rng = new Rng(2, 'gradients.params');
    for (const [index, { name: param, shape }] of params.entries()) {
      const tensor = tensors[index];
      expect(tensor?.shape, param).toEqual([2, ...shape]);
      if (!tensor) continue;
      const size = tensor.data.length / 2;
      const live = [...tensor.data.subarray(0, size).keys()].filter((at) => tensor.data[size + at] !== 0);
      for (let draw = 0; draw < 3; draw++) {
        // Rows of tokens that do not occur and experts that nobody is sent to have no gradient; take one entry anywhere, the others where there is one.
        const entry = draw === 0 ? rng.below(size) : (live[rng.below(Math.max(1, live.length))] ?? 0);
        const bump = new Float64Array(size);
        bump[entry] = 1;
        const got = await slope(engine, (amount) => ({ list: edited(param, shape, entry, amount) }));
        const what = `${param}[${entry}]`;
        expectClose(tensor.data[entry] ?? Number.NaN, got.difference, largest(tensor.data.subarray(0, size)), what);
        expectClose(tensor.data[size + entry] ?? Number.NaN, got.loss, largest(tensor.data.subarray(size)), what);
      }
    }
  });

  test('through changes of every kind, and edges, gradients are slopes too', async () => {
    const engine = engineOf(name);
    const other = randomTensor(8, [6, engineWidth(engine)]);
    const { hash, artefacts } = await stored(other);
    const direction = await stored(randomTensor(9, [engineWidth(engine)]));
    const all = new Map([...artefacts, ...direction.artefacts]);
    const changes: Intervention[] = [
      {
        kind: 'write',
        at: { site: 'blocks.0.attn.hook_z', head: [1] },
        op: 'scale',
        value: { kind: 'const', value: 0.5 },
      },
      {
        kind: 'write',
        at: { site: 'blocks.0.attn.hook_v', at: { kind: 'positions', positions: [1, 3] } },
        op: 'set',
        value: { kind: 'const', value: 0.2 },
      },
      {
        kind: 'write',
        at: { site: 'blocks.1.hook_resid_pre' },
        op: 'add',
        value: { kind: 'artefact', hash },
        coefficient: 0.3,
      },
      { kind: 'direction', at: { site: 'blocks.1.hook_resid_pre' }, op: 'project_out', direction: direction.hash },
      { kind: 'direction', at: { site: 'blocks.1.hook_attn_out' }, op: 'clamp', direction: direction.hash, value: 1.5 },
      {
        kind: 'edge',
        from: { kind: 'head', layer: 0, head: 0 },
        to: { kind: 'head', layer: 1, head: 0, port: 'k' },
        value: { kind: 'const', value: 0 },
      },
      { kind: 'edge', from: { kind: 'input' }, to: { kind: 'logits', port: 'in' }, value: { kind: 'const', value: 0 } },
    ];
    const site = 'hook_embed';
    const [tensor] = await gradients(engine, [difference, loss], [{ kind: 'site', at: { site } }], {
      interventions: changes,
      artefacts: all,
    });
    if (!tensor) throw new Error(site);
    const each = tensor.data.length / 2;
    const rng = new Rng(3, 'gradients.changes');
    for (let draw = 0; draw < 4; draw++) {
      const entry = rng.below(each);
      const bump = new Float64Array(each);
      bump[entry] = 1;
      const extra = await stored({ shape: tensor.shape.slice(1), data: bump });
      const got = await slope(engine, (amount) => ({
        list: [
          {
            kind: 'write',
            at: { site },
            op: 'add',
            value: { kind: 'artefact', hash: extra.hash },
            coefficient: amount,
          },
          ...changes,
        ],
        options: { artefacts: new Map([...all, ...extra.artefacts]) },
      }));
      expectClose(tensor.data[entry] ?? 0, got.difference, largest(tensor.data.subarray(0, each)), `${site}[${entry}]`);
      expectClose(tensor.data[each + entry] ?? 0, got.loss, largest(tensor.data.subarray(each)), `${site}[${entry}]`);
    }
  });

  test('a target alone has the bits that it has among others, and a variant those it has in a sweep', async () => {
    const { executor } = await chooseExecutor();
    const { graph, weights } = smallModels[name]();
    const engine = { graph, weights, executor };
    const wrt = [
      { kind: 'site', at: { site: 'blocks.0.hook_resid_pre' } },
      { kind: 'param', name: 'blocks.1.attn.W_K' },
    ] as const;
    const sweep: Intervention[][] = [0, 1, 2].map((head) => [
      {
        kind: 'write',
        at: { site: 'blocks.0.attn.hook_z', head: [head] },
        op: 'set',
        value: { kind: 'const', value: 0 },
      },
    ]);
    const together = await gradients(engine, [difference, loss], wrt, { sweep });
    for (const [target, of] of [difference, loss].entries()) {
      for (const [variant, interventions] of sweep.entries()) {
        const alone = await gradients(engine, [of], wrt, { interventions });
        for (const [index, one] of alone.entries()) {
          const all = together[index];
          expect(all?.shape.slice(0, 2)).toEqual([3, 2]);
          const size = one.data.length;
          const from = (variant * 2 + target) * size;
          expect(all?.data.slice(from, from + size)).toEqual(one.data);
        }
      }
    }
  });

  test('looking at gradients changes no value, and recomputing keeps every bit', async () => {
    const { executor } = await chooseExecutor();
    const { graph, weights } = smallModels[name]();
    const engine = { graph, weights, executor };
    const capture: Readout = { kind: 'capture', at: { site: 'logits' } };
    const wrt = engine.graph.params
      .filter(({ name: param }) => !param.startsWith('rotary'))
      .map(({ name: param }) => ({ kind: 'param' as const, name: param }));
    const readouts = [capture, ...wrt.map((one): Readout => ({ kind: 'gradient', of: [loss], wrt: one }))];
    const blind = await runPlan(engine, makePlan(engine.graph, { readouts: [capture] }), { tokens });
    const plain = await runPlan(engine, makePlan(engine.graph, { readouts }), { tokens });
    const again = await runPlan(engine, makePlan(engine.graph, { readouts }), { tokens }, { checkpoint: true });
    expect(plain.results[0]).toEqual(blind.results[0]);
    expect(again.results).toEqual(plain.results);
  });
});

test('recomputing needs less memory', () => {
  const { graph } = smallModels.gpt2();
  const readouts: Readout[] = graph.params.map(({ name }) => ({
    kind: 'gradient',
    of: [loss],
    wrt: { kind: 'param', name },
  }));
  const bytes = (checkpoint: boolean): number => {
    const { program } = compile({ graph, variants: [[]], readouts, checkpoint });
    return programBytes(program, { batch: 1, rows: 1, cotangents: 1, groups: 1, pos: 512 });
  };
  expect(bytes(true)).toBeLessThan(0.8 * bytes(false));
});

test('the way back through an attention and a norm is one step each', () => {
  const { graph } = smallModels.gpt2();
  const readouts: Readout[] = [{ kind: 'gradient', of: [loss], wrt: { kind: 'param', name: 'pos_embed.W_pos' } }];
  const { program } = compile({ graph, variants: [[]], readouts });
  const count = (kernel: string): number => program.steps.filter((step) => step.kernel === kernel).length;
  expect([count('attention'), count('attention_grad'), count('norm'), count('norm_grad')]).toEqual([2, 2, 5, 5]);
  expect(count('softmax_grad') + count('normalize_grad') + count('repeat')).toBe(0);
});

test('a detached site keeps its value and takes no part in gradients', async () => {
  const engine = engineOf('gpt2');
  const wrt = [{ kind: 'site', at: { site: 'blocks.0.hook_resid_pre' } }] as const;
  const detach = (site: string): Intervention => ({ kind: 'detach', at: { site } });
  const patterns = [0, 1].map((layer) => detach(`blocks.${layer}.attn.hook_pattern`));
  const [whole] = await gradients(engine, [difference], wrt);
  const [frozen] = await gradients(engine, [difference], wrt, { interventions: patterns });
  expect(frozen?.data).not.toEqual(whole?.data);
  // Frozen patterns are constants: the slope with the pattern written back from the clean run.
  const sites = [0, 1].map((layer) => `blocks.${layer}.attn.hook_pattern`);
  const capture = makePlan(engine.graph, {
    readouts: sites.map((site): Readout => ({ kind: 'capture', at: { site } })),
  });
  const run = await runPlan(engine, capture, { tokens });
  const entry = 17;
  const bump = new Float64Array(frozen?.data.length ?? 0);
  bump[entry] = 1;
  const { hash, artefacts } = await stored({ shape: frozen?.shape.slice(1) ?? [], data: bump });
  const got = await slope(engine, (amount) => ({
    list: [
      {
        kind: 'write',
        at: { site: 'blocks.0.hook_resid_pre' },
        op: 'add',
        value: { kind: 'artefact', hash },
        coefficient: amount,
      },
      ...sites.map((site): Intervention => ({ kind: 'freeze', at: { site }, value: { kind: 'run', name: 'clean' } })),
    ],
    options: { artefacts, runs: new Map([['clean', run]]) },
  }));
  expectClose(
    frozen?.data[entry] ?? 0,
    got.difference,
    largest(frozen?.data ?? new Float64Array(1)),
    'frozen patterns',
  );
});

test('a target can be a part of a site, along a direction', async () => {
  const engine = engineOf('gpt2');
  const direction = await stored(randomTensor(4, [7]));
  const site = 'blocks.1.attn.hook_q';
  const of: GradientTarget = {
    kind: 'site',
    at: { site, at: { kind: 'positions', positions: [3] }, head: [2] },
    direction: direction.hash,
  };
  const [tensor] = await gradients(engine, [of], [{ kind: 'param', name: 'blocks.1.attn.W_Q' }], {
    artefacts: direction.artefacts,
  });
  const readouts: Readout[] = [{ kind: 'capture', at: { site: 'blocks.1.ln1.hook_out' } }];
  const run = await runPlan(engine, makePlan(engine.graph, { readouts }), { tokens });
  const [out] = run.results;
  if (out?.kind !== 'capture' || !tensor) throw new Error('a readout is missing');
  const v = [...direction.artefacts.values()][0]?.data ?? [];
  const width = 21;
  for (let k = 0; k < width; k++) {
    const sum = (out.tensor.data[3 * width + k] ?? 0) + (out.tensor.data[(6 + 3) * width + k] ?? 0);
    for (let n = 0; n < width; n++) {
      const expected = n >= 14 ? sum * (v[n - 14] ?? 0) : 0;
      expect(tensor.data[k * width + n]).toBeCloseTo(expected, 10);
    }
  }
});

describe('what has no gradient is an error', () => {
  const engine = engineOf('gpt2');
  const at = (site: string) => [{ kind: 'site', at: { site } }] as const;

  test('a site that no target depends on', async () => {
    const early: GradientTarget = { kind: 'site', at: { site: 'blocks.0.attn.hook_q' } };
    await expect(gradients(engine, [early], at('blocks.1.hook_resid_pre'))).rejects.toMatchObject({
      code: 'no_gradient',
    });
  });

  test('everything behind what is detached', async () => {
    const interventions: Intervention[] = [{ kind: 'detach', at: { site: 'blocks.1.hook_resid_post' } }];
    await expect(gradients(engine, [loss], at('blocks.0.hook_resid_pre'), { interventions })).rejects.toMatchObject({
      code: 'no_gradient',
    });
  });

  test('a weight that does not exist, and two lists of targets in a plan', async () => {
    await expect(gradients(engine, [loss], [{ kind: 'param', name: 'blocks.9.attn.W_K' }])).rejects.toMatchObject({
      code: 'unknown_param',
    });
    const readouts: Readout[] = [loss, difference].map((of) => ({
      kind: 'gradient',
      of: [of],
      wrt: { kind: 'site', at: { site: 'hook_embed' } },
    }));
    await expect(runPlan(engine, makePlan(engine.graph, { readouts }), { tokens })).rejects.toMatchObject({
      code: 'unsupported',
    });
  });

  test('detaching in a plan that reads no gradient', async () => {
    const plan = makePlan(engine.graph, {
      readouts: [{ kind: 'loss' }],
      interventions: [{ kind: 'detach', at: { site: 'hook_embed' } }],
    });
    await expect(runPlan(engine, plan, { tokens })).rejects.toMatchObject({ code: 'never_fires' });
  });
});

async function stored(tensor: Tensor) {
  const hash = await digestTensor(tensor);
  return { hash, artefacts: new Map([[hash, tensor]]) };
}

function engineWidth(engine: Engine): number {
  return engine.graph.params.find(({ name }) => name.startsWith('unembed'))?.shape[0] ?? 0;
}

/** Adds an amount to one entry of a weight. */
function edited(param: string, shape: readonly number[], entry: number, amount: number): Intervention[] {
  const columns = shape[shape.length - 1] ?? 1;
  const scope = shape.length === 1 ? { column: entry } : { row: Math.floor(entry / columns), column: entry % columns };
  return [{ kind: 'weight', param, ...scope, op: 'add', value: { kind: 'const', value: amount } }];
}

test('along edges, a gradient is multiplied with what each writer writes, for every target and variant', async () => {
  const engine = engineOf('gpt2');
  const { graph } = engine;
  const of: readonly GradientTarget[] = [difference, loss];
  const noise = (seed: number, site: string): Tensor => {
    const shape =
      listSites(graph)
        .find((one) => one.site === site)
        ?.shape.slice(1) ?? [];
    return randomTensor(seed, [2, ...shape.map((size) => (size === 'pos' ? 6 : Number(size)))]);
  };
  const sites = ['hook_embed', 'blocks.0.attn.hook_z', 'blocks.0.hook_mlp_out'];
  const changes = new Map(sites.map((site, at) => [site, noise(41 + at, site)]));
  const steered = noise(44, 'hook_embed');
  const artefacts = new Map([...changes.values(), steered].map((tensor) => [digestTensor(tensor), tensor]));
  const from = [...changes].map(([site, tensor]) => ({ site, change: digestTensor(tensor) }));
  const sweep: readonly (readonly Intervention[])[] = [
    [],
    [
      {
        kind: 'write',
        at: { site: 'hook_embed' },
        op: 'add',
        value: { kind: 'artefact', hash: digestTensor(steered) },
        coefficient: 1,
      },
    ],
  ];
  for (const reader of ['blocks.1.hook_q_input', 'blocks.1.hook_mlp_in']) {
    const [along, whole] = await gradients(
      engine,
      of,
      [
        { kind: 'edges', at: { site: reader }, from },
        { kind: 'site', at: { site: reader } },
      ],
      { sweep, artefacts },
    );
    if (!along || !whole) throw new Error('a gradient is missing');
    const perHead = whole.shape.length === 6;
    const heads = perHead ? (whole.shape[4] ?? 0) : 1;
    const width = whole.shape.at(-1) ?? 0;
    const writes = sites.flatMap((site) => writesOf(engine, site, changes.get(site)));
    expect(along.shape).toEqual([2, 2, 2, writes.length, heads]);
    for (let at = 0; at < along.data.length; at++) {
      const [head, writer] = [at % heads, Math.floor(at / heads) % writes.length];
      const row = Math.floor(at / heads / writes.length);
      let sum = 0;
      for (let pos = 0; pos < 6; pos++) {
        for (let d = 0; d < width; d++) {
          const g = whole.data[((row * 6 + pos) * heads + head) * width + d] ?? 0;
          sum += g * (writes[writer]?.[((row % 2) * 6 + pos) * width + d] ?? 0);
        }
      }
      expect(along.data[at]).toBeCloseTo(sum, 10);
    }
  }
});

/** What a change writes into the stream, [token, width], one a head; by hand. */
function writesOf({ graph, weights }: Engine, site: string, change: Tensor | undefined): Float64Array[] {
  const data = Float64Array.from(change?.data ?? []);
  if (!site.endsWith('hook_z')) return [data];
  const [batch = 0, pos = 0, heads = 0, inner = 0] = change?.shape ?? [];
  const out = graph.nodes.find(({ sites }) => sites.includes('blocks.0.hook_attn_out'));
  const w = weights.get(out?.params[0] ?? '')?.read() ?? [];
  const width = Number(out?.shape[2]);
  return Array.from({ length: heads }, (_, head) => {
    const written = new Float64Array(batch * pos * width);
    for (let token = 0; token < batch * pos; token++)
      for (let e = 0; e < inner; e++)
        for (let d = 0; d < width; d++) {
          const z = data[(token * heads + head) * inner + e] ?? 0;
          written[token * width + d] = (written[token * width + d] ?? 0) + z * (w[(head * inner + e) * width + d] ?? 0);
        }
    return written;
  });
}

test.each([
  { what: 'another width', at: 'blocks.0.hook_mlp_in', site: 'blocks.0.mlp.hook_post', code: 'bad_scope' },
  { what: 'a pattern', at: 'blocks.0.hook_mlp_in', site: 'blocks.0.attn.hook_pattern', code: 'bad_scope' },
  { what: 'a change of other examples', at: 'blocks.0.hook_mlp_in', site: 'hook_embed', code: 'bad_shape' },
])('a gradient along edges from $what is refused', async ({ at, site, code }) => {
  const engine = engineOf('gpt2');
  const tensor = randomTensor(1, [1, 6, Number(findWidth(engine))]);
  const change = digestTensor(tensor);
  const asked = gradients(engine, [difference], [{ kind: 'edges', at: { site: at }, from: [{ site, change }] }], {
    artefacts: new Map([[change, tensor]]),
  });
  await expect(asked).rejects.toMatchObject({ code });
});

function findWidth({ graph }: Engine) {
  return graph.nodes.find(({ sites }) => sites.includes('hook_embed'))?.shape[2];
}

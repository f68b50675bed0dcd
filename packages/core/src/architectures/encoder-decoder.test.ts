import {
  edgeLabel,
  type Intervention,
  type ReaderRef,
  readerLabel,
  type UnitRef,
  unitLabel,
} from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import {
  attentionOutSite,
  attentionSite,
  blockSite,
  decompose,
  edgesOf,
  listSites,
  readerSite,
} from '../graph/index.ts';
import {
  captured,
  chooseExecutor,
  type Engine,
  makePlan,
  type Prompt,
  type Run,
  readoutTensor,
  readWeight,
  referenceExecutor,
  runPlan,
} from '../plan/index.ts';
import { digestTensor, type Tensor } from '../tensor/index.ts';
import { randomT5 } from './random-t5.fixture.ts';

const models = {
  plain: randomT5(),
  gated: randomT5({ gated: true, tied: false, seed: 2 }),
};
const { spec, graph } = models.plain;
const exact: Engine = { ...models.plain, executor: referenceExecutor({ precision: 'f64' }) };
const prompt: Prompt = {
  tokens: [
    [3, 1, 4, 1, 5, 9, 2],
    [6, 5, 3, 5, 8, 0, 0],
  ],
  mask: [
    [1, 1, 1, 1, 1, 1, 1],
    [1, 1, 1, 1, 1, 0, 0],
  ],
  decoderTokens: [
    [0, 7, 18, 2],
    [0, 27, 1, 0],
  ],
  decoderMask: [
    [1, 1, 1, 1],
    [1, 1, 1, 0],
  ],
};
const capture = (...sites: readonly string[]) => sites.map((site) => ({ kind: 'capture' as const, at: { site } }));
const zero = { kind: 'const', value: 0 } as const;

async function read(engine: Engine, interventions: readonly Intervention[], sites: readonly string[], given = prompt) {
  return runPlan(engine, makePlan(engine.graph, { interventions, readouts: capture(...sites) }), given);
}

/** What a unit writes at each token of a run that captured all that units write. */
function writeOf(run: Run, unit: UnitRef): ArrayLike<number> {
  if (unit.kind === 'input') return captured(run, `${unit.stack}.hook_embed`).data;
  if (unit.kind === 'mlp') return captured(run, `${blockSite(unit)}.hook_mlp_out`).data;
  if (unit.kind !== 'head') throw new Error(`${unitLabel(unit)} writes nothing`);
  const { shape, data } = captured(run, `${attentionSite(unit)}.hook_result`);
  const [heads = 1, width = 1] = shape.slice(2);
  return data.filter((_, at) => Math.floor(at / width) % heads === unit.head);
}

const writingSites = listSites(graph).flatMap(({ site }) => {
  if (/hook_embed$|hook_mlp_out$/.test(site)) return [site];
  return site.endsWith('.hook_z') ? [site.replace('hook_z', 'hook_result')] : [];
});

describe('decomposition', () => {
  const { units, readers, exactSum } = decompose(graph);

  test('units are heads of three attentions, MLPs and inputs of both stacks', () => {
    expect(exactSum).toBe(true);
    const of = (stack: string, layer: number) => [0, 1, 2].map((head) => `${stack}.${layer}.${head}`);
    expect(units.map(unitLabel)).toEqual([
      'enc.input',
      ...of('enc', 0),
      'enc.mlp0',
      ...of('enc', 1),
      'enc.mlp1',
      'dec.input',
      ...of('dec', 0),
      ...of('cross', 0),
      'dec.mlp0',
      ...of('dec', 1),
      ...of('cross', 1),
      'dec.mlp1',
      'logits',
    ]);
  });

  test('edges lead from the encoder into the decoder through keys and values of cross-attention alone', () => {
    const encoder = units.filter((unit) => 'stack' in unit && unit.stack === 'encoder').map(unitLabel);
    for (const { reader, writers } of readers) {
      const label = readerLabel(reader);
      const from = writers.map(unitLabel);
      if (/^cross\.\d\.\d\.[KV]$/.test(label)) expect(from, label).toEqual(encoder);
      else if (label.startsWith('enc.'))
        expect(
          from.every((unit) => unit.startsWith('enc.')),
          label,
        ).toBe(true);
      else
        expect(
          from.some((unit) => unit.startsWith('enc.')),
          label,
        ).toBe(false);
    }
    const labels = edgesOf({ units, readers, exactSum }).map(edgeLabel);
    expect(labels).toContain('enc.mlp1→cross.0.2.V');
    expect(labels).toContain('cross.0.1→dec.mlp0');
    expect(labels).not.toContain('dec.mlp0→cross.0.1.Q');
    expect(new Set(labels).size).toBe(labels.length);
  });

  test.each(['plain', 'gated'] as const)('what writers add up to is what each reader sees: %s', async (name) => {
    const model = models[name];
    const own = { ...model, executor: exact.executor };
    const run = await read(own, [], [...writingSites, ...new Set(readers.map(({ reader }) => readerSite(reader)))]);
    for (const { reader, writers } of readers) {
      const { shape, data } = captured(run, readerSite(reader));
      const width = spec.width;
      const heads = reader.kind === 'head' ? (shape[2] ?? 1) : 1;
      const head = reader.kind === 'head' ? reader.head : 0;
      const seen = Array.from(data).filter((_, at) => Math.floor(at / width) % heads === head);
      const sum = new Float64Array(seen.length);
      for (const unit of writers) {
        const write = writeOf(run, unit);
        for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) + (write[at] ?? Number.NaN);
      }
      const gap = Math.max(...seen.map((value, at) => Math.abs(value - (sum[at] ?? Number.NaN))));
      expect(gap, readerLabel(reader)).toBeLessThan(1e-12);
    }
  });
});

describe('an edge that is cut', () => {
  /** The stream without one term through a reader's norm and weight, worked out here: x/√(mean x² + eps)·gain·W. */
  function recomputed(
    stream: Tensor,
    write: ArrayLike<number>,
    norm: string,
    weight: string,
    factor = 1,
  ): Float64Array {
    const gain = readWeight(models.plain.weights, norm).data;
    const { shape, data: w } = readWeight(models.plain.weights, weight);
    const [into = 0, out = 0] = shape;
    const rows = stream.data.length / into;
    const made = new Float64Array(rows * out);
    for (let row = 0; row < rows; row++) {
      const x = Array.from(
        { length: into },
        (_, i) => (stream.data[row * into + i] ?? 0) - (write[row * into + i] ?? 0),
      );
      const scale = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / into + spec.eps);
      for (let o = 0; o < out; o++) {
        let sum = 0;
        for (let i = 0; i < into; i++) sum += ((x[i] ?? 0) / scale) * (gain[i] ?? 0) * (w[i * out + o] ?? 0);
        made[row * out + o] = sum * factor;
      }
    }
    return made;
  }

  const cases: readonly { from: UnitRef; to: ReaderRef; stream: string; norm: string }[] = [
    {
      from: { kind: 'head', stack: 'encoder', layer: 1, head: 0 },
      to: { kind: 'head', stack: 'cross', layer: 0, head: 2, port: 'v' },
      stream: 'encoder_final_ln.hook_in',
      norm: 'encoder_final_ln.w',
    },
    {
      from: { kind: 'input', stack: 'encoder' },
      to: { kind: 'head', stack: 'cross', layer: 1, head: 1, port: 'k' },
      stream: 'encoder_final_ln.hook_in',
      norm: 'encoder_final_ln.w',
    },
    {
      from: { kind: 'head', stack: 'cross', layer: 0, head: 1 },
      to: { kind: 'head', stack: 'cross', layer: 1, head: 0, port: 'q' },
      stream: 'decoder.1.hook_resid_mid',
      norm: 'decoder.1.ln2.w',
    },
    {
      from: { kind: 'mlp', stack: 'encoder', layer: 0 },
      to: { kind: 'head', stack: 'encoder', layer: 1, head: 2, port: 'k' },
      stream: 'encoder.1.hook_resid_pre',
      norm: 'encoder.1.ln1.w',
    },
    {
      from: { kind: 'input', stack: 'decoder' },
      to: { kind: 'mlp', stack: 'decoder', layer: 1, port: 'in' },
      stream: 'decoder.1.hook_resid_mid_cross',
      norm: 'decoder.1.ln3.w',
    },
    {
      from: { kind: 'head', stack: 'cross', layer: 1, head: 2 },
      to: { kind: 'logits', port: 'in' },
      stream: 'decoder_final_ln.hook_in',
      norm: 'decoder_final_ln.w',
    },
  ];

  test.each(cases)(
    'equals the model recomputed by hand: $from.stack → $to.kind',
    async ({ from, to, stream, norm }) => {
      const cut = await read(exact, [{ kind: 'edge', from, to, value: zero }], ['logits']);
      const whole = await read(exact, [], [stream, 'logits', ...writingSites]);
      const write = writeOf(whole, from);
      const product = (weight: string, factor?: number) =>
        recomputed(captured(whole, stream), write, norm, weight, factor);
      let expected: ArrayLike<number>;
      if (to.kind === 'logits') expected = product('unembed.W_U', spec.width ** -0.5);
      else {
        const site = to.kind === 'head' ? `${attentionSite(to)}.hook_${to.port}` : `${blockSite(to)}.mlp.hook_pre`;
        const weight =
          to.kind === 'head' ? `${attentionSite(to)}.W_${to.port.toUpperCase()}` : `${blockSite(to)}.mlp.W_in`;
        const data = product(weight);
        const positions = data.length / (2 * (to.kind === 'head' ? 15 : spec.inner));
        const tensor = { shape: [2, positions, ...(to.kind === 'head' ? [3, 5] : [spec.inner])], data };
        const hash = digestTensor(tensor);
        const at = to.kind === 'head' ? { site, head: [to.head] } : { site };
        const plan = makePlan(graph, {
          interventions: [{ kind: 'write', at, op: 'set', value: { kind: 'artefact', hash } }],
          readouts: capture('logits'),
        });
        expected = captured(
          await runPlan(exact, plan, prompt, { artefacts: new Map([[hash, tensor]]) }),
          'logits',
        ).data;
      }
      const got = captured(cut, 'logits').data;
      const clean = captured(whole, 'logits').data;
      expect(Math.max(...Array.from(got, (value, at) => Math.abs(value - (clean[at] ?? 0))))).toBeGreaterThan(1e-4);
      got.forEach((value, at) => {
        expect(Math.abs(value - (expected[at] ?? Number.NaN)), `${edgeLabel({ from, to })}[${at}]`).toBeLessThan(1e-10);
      });
    },
  );

  test('every edge has the bits alone that it has in a sweep over all of them, and cutting it changes something', async () => {
    const { executor } = await chooseExecutor();
    const engine = { ...models.plain, executor };
    const edges = edgesOf(decompose(graph));
    const sweep = edges.map((edge): Intervention[] => [{ kind: 'edge', ...edge, value: zero }]);
    const together = readoutTensor(
      await runPlan(engine, makePlan(graph, { sweep: [[], ...sweep], readouts: capture('logits') }), prompt),
      0,
    ).data;
    const size = together.length / (sweep.length + 1);
    const clean = together.slice(0, size);
    for (let at = 0; at < edges.length; at += 7) {
      const alone = captured(await read(engine, sweep[at] ?? [], ['logits']), 'logits').data;
      expect(alone).toEqual(together.slice((at + 1) * size, (at + 2) * size));
      expect(alone).not.toEqual(clean);
    }
  });

  test('a change of a norm that heads share is refused where one of them reads on its own', async () => {
    const interventions: Intervention[] = [
      {
        kind: 'edge',
        from: { kind: 'input', stack: 'encoder' },
        to: { kind: 'head', stack: 'cross', layer: 1, head: 0, port: 'k' },
        value: zero,
      },
      { kind: 'write', at: { site: 'encoder_final_ln.hook_scale' }, op: 'scale', value: { kind: 'const', value: 2 } },
    ];
    await expect(read(exact, interventions, ['logits'])).rejects.toMatchObject({ code: 'shared_norm' });
  });
});

describe('positions of either side', () => {
  test('the last one is that of the text a site lies in, behind padding', async () => {
    const set = (site: string, at: 'last' | readonly number[]): Intervention => ({
      kind: 'write',
      at: { site, at: at === 'last' ? { kind: 'last' } : { kind: 'perExample', positions: [...at] } },
      op: 'set',
      value: zero,
    });
    for (const [site, positions] of [
      ['encoder.0.hook_resid_post', [6, 4]],
      ['decoder.0.hook_resid_post', [3, 2]],
    ] as const) {
      const last = await read(exact, [set(site, 'last')], ['logits']);
      const named = await read(exact, [set(site, positions)], ['logits']);
      expect(captured(last, 'logits').data).toEqual(captured(named, 'logits').data);
      expect(captured(last, 'logits').data).not.toEqual(captured(await read(exact, [], ['logits']), 'logits').data);
    }
  });

  test('a scope cuts a cross-attention pattern by decoder queries and encoder keys', async () => {
    const site = 'decoder.1.cross_attn.hook_pattern';
    const whole = captured(await read(exact, [], [site]), site);
    expect(whole.shape).toEqual([2, 3, 4, 7]);
    const at = { site, head: [2], at: { kind: 'positions', positions: [1] }, key: { kind: 'last' } } as const;
    const scope = { ...at, head: [...at.head], at: { ...at.at, positions: [...at.at.positions] } };
    const plan = makePlan(graph, { readouts: [{ kind: 'capture', at: scope }] });
    const { data, shape } = readoutTensor(await runPlan(exact, plan, prompt), 0);
    expect(shape).toEqual([2, 1, 1, 1]);
    expect(Array.from(data)).toEqual([6, 4].map((key, example) => whole.data[((example * 3 + 2) * 4 + 1) * 7 + key]));
  });

  test('a position beyond its own side is refused, though the other side has it', async () => {
    const plan = (site: string, position: number) =>
      runPlan(
        exact,
        makePlan(graph, {
          readouts: [{ kind: 'capture', at: { site, at: { kind: 'positions', positions: [position] } } }],
        }),
        prompt,
      );
    await expect(plan('encoder.0.hook_resid_post', 6)).resolves.toBeDefined();
    await expect(plan('decoder.0.hook_resid_post', 6)).rejects.toMatchObject({ code: 'out_of_range' });
    await expect(plan('encoder.0.hook_resid_post', 7)).rejects.toMatchObject({ code: 'out_of_range' });
  });

  test('means over real positions count those of the side', async () => {
    const clean = await read(exact, [], ['encoder.0.hook_mlp_out', 'decoder.0.hook_mlp_out']);
    const runs = new Map([['clean', clean]]);
    for (const [site, mask] of [
      ['encoder.0.hook_mlp_out', prompt.mask],
      ['decoder.0.hook_mlp_out', prompt.decoderMask],
    ] as const) {
      const value = { kind: 'mean', run: 'clean', over: 'batch_pos' } as const;
      const plan = makePlan(graph, {
        interventions: [{ kind: 'write', at: { site }, op: 'set', value }],
        readouts: capture(site),
      });
      const { data } = captured(await runPlan(exact, plan, prompt, { runs }), site);
      const before = captured(clean, site).data;
      const real = (mask ?? []).flat();
      const count = real.reduce((a, b) => a + b, 0);
      for (let unit = 0; unit < spec.width; unit++) {
        const mean = real.reduce((sum, one, token) => sum + one * (before[token * spec.width + unit] ?? 0), 0) / count;
        expect(data[unit]).toBeCloseTo(mean, 12);
      }
    }
  });

  test('a value of another run goes to its own place, and prompts of another shape are refused', async () => {
    const site = 'encoder.1.hook_resid_post';
    const other: Prompt = { ...prompt, tokens: prompt.tokens.map((row) => row.map((id) => (id + 3) % 29)) };
    const patch: Intervention = { kind: 'write', at: { site }, op: 'set', value: { kind: 'run', name: 'other' } };
    const plan = makePlan(graph, { interventions: [patch], readouts: capture('logits') });
    const run = await read(exact, [], [site, 'logits'], other);
    const runs = new Map([['other', run]]);
    // All that the decoder reads of the encoder is patched, and both masks and decoder texts are equal.
    const patched = captured(await runPlan(exact, plan, prompt, { runs }), 'logits').data;
    expect(patched).toEqual(captured(run, 'logits').data);
    const shorter: Prompt = {
      tokens: prompt.tokens.map((row) => row.slice(1)),
      decoderTokens: prompt.decoderTokens ?? [],
    };
    const wrong = new Map([['other', await read(exact, [], [site], shorter)]]);
    await expect(runPlan(exact, plan, prompt, { runs: wrong })).rejects.toMatchObject({ code: 'shape_mismatch' });
  });
});

describe('what is refused', () => {
  test('a prompt without a text for the decoder, or with one for a model that reads one text', async () => {
    await expect(read(exact, [], ['logits'], { tokens: [[1, 2]] })).rejects.toMatchObject({
      code: 'bad_prompt',
      at: 'decoderTokens',
    });
    await expect(read(exact, [], ['logits'], { tokens: [[1, 2]], decoderTokens: [[0], [0]] })).rejects.toMatchObject({
      code: 'bad_prompt',
    });
    await expect(read(exact, [], ['logits'], { tokens: [[1, 2]], decoderTokens: [[29]] })).rejects.toMatchObject({
      code: 'out_of_range',
    });
  });

  test('the site of what heads add is read-only, and unknown sites are named', async () => {
    const set = (site: string): Intervention => ({ kind: 'write', at: { site }, op: 'set', value: zero });
    await expect(read(exact, [set('decoder.0.cross_attn.hook_result')], ['logits'])).rejects.toMatchObject({
      code: 'read_only_site',
    });
    await expect(read(exact, [], ['encoder.0.cross_attn.hook_z'])).rejects.toMatchObject({ code: 'unknown_site' });
    expect(attentionOutSite({ stack: 'cross', layer: 3 })).toBe('decoder.3.hook_cross_attn_out');
  });
});

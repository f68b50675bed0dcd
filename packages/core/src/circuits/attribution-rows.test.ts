import type { Intervention } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { engineFor, type Model } from '../architectures/index.ts';
import { loadModel } from '../architectures/load-model.ts';
import { randomT5 } from '../architectures/random-t5.fixture.ts';
import { sharedFolder, sharedPath, withoutShared } from '../architectures/shared-data.ts';
import { memoryDictionary, replaceMlp } from '../dictionaries/index.ts';
import { randomTensor, smallModels } from '../plan/fixtures/small-models.ts';
import {
  captured,
  chooseExecutor,
  type Engine,
  type Executor,
  makePlan,
  referenceExecutor,
  runPlan,
} from '../plan/index.ts';
import { digestTensor, Rng } from '../tensor/index.ts';
import { type AttributionRows, attributionRows, type RowTarget } from './attribution-rows.ts';
import { randomAttentionOnly } from './random-model.fixture.ts';

const prompt = { tokens: [[3, 1, 4, 1, 5, 9]] };
const exact = (model: Model): Engine => engineFor(model, referenceExecutor({ precision: 'f64' }));

const difference: RowTarget = {
  kind: 'logitDiff',
  at: { kind: 'positions', positions: [4] },
  answer: [2],
  wrong: [7],
  reduce: 'sum',
};
const at = (positions: number[]) => ({ kind: 'positions' as const, positions });
const logit: RowTarget = { kind: 'site', at: { site: 'logits', at: at([5]), unit: [6] } };
const neuron: RowTarget = { kind: 'site', at: { site: 'blocks.1.mlp.hook_pre', at: at([3]), unit: [2] } };

/** Largest |sources + biases − value| over the largest value. */
function gap({ sums, values }: AttributionRows): number {
  const largest = Math.max(...values.map(Math.abs));
  return Math.max(...values.map((value, target) => Math.abs((sums[target] as number) - value))) / largest;
}

async function everyWay(engine: Engine, targets: readonly RowTarget[], bound: number): Promise<void> {
  for (const heads of ['paths', 'sources'] as const) {
    for (const mlps of ['neurons', 'whole'] as const) {
      const rows = await attributionRows(engine, prompt, targets, { heads, mlps });
      expect(gap(rows), `${heads}, ${mlps}`).toBeLessThan(bound);
      expect(rows.values).toHaveLength(targets.length);
    }
  }
}

describe('sources and biases add up to every target, whichever sources are told apart', () => {
  const norms = ['LN', 'RMS', null] as const;
  test.each(norms)('in an attention-only model with norm %s', async (norm) => {
    await everyWay(randomAttentionOnly(norm).engine, [difference, logit], 1e-10);
  });

  test.each(['gpt2', 'llama'] as const)('in a small random %s', async (name) => {
    await everyWay(exact(smallModels[name]()), [difference, logit, neuron], 1e-10);
  });

  test.skipIf(!sharedFolder)(
    `in recorded GPT-2 and Llama${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`,
    async () => {
      const executors: readonly [Executor, number][] = [
        [referenceExecutor({ precision: 'f64' }), 1e-10],
        [(await chooseExecutor()).executor, 1e-5],
      ];
      for (const name of ['gpt2', 'llama']) {
        const model = loadModel(sharedPath(`golden/models/${name}`));
        for (const [executor, bound] of executors)
          await everyWay(engineFor(model, executor), [difference, logit, neuron], bound);
      }
    },
  );

  test.each([false, true])('in an encoder and its decoder, from both texts (gated: %s)', async (gated) => {
    const engine = { ...randomT5({ gated, tied: !gated }), executor: referenceExecutor({ precision: 'f64' }) };
    const both = { tokens: [[3, 1, 4, 1, 5]], decoderTokens: [[0, 7, 18]] };
    const inDecoder: RowTarget = {
      kind: 'site',
      at: { site: 'decoder.1.mlp.hook_pre', at: at([2]), unit: [3] },
    };
    const last: RowTarget = { ...difference, at: { kind: 'last' } };
    for (const heads of ['paths', 'sources'] as const) {
      for (const mlps of ['neurons', 'whole'] as const) {
        const rows = await attributionRows(engine, both, [last, inDecoder], { heads, mlps });
        expect(gap(rows), `${heads}, ${mlps}`).toBeLessThan(1e-10);
        // Where heads carry what they read, the encoder's tokens are among the sources.
        const embed = rows.sources.find(({ site }) => site === 'encoder.hook_embed');
        expect(embed?.shape).toEqual(heads === 'paths' ? [5] : undefined);
        expect(embed?.weights.every((weight) => weight !== 0) ?? true).toBe(true);
      }
    }
  });

  test('along a direction, at a position', async () => {
    const engine = exact(smallModels.gpt2());
    const rng = new Rng(3, 'direction');
    const tensor = { shape: [21], data: Float64Array.from({ length: 21 }, () => rng.normal()) };
    const hash = digestTensor(tensor);
    const target: RowTarget = { kind: 'site', at: { site: 'blocks.1.hook_resid_post', at: at([2]) }, direction: hash };
    const rows = await attributionRows(engine, prompt, [target], { artefacts: new Map([[hash, tensor]]) });
    expect(gap(rows)).toBeLessThan(1e-10);
    // Nothing comes from later positions.
    for (const { shape, weights } of rows.sources) {
      const inner = shape.slice(1).reduce((a, b) => a * b, 1);
      expect(weights.subarray(3 * inner).every((value) => value === 0)).toBe(true);
    }
  });
});

describe('where a transcoder stands in for an MLP', () => {
  const transcoder = (skip: boolean) =>
    memoryDictionary(
      'transcoder',
      {
        encoder: { kind: 'relu' },
        dIn: 21,
        latents: 30,
        transcoder: true,
        skip,
        reads: 'blocks.0.ln2.hook_out',
        writes: 'blocks.0.hook_mlp_out',
      },
      {
        W_enc: randomTensor(1, [21, 30], 0.3),
        b_enc: randomTensor(2, [30], 0.3),
        W_dec: randomTensor(3, [30, 21], 0.4),
        b_dec: randomTensor(4, [21], 0.3),
        ...(skip ? { W_skip: randomTensor(5, [21, 21], 0.3) } : {}),
      },
    );

  test.each([
    ['keep', false],
    ['keep', true],
    ['drop', false],
    ['drop', true],
  ] as const)('its latents are the sources, and rows add up with the error %s (skip: %s)', async (error, skip) => {
    const engine = exact(replaceMlp(smallModels.gpt2(), { transcoder: transcoder(skip), error }));
    const rows = await attributionRows(engine, prompt, [difference, neuron]);
    expect(gap(rows)).toBeLessThan(1e-10);
    const kinds = rows.sources.map(({ kind, site }) => `${kind} ${/^blocks\.\d/.exec(site)?.[0] ?? ''}`);
    const own = error === 'keep' ? ['latent blocks.0', 'error blocks.0'] : ['latent blocks.0'];
    expect(new Set(kinds)).toEqual(new Set(['embed ', 'pos_embed ', 'neuron blocks.1', ...own]));
    const latents = rows.sources.find(({ kind }) => kind === 'latent');
    expect(latents?.weights.some((weight) => Math.abs(weight) > 1e-3)).toBe(true);
  });

  test('latents are targets too', async () => {
    const engine = exact(replaceMlp(smallModels.gpt2(), { transcoder: transcoder(true), error: 'keep' }));
    const site = 'blocks.0.hook_mlp_out.hook_sae_acts_pre';
    const targets = [1, 8, 20].map((unit): RowTarget => ({ kind: 'site', at: { site, at: at([4]), unit: [unit] } }));
    const rows = await attributionRows(engine, prompt, targets);
    expect(gap(rows)).toBeLessThan(1e-10);
    expect(rows.sources.map(({ kind }) => kind)).toEqual(['embed', 'pos_embed']);
  });
});

test('many targets in chunks are the rows of each alone', async () => {
  const engine = exact(smallModels.gpt2());
  const targets = Array.from(
    { length: 12 },
    (_, unit): RowTarget => ({
      kind: 'site',
      at: { site: 'blocks.1.mlp.hook_pre', at: at([unit % 6]), unit: [unit] },
    }),
  );
  const together = await attributionRows(engine, prompt, targets);
  const chunks = await attributionRows(engine, prompt, targets, { memoryBytes: 1 << 16 });
  expect(chunks).toEqual(together);
  const alone = await attributionRows(engine, prompt, targets.slice(7, 8));
  together.sources.forEach(({ weights, site }, block) => {
    const size = weights.length / targets.length;
    expect(alone.sources[block]?.site).toBe(site);
    expect(weights.slice(7 * size, 8 * size)).toEqual(alone.sources[block]?.weights);
  });
});

test.each(['gpt2', 'llama'] as const)(
  'doubling a source moves the target by its weight, all else held, in %s',
  async (name) => {
    const engine = exact(smallModels[name]());
    const rows = await attributionRows(engine, prompt, [difference]);
    const held = engine.graph.nodes
      .flatMap(({ sites }) => sites)
      .filter((site) => /hook_(?:pattern|scale)$|mlp\.hook_post$/.test(site));
    const clean = await runPlan(
      engine,
      makePlan(engine.graph, { readouts: held.map((site) => ({ kind: 'capture', at: { site } })) }),
      prompt,
    );
    const freeze = held.map(
      (site): Intervention => ({ kind: 'freeze', at: { site }, value: { kind: 'run', name: 'clean' } }),
    );
    const sources: { site: string; position: number; unit?: number }[] = [
      { site: 'hook_embed', position: 0 },
      { site: 'hook_embed', position: 3 },
      { site: 'blocks.0.mlp.hook_post', position: 2, unit: 5 },
      { site: 'blocks.1.mlp.hook_post', position: 4, unit: 11 },
    ];
    const doubled = sources.map(({ site, position, unit }): Intervention[] => [
      {
        kind: 'write',
        at: { site, at: at([position]), ...(unit === undefined ? {} : { unit: [unit] }) },
        op: 'scale',
        value: { kind: 'const', value: 2 },
      },
    ]);
    if (difference.kind !== 'logitDiff') throw new Error('the target is a logit difference');
    const { answer, wrong } = difference;
    const plan = makePlan(engine.graph, {
      interventions: freeze,
      readouts: [{ kind: 'logitDiff', at: difference.at, answer, wrong }],
      sweep: [[], ...doubled],
    });
    const run = await runPlan(engine, plan, prompt, { runs: new Map([['clean', clean]]) });
    const [result] = run.results;
    const values = result?.kind === 'logitDiff' ? result.tensor.data : new Float64Array(0);
    sources.forEach(({ site, position, unit = 0 }, index) => {
      const block = rows.sources.find((one) => one.site === site);
      const width = block?.shape[1] ?? 1;
      const weight = block?.weights[position * width + unit] ?? Number.NaN;
      expect(Math.abs(weight), site).toBeGreaterThan(1e-6);
      expect((values[index + 1] as number) - (values[0] as number), site).toBeCloseTo(weight, 10);
    });
  },
);

test('in an attention-only model the rows of heads are their outputs along the target', async () => {
  const { engine } = randomAttentionOnly(null);
  const rows = await attributionRows(engine, prompt, [logit], { heads: 'sources' });
  const readouts = ['blocks.1.attn.hook_z'].map((site) => ({ kind: 'capture' as const, at: { site } }));
  const z = captured(await runPlan(engine, makePlan(engine.graph, { readouts }), prompt), 'blocks.1.attn.hook_z');
  const [wO, wU] = ['blocks.1.attn.W_O', 'unembed.W_U'].map((name) => engine.weights.get(name)?.read());
  const block = rows.sources.find(({ site }) => site === 'blocks.1.attn.hook_z');
  expect(block?.shape).toEqual([6, 2]);
  for (const head of [0, 1]) {
    let sum = 0;
    for (let e = 0; e < 3; e++)
      for (let d = 0; d < 12; d++)
        sum += (z.data[(5 * 2 + head) * 3 + e] ?? 0) * (wO?.[(head * 3 + e) * 12 + d] ?? 0) * (wU?.[d * 11 + 6] ?? 0);
    expect(block?.weights[5 * 2 + head]).toBeCloseTo(sum, 12);
  }
});

test('rows are of one prompt and of at least one target', async () => {
  const { engine } = randomAttentionOnly(null);
  const two = { tokens: [...prompt.tokens, ...prompt.tokens] };
  await expect(attributionRows(engine, two, [logit])).rejects.toMatchObject({ code: 'bad_prompt' });
  await expect(attributionRows(engine, prompt, [])).rejects.toMatchObject({ code: 'no_targets' });
});

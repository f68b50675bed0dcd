import { fileURLToPath } from 'node:url';
import type { Intervention, Readout, Site } from '@circuitscope/schema';
import { describe, expect, type TestContext, test } from 'vitest';
import { engineFor, loadDecoder, type Model } from '../architectures/index.ts';
import { sharedFolder, sharedPath, withoutShared } from '../architectures/shared-data.ts';
import { decompose, findSite, hashGraph, listSites } from '../graph/index.ts';
import { chooseNative } from '../kernels/index.ts';
import { randomTensor, randomTokens, smallModelNames, smallModels } from '../plan/fixtures/small-models.ts';
import {
  captured,
  type Executor,
  makePlan,
  nativeExecutor,
  type Run,
  referenceExecutor,
  runPlan,
} from '../plan/index.ts';
import { digestTensor, type Tensor } from '../tensor/index.ts';
import type { CrossLayerTranscoder } from './cross-layer.ts';
import type { Dictionary, DictionarySpec } from './dictionary.ts';
import { applyDictionary } from './dictionary-graph.ts';
import { type MemoryDictionarySpec, memoryDictionary } from './memory-dictionary.ts';
import { spliceCrossLayer } from './splice-cross-layer.ts';
import { replaceMlp, spliceDictionary } from './splice-dictionary.ts';

const choice = await chooseNative({});
const native = choice.kind === 'native' ? nativeExecutor(choice.addon) : null;
const executors: readonly { readonly name: string; readonly get: (context: TestContext) => Executor }[] = [
  { name: 'reference', get: () => referenceExecutor() },
  {
    name: 'native',
    get: (context) => {
      if (!native) context.skip('the addon does not load');
      return native ?? referenceExecutor();
    },
  },
];
const exact = referenceExecutor({ precision: 'f64' });
const LATENTS = 29;

const encoders: readonly (readonly [string, Partial<MemoryDictionarySpec>])[] = [
  ['relu', { encoder: { kind: 'relu' } }],
  ['jumprelu, not centred', { encoder: { kind: 'jumprelu', rectified: true }, centred: false }],
  [
    'topk by decoder norm after a layer norm',
    { encoder: { kind: 'topk', k: 4, byDecoderNorm: true }, normalization: 'layer_norm' },
  ],
  ['gated after a constant norm', { encoder: { kind: 'gated' }, normalization: 'constant_norm' }],
];

/** A random dictionary that fits a site: nothing of it is zero. */
function dictionaryAt(model: Model, site: Site, spec: Partial<MemoryDictionarySpec> = {}, seed = 1): Dictionary {
  const inner = findSite(model.graph, site).shape.slice(2).map(Number);
  const dIn = inner.reduce((a, b) => a * b, 1);
  return randomDictionary(
    { dIn, latents: LATENTS, encoder: { kind: 'relu' }, heads: inner.length > 1, reads: site, ...spec },
    seed,
  );
}

function randomDictionary(spec: MemoryDictionarySpec, seed = 1): Dictionary {
  const { dIn, dOut = dIn, latents, encoder } = spec;
  const vector = (at: number, length: number) => randomTensor(seed * 50 + at, [length], 0.3);
  const shared = {
    W_enc: randomTensor(seed * 50, [dIn, latents], dIn ** -0.5),
    W_dec: randomTensor(seed * 50 + 1, [latents, dOut], 0.4),
    b_dec: vector(2, dOut),
    ...(spec.skip ? { W_skip: randomTensor(seed * 50 + 3, [dIn, dOut], 0.4) } : {}),
  };
  const own =
    encoder.kind === 'gated'
      ? { b_gate: vector(4, latents), b_mag: vector(5, latents), r_mag: vector(6, latents) }
      : encoder.kind === 'jumprelu'
        ? { b_enc: vector(4, latents), threshold: positive(vector(5, latents)) }
        : { b_enc: vector(4, latents) };
  return memoryDictionary(`random ${seed}`, spec, { ...shared, ...own });
}

function positive({ shape, data }: Tensor): Tensor {
  return { shape, data: data.map(Math.abs) };
}

function randomCrossLayer(layers: number, width: number, jumps: boolean): CrossLayerTranscoder {
  const tensors: [string, Tensor][] = [];
  for (let layer = 0; layer < layers; layer++) {
    const at = (part: number) => 900 + 20 * layer + part;
    tensors.push([`W_enc_${layer}`, randomTensor(at(0), [width, LATENTS], width ** -0.5)]);
    tensors.push(
      [`b_enc_${layer}`, randomTensor(at(1), [LATENTS], 0.3)],
      [`b_dec_${layer}`, randomTensor(at(2), [width], 0.3)],
    );
    if (jumps) tensors.push([`threshold_${layer}`, positive(randomTensor(at(3), [LATENTS], 0.3))]);
    for (let target = layer; target < layers; target++)
      tensors.push([`W_dec_${layer}_${target}`, randomTensor(at(4 + target), [LATENTS, width], 0.4)]);
  }
  return {
    kind: 'crossLayer',
    name: 'random',
    layers,
    width,
    latents: Array.from({ length: layers }, () => LATENTS),
    jumps,
    reads: 'hook_resid_mid',
    writes: 'hook_mlp_out',
    weights: new Map(tensors.map(([name, { shape, data }]) => [name, { name, shape, read: () => data }])),
    contentHash: async () => `sha256:${'0'.repeat(64)}`,
  };
}

const capture = (...sites: Site[]): Readout[] => sites.map((site) => ({ kind: 'capture', at: { site } }));

interface RunOptions {
  readonly executor?: Executor;
  readonly interventions?: readonly Intervention[];
  readonly artefacts?: ReadonlyMap<`sha256:${string}`, Tensor>;
  readonly tokens?: number[][];
}

function run(model: Model, sites: readonly Site[], options: RunOptions = {}): Promise<Run> {
  const { executor = exact, interventions = [], artefacts, tokens = randomTokens(7, 3, 9) } = options;
  const plan = makePlan(model.graph, { readouts: capture(...sites), interventions });
  return runPlan(engineFor(model, executor), plan, { tokens }, artefacts ? { artefacts } : {});
}

/** Bits, so that −0 differs from 0. */
const bits = ({ data }: Tensor) => Array.from(new Int32Array(Float32Array.from(data).buffer));

function expectClose(got: Tensor, want: Tensor, bound = 1e-10): void {
  expect(got.data.length).toBe(want.data.length);
  const largest = Math.max(...Array.from(want.data, Math.abs));
  got.data.forEach((value, at) => {
    expect(Math.abs(value - (want.data[at] ?? Number.NaN))).toBeLessThanOrEqual(bound * largest);
  });
}

/** Sites that dictionaries are trained at: stream, attention and MLP outputs, z, the MLP's neurons. */
function commonSites(model: Model): Site[] {
  return listSites(model.graph)
    .map(({ site }) => site)
    .filter((site) => /hook_resid_|hook_(attn|mlp)_out$|hook_z$|hook_post$|hook_embed$|ln\d\.hook_/.test(site))
    .filter((site) => !site.endsWith('hook_scale'));
}

async function expectUntouched(
  model: Model,
  spliced: Model,
  executor: Executor,
  what: string,
  tokens?: number[][],
): Promise<void> {
  const sites = ['logits', ...listSites(model.graph).map(({ site }) => site)];
  const options = { executor, ...(tokens ? { tokens } : {}) };
  const want = await run(model, sites, options);
  const got = await run(spliced, sites, options);
  for (const site of sites) expect(bits(captured(got, site)), `${what}: ${site}`).toEqual(bits(captured(want, site)));
}

describe.each(executors)('with the error kept, unchanged latents change no bit ($name)', ({ get }) => {
  describe.each(smallModelNames)('%s', (name) => {
    const model = smallModels[name]();

    test('at each site that dictionaries are trained at', async (context) => {
      const sites = commonSites(model);
      expect(sites.length).toBeGreaterThan(6);
      for (const at of sites) {
        const spliced = spliceDictionary(model, { dictionary: dictionaryAt(model, at), error: 'keep' });
        await expectUntouched(model, spliced, get(context), at);
      }
    });

    test.each(encoders)('%s, at the stream and at z', async (_, spec) => {
      for (const at of ['blocks.1.hook_resid_pre', 'blocks.1.attn.hook_z']) {
        const dictionary = dictionaryAt(model, at, spec);
        const spliced = spliceDictionary(model, { dictionary, error: 'keep' });
        await expectUntouched(model, spliced, native ?? referenceExecutor(), at);
      }
    });

    test('with a transcoder in place of each MLP, and with a cross-layer transcoder', async (context) => {
      if (model.spec.inner === 0) return expect(() => findSite(model.graph, 'blocks.0.hook_mlp_out')).toThrow();
      const { width } = model.spec;
      let spliced = model;
      for (const layer of [0, 1]) {
        const transcoder = randomDictionary(transcoderSpec(width, { skip: layer === 1 }));
        spliced = replaceMlp(spliced, { transcoder, layer, error: 'keep' });
      }
      await expectUntouched(model, spliced, get(context), 'transcoders');
      const cross = spliceCrossLayer(model, { transcoder: randomCrossLayer(2, width, true), error: 'keep' });
      await expectUntouched(model, cross, get(context), 'cross-layer');
    });
  });

  test('a value of −0 stays −0', async (context) => {
    const model = smallModels.gpt2();
    const site = 'blocks.1.hook_resid_pre';
    const spliced = spliceDictionary(model, { dictionary: dictionaryAt(model, site), error: 'keep' });
    const minus: Tensor = { shape: [model.spec.width], data: new Float32Array(model.spec.width).fill(-0) };
    const plan = (read: Site): [Site[], RunOptions] => [
      [read],
      {
        executor: get(context),
        artefacts: new Map([[digestTensor(minus), minus]]),
        interventions: [
          {
            kind: 'write',
            at: { site: `${site}.hook_sae_input` },
            op: 'set',
            value: { kind: 'artefact', hash: digestTensor(minus) },
          },
        ],
      },
    ];
    const out = captured(await run(spliced, ...plan(site)), site);
    expect(new Set(bits(out))).toEqual(new Set([-(2 ** 31)]));
  });
});

function transcoderSpec(width: number, more: Partial<DictionarySpec> = {}): MemoryDictionarySpec {
  return {
    dIn: width,
    latents: LATENTS,
    encoder: { kind: 'jumprelu', rectified: true },
    transcoder: true,
    reads: 'blocks.0.hook_resid_mid',
    ...more,
  };
}

const trained = fileURLToPath(new URL('../../../zoo/trained/induction-attn-2l/seed-0', import.meta.url));

test('a trained induction model keeps every bit of its logits, whatever is spliced in', async () => {
  const model = loadDecoder(trained);
  const tokens = [[0, 5, 9, 3, 7, 5, 9, 3]];
  for (const at of commonSites(model)) {
    const spliced = spliceDictionary(model, { dictionary: dictionaryAt(model, at), error: 'keep' });
    for (const executor of [referenceExecutor(), ...(native ? [native] : [])])
      await expectUntouched(model, spliced, executor, at, tokens);
  }
});

describe.skipIf(!sharedFolder)(`on a recorded GPT-2${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test('every stream, MLP and z site keeps every bit', async () => {
    const model = loadDecoder(sharedPath('golden/models/gpt2'));
    for (const at of commonSites(model)) {
      const spliced = spliceDictionary(model, { dictionary: dictionaryAt(model, at), error: 'keep' });
      for (const executor of [referenceExecutor(), ...(native ? [native] : [])])
        await expectUntouched(model, spliced, executor, at, [[1, 2, 3, 4, 5]]);
    }
  });
});

describe('latents are a site', () => {
  const model = smallModels.gpt2();
  const site = 'blocks.1.hook_resid_pre';
  const latents = `${site}.hook_sae_acts_post`;
  const zeroed = (unit: number): Intervention => ({
    kind: 'write',
    at: { site: latents, unit: [unit] },
    op: 'set',
    value: { kind: 'const', value: 0 },
  });

  test.each(encoders)('%s: what is read is what the dictionary alone computes', async (_, spec) => {
    const dictionary = dictionaryAt(model, site, spec);
    const spliced = spliceDictionary(model, { dictionary, error: 'keep' });
    const suffixes = ['hook_sae_input', 'hook_sae_acts_pre', 'hook_sae_acts_post', 'hook_sae_recons', 'hook_sae_error'];
    const got = await run(
      spliced,
      suffixes.map((suffix) => `${site}.${suffix}`),
    );
    const read = (suffix: string) => captured(got, `${site}.${suffix}`);
    const x = read('hook_sae_input');
    const alone = await applyDictionary(dictionary, { shape: [27, 21], data: x.data }, exact);
    expectClose(read('hook_sae_acts_pre'), alone.pre);
    expectClose(read('hook_sae_acts_post'), alone.latents);
    expectClose(read('hook_sae_recons'), alone.reconstruction);
    expectClose(read('hook_sae_error'), {
      shape: x.shape,
      data: x.data.map((v, at) => v - (alone.reconstruction.data[at] ?? 0)),
    });
    // Both names of the value lead there.
    expect(
      captured(
        await run(spliced, ['blocks.0.hook_resid_post.hook_sae_acts_post']),
        'blocks.0.hook_resid_post.hook_sae_acts_post',
      ),
    ).toEqual(read('hook_sae_acts_post'));
  });

  test('zeroing one takes its activation times its direction from the stream', async () => {
    const dictionary = dictionaryAt(model, site);
    const spliced = spliceDictionary(model, { dictionary, error: 'keep' });
    const clean = await run(spliced, [site, latents]);
    const f = captured(clean, latents);
    const unit = f.data.slice(0, LATENTS).findIndex((value) => value > 0);
    const ablated = await run(spliced, [site, latents], { interventions: [zeroed(unit)] });
    const W = dictionary.weights.get('W_dec')?.read() ?? new Float32Array(0);
    const x = captured(clean, site);
    const want = x.data.map(
      (value, at) => value - (f.data[Math.floor(at / 21) * LATENTS + unit] ?? 0) * (W[unit * 21 + (at % 21)] ?? 0),
    );
    expectClose(captured(ablated, site), { shape: x.shape, data: want });
    expect(captured(ablated, latents).data[unit]).toBe(0);
  });

  test('a layer-normed dictionary adds its change in the units of the stream', async () => {
    const dictionary = dictionaryAt(model, site, { normalization: 'layer_norm', centred: false });
    const spliced = spliceDictionary(model, { dictionary, error: 'keep' });
    const clean = await run(spliced, [site, latents]);
    const f = captured(clean, latents);
    const unit = f.data.slice(0, LATENTS).findIndex((value) => value > 0);
    const ablated = captured(await run(spliced, [site], { interventions: [zeroed(unit)] }), site);
    const x = captured(clean, site);
    const row = Array.from(x.data.slice(0, 21));
    const mean = row.reduce((a, b) => a + b, 0) / 21;
    const std = Math.sqrt(row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 20);
    const W = dictionary.weights.get('W_dec')?.read() ?? new Float32Array(0);
    const want = row.map((value, at) => value - std * (f.data[unit] ?? 0) * (W[unit * 21 + at] ?? 0));
    expectClose({ shape: [21], data: ablated.data.slice(0, 21) }, { shape: [21], data: Float64Array.from(want) });
  });

  test('steering a latent, patching it from another run and changing pre-activations reach the logits', async () => {
    const spliced = spliceDictionary(model, { dictionary: dictionaryAt(model, site), error: 'keep' });
    const clean = captured(await run(spliced, ['logits']), 'logits');
    const unit = { site: latents, unit: [3] };
    const changes: Intervention[] = [
      { kind: 'write', at: unit, op: 'add', value: { kind: 'const', value: 2 } },
      {
        kind: 'write',
        at: { ...unit, site: `${site}.hook_sae_acts_pre` },
        op: 'set',
        value: { kind: 'const', value: 3 },
      },
      { kind: 'write', at: { site: `${site}.hook_sae_error` }, op: 'set', value: { kind: 'const', value: 0 } },
    ];
    for (const change of changes) {
      const got = captured(await run(spliced, ['logits'], { interventions: [change] }), 'logits');
      expect(bits(got)).not.toEqual(bits(clean));
    }
    const other = await run(spliced, [latents], { tokens: randomTokens(8, 3, 9) });
    const plan = makePlan(spliced.graph, {
      readouts: capture(latents, 'logits'),
      interventions: [{ kind: 'write', at: { site: latents }, op: 'set', value: { kind: 'run', name: 'other' } }],
    });
    const patched = await runPlan(
      engineFor(spliced, exact),
      plan,
      { tokens: randomTokens(7, 3, 9) },
      { runs: new Map([['other', other]]) },
    );
    expect(captured(patched, latents)).toEqual(captured(other, latents));
    expect(bits(captured(patched, 'logits'))).not.toEqual(bits(clean));
  });

  test('without the error, the model goes on with what a plan writes there as the reconstruction', async () => {
    for (const [, spec] of encoders) {
      const dictionary = dictionaryAt(model, site, spec);
      const dropped = spliceDictionary(model, { dictionary, error: 'drop' });
      const kept = spliceDictionary(model, { dictionary, error: 'keep' });
      const recons = captured(await run(kept, [`${site}.hook_sae_recons`]), `${site}.hook_sae_recons`);
      const plan = makePlan(model.graph, {
        readouts: capture('logits'),
        interventions: [{ kind: 'write', at: { site }, op: 'set', value: { kind: 'run', name: 'recons' } }],
      });
      const run_: Run = {
        ...(await run(model, [site])),
        readouts: capture(site),
        results: [{ kind: 'capture', site, tensor: recons }],
      };
      const written = await runPlan(
        engineFor(model, exact),
        plan,
        { tokens: randomTokens(7, 3, 9) },
        { runs: new Map([['recons', run_]]) },
      );
      const got = await run(dropped, ['logits', site, `${site}.hook_sae_recons`]);
      expectClose(captured(got, 'logits'), captured(written, 'logits'));
      expect(captured(got, site)).toEqual(captured(got, `${site}.hook_sae_recons`));
    }
  });

  test('with the error set to zero, the kept one gives what the dropped one does', async () => {
    const dictionary = dictionaryAt(model, site);
    const kept = spliceDictionary(model, { dictionary, error: 'keep' });
    const interventions: Intervention[] = [
      { kind: 'write', at: { site: `${site}.hook_sae_error` }, op: 'set', value: { kind: 'const', value: 0 } },
    ];
    const got = await run(kept, ['logits'], { interventions });
    const want = await run(spliceDictionary(model, { dictionary, error: 'drop' }), ['logits']);
    expectClose(captured(got, 'logits'), captured(want, 'logits'));
  });

  test.each(executors)('reading latents changes no bit, with and without the error ($name)', async ({ get }) => {
    for (const error of ['keep', 'drop'] as const) {
      const spliced = spliceDictionary(model, { dictionary: dictionaryAt(model, site), error });
      const all = listSites(spliced.graph).map(({ site: name }) => name);
      const executor = get({ skip: (reason?: string) => expect(reason).toBeDefined() } as TestContext);
      const blind = await run(spliced, ['logits'], { executor });
      const watched = await run(spliced, all, { executor });
      expect(bits(captured(watched, 'logits'))).toEqual(bits(captured(blind, 'logits')));
    }
  });

  test.each(executors)('a sweep over latents has the bits of each alone ($name)', async ({ get }) => {
    const spliced = spliceDictionary(model, { dictionary: dictionaryAt(model, site), error: 'keep' });
    const executor = get({ skip: (reason?: string) => expect(reason).toBeDefined() } as TestContext);
    const sweep = [0, 1, 2, 3].map((unit) => [zeroed(unit)]);
    const plan = makePlan(spliced.graph, { readouts: capture('logits'), sweep });
    const tokens = randomTokens(7, 3, 9);
    const swept = captured(await runPlan(engineFor(spliced, executor), plan, { tokens }), 'logits');
    const size = swept.data.length / sweep.length;
    for (const [variant, interventions] of sweep.entries()) {
      const alone = captured(await run(spliced, ['logits'], { executor, interventions }), 'logits');
      expect(bits(alone)).toEqual(
        bits({ shape: [size], data: swept.data.slice(variant * size, (variant + 1) * size) }),
      );
    }
  });

  test('a plan that writes what only is read off is refused', async () => {
    const spliced = spliceDictionary(model, { dictionary: dictionaryAt(model, site), error: 'keep' });
    const interventions: Intervention[] = [
      { kind: 'write', at: { site: `${site}.hook_sae_recons` }, op: 'set', value: { kind: 'const', value: 0 } },
    ];
    await expect(run(spliced, ['logits'], { interventions })).rejects.toMatchObject({ code: 'never_fires' });
  });
});

describe('transcoders', () => {
  const model = smallModels.gpt2();
  const { width } = model.spec;

  test('without the error, the output is the transcoder read where it was trained', async () => {
    for (const reads of ['hook_resid_mid', 'hook_mlp_in', 'ln2.hook_normalized', 'mlp.hook_in']) {
      const transcoder = randomDictionary(transcoderSpec(width, { reads: `blocks.0.${reads}`, skip: true }));
      const replaced = replaceMlp(model, { transcoder, layer: 1, error: 'drop' });
      const own = { hook_mlp_in: 'hook_resid_mid', 'mlp.hook_in': 'ln2.hook_out' }[reads] ?? reads;
      const got = await run(replaced, ['blocks.1.hook_mlp_out', `blocks.1.${own}`]);
      const x = captured(got, `blocks.1.${own}`);
      const want = await applyDictionary(transcoder, { shape: [27, width], data: x.data }, exact);
      expectClose(captured(got, 'blocks.1.hook_mlp_out'), want.reconstruction);
    }
  });

  test('the layer is that of the sites it was trained at, unless another is named', () => {
    const transcoder = randomDictionary(transcoderSpec(width, { reads: 'blocks.1.hook_resid_mid' }));
    const sites = (options: { layer?: number }) =>
      listSites(replaceMlp(model, { transcoder, error: 'keep', ...options }).graph).map(({ site }) => site);
    expect(sites({})).toContain('blocks.1.hook_mlp_out.hook_sae_acts_post');
    expect(sites({ layer: 0 })).toContain('blocks.0.hook_mlp_out.hook_sae_acts_post');
  });

  test('across layers: zeroing a latent of layer 0 takes its direction for each layer from that output', async () => {
    const transcoder = randomCrossLayer(2, width, false);
    const cross = spliceCrossLayer(model, { transcoder, error: 'keep' });
    const outputs = [0, 1].map((layer) => `blocks.${layer}.hook_mlp_out`);
    const latents = `${outputs[0]}.hook_sae_acts_post`;
    const changes = outputs.map((site) => `${site}.hook_sae_change`);
    const f = captured(await run(cross, [latents]), latents);
    const unit = f.data.slice(0, LATENTS).findIndex((value) => value > 0);
    // Latents of layer 1 are held, so that what reaches its output comes from layer 0 alone.
    const clean = await run(cross, [`${outputs[1]}.hook_sae_acts_post`]);
    const plan = makePlan(cross.graph, {
      readouts: capture(...changes, ...outputs),
      interventions: [
        { kind: 'write', at: { site: latents, unit: [unit] }, op: 'set', value: { kind: 'const', value: 0 } },
      ],
    });
    const got = await runPlan(
      engineFor(cross, exact),
      plan,
      { tokens: randomTokens(7, 3, 9) },
      { runs: new Map([['clean', clean]]) },
    );
    for (const [target, site] of changes.entries()) {
      const W = transcoder.weights.get(`W_dec_0_${target}`)?.read() ?? new Float32Array(0);
      const want = Float64Array.from(
        { length: 27 * width },
        (_, at) => -(f.data[Math.floor(at / width) * LATENTS + unit] ?? 0) * (W[unit * width + (at % width)] ?? 0),
      );
      expectClose(captured(got, site), { shape: [3, 9, width], data: want });
    }
  });
});

describe('more than one', () => {
  test('two dictionaries at two sites, each with its latents', async () => {
    const model = smallModels.gpt2();
    const [first, second] = ['blocks.0.attn.hook_z', 'blocks.1.hook_mlp_out'];
    const one = spliceDictionary(model, { dictionary: dictionaryAt(model, first), error: 'keep' });
    const both = spliceDictionary(one, { dictionary: dictionaryAt(model, second, {}, 2), error: 'keep' });
    for (const executor of [referenceExecutor(), ...(native ? [native] : [])])
      await expectUntouched(model, both, executor, 'two');
    const interventions = [first, second].map(
      (site): Intervention => ({
        kind: 'write',
        at: { site: `${site}.hook_sae_acts_post`, unit: [1] },
        op: 'add',
        value: { kind: 'const', value: 1 },
      }),
    );
    const logits = async (list: Intervention[]) =>
      bits(captured(await run(both, ['logits'], { interventions: list }), 'logits')).join();
    const results = [[], interventions.slice(0, 1), interventions.slice(1), interventions];
    expect(new Set(await Promise.all(results.map(logits))).size).toBe(4);
  });

  test.each(executors)(
    'two models with two dictionaries at one site never read each other’s weights ($name)',
    async ({ get }) => {
      const model = smallModels.gpt2();
      const at = 'blocks.0.hook_resid_pre';
      const executor = get({ skip: (reason?: string) => expect(reason).toBeDefined() } as TestContext);
      const models = [1, 2].map((seed) =>
        spliceDictionary(model, { dictionary: dictionaryAt(model, at, {}, seed), error: 'drop' }),
      );
      expect(hashGraph(models[0]!.graph)).toBe(hashGraph(models[1]!.graph));
      const before = await Promise.all(
        models.map(async (one) => bits(captured(await run(one, ['logits'], { executor }), 'logits'))),
      );
      expect(before[0]).not.toEqual(before[1]);
      for (const [index, one] of models.entries())
        expect(bits(captured(await run(one, ['logits'], { executor }), 'logits'))).toEqual(before[index]);
    },
  );

  test('what a model with a dictionary is says what was spliced in, where and how', async () => {
    const model = smallModels.gpt2();
    const at = 'blocks.0.hook_resid_pre';
    const hash = (options: Parameters<typeof spliceDictionary>[1]) =>
      spliceDictionary(model, options).checkpoint.contentHash();
    const dictionary = dictionaryAt(model, at);
    const hashes = await Promise.all([
      model.checkpoint.contentHash(),
      hash({ dictionary, error: 'keep' }),
      hash({ dictionary, error: 'drop' }),
      hash({ dictionary, at: 'blocks.1.hook_resid_pre', error: 'keep' }),
      hash({ dictionary: dictionaryAt(model, at, {}, 2), error: 'keep' }),
    ]);
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(await hash({ dictionary: dictionaryAt(model, at), error: 'keep' })).toBe(hashes[1]);
    expect(spliceDictionary(model, { dictionary, error: 'keep' }).parameters - model.parameters).toBe(
      2 * 21 * LATENTS + 21 + LATENTS,
    );
  });
});

describe('mistakes', () => {
  const model = smallModels.gpt2();
  const fits = dictionaryAt(model, 'blocks.0.hook_resid_pre');
  const transcoder = randomDictionary(transcoderSpec(21));

  test.each<[string, () => Model, string, string]>([
    [
      'a site that is not there',
      () => spliceDictionary(model, { dictionary: fits, at: 'blocks.0.hook_resid_pots', error: 'keep' }),
      'unknown_site',
      'blocks.0.hook_resid_post',
    ],
    [
      'a site of another width',
      () => spliceDictionary(model, { dictionary: fits, at: 'blocks.0.mlp.hook_post', error: 'keep' }),
      'shape_mismatch',
      'vectors of 40',
    ],
    [
      'heads for a dictionary of vectors',
      () => spliceDictionary(model, { dictionary: fits, at: 'blocks.0.attn.hook_z', error: 'keep' }),
      'shape_mismatch',
      '3 heads of 7',
    ],
    [
      'vectors for a dictionary of heads',
      () =>
        spliceDictionary(model, {
          dictionary: dictionaryAt(model, 'blocks.0.attn.hook_z'),
          at: 'blocks.0.hook_resid_pre',
          error: 'keep',
        }),
      'shape_mismatch',
      'hook_z',
    ],
    [
      'attention patterns',
      () => spliceDictionary(model, { dictionary: fits, at: 'blocks.0.attn.hook_pattern', error: 'keep' }),
      'bad_splice',
      'pair of positions',
    ],
    [
      'the logits',
      () => spliceDictionary(model, { dictionary: fits, at: 'logits', error: 'keep' }),
      'bad_splice',
      'nothing reads',
    ],
    [
      'no site at all',
      () =>
        spliceDictionary(model, {
          dictionary: randomDictionary({ dIn: 21, latents: 4, encoder: { kind: 'relu' } }),
          error: 'keep',
        }),
      'bad_splice',
      'where it belongs',
    ],
    [
      'the same site twice',
      () =>
        spliceDictionary(spliceDictionary(model, { dictionary: fits, at: 'blocks.1.hook_resid_pre', error: 'keep' }), {
          dictionary: fits,
          at: 'blocks.0.hook_resid_post',
          error: 'keep',
        }),
      'bad_splice',
      'already',
    ],
    [
      'the latents of another',
      () =>
        spliceDictionary(spliceDictionary(model, { dictionary: fits, error: 'keep' }), {
          dictionary: fits,
          at: 'blocks.0.hook_resid_pre.hook_sae_error',
          error: 'keep',
        }),
      'bad_splice',
      'belongs to',
    ],
    [
      'a transcoder that is spliced in',
      () => spliceDictionary(model, { dictionary: transcoder, error: 'keep' }),
      'bad_splice',
      'transcoder',
    ],
    [
      'an autoencoder for an MLP',
      () => replaceMlp(model, { transcoder: fits, layer: 0, error: 'keep' }),
      'bad_splice',
      'autoencoder',
    ],
    [
      'a transcoder that reads what comes of it',
      () => replaceMlp(model, { transcoder, layer: 0, reads: 'blocks.0.hook_resid_post', error: 'keep' }),
      'bad_splice',
      'computed from what it writes',
    ],
    [
      'a layer that is not there',
      () => replaceMlp(model, { transcoder, layer: 2, error: 'keep' }),
      'unknown_site',
      'nearest',
    ],
    [
      'a cross-layer transcoder of another depth',
      () => spliceCrossLayer(model, { transcoder: randomCrossLayer(3, 21, false), error: 'keep' }),
      'bad_splice',
      '3 layers',
    ],
    [
      'a cross-layer transcoder of another width',
      () => spliceCrossLayer(model, { transcoder: randomCrossLayer(2, 20, false), error: 'keep' }),
      'shape_mismatch',
      '20',
    ],
  ])('%s', (_, make, code, words) => {
    try {
      make();
    } catch (error) {
      expect(error).toMatchObject({ code, message: expect.stringContaining(words) });
      return;
    }
    throw new Error('accepted');
  });
});

describe('decomposition', () => {
  const model = smallModels.gpt2();
  const splice = (at: Site, error: 'keep' | 'drop') =>
    spliceDictionary(model, { dictionary: dictionaryAt(model, at), error }).graph;

  test('with the error kept, every unit still writes what it wrote, and the sum is exact', () => {
    const want = decompose(model.graph);
    for (const at of [
      'hook_embed',
      'blocks.0.hook_resid_mid',
      'blocks.1.hook_resid_pre',
      'blocks.0.attn.hook_z',
      'blocks.0.hook_mlp_out',
    ])
      expect(decompose(splice(at, 'keep')), at).toEqual(want);
  });

  test('without it, the stream is no sum of the units, and that is said', () => {
    for (const at of ['blocks.1.hook_resid_pre', 'blocks.0.hook_mlp_out', 'blocks.0.hook_attn_out'])
      expect(decompose(splice(at, 'drop')).exactSum, at).toBe(false);
  });

  test('cutting an edge gives what it gives without the dictionary', async () => {
    const spliced = spliceDictionary(model, {
      dictionary: dictionaryAt(model, 'blocks.1.hook_resid_pre'),
      error: 'keep',
    });
    const interventions: Intervention[] = [
      {
        kind: 'edge',
        from: { kind: 'head', layer: 0, head: 1 },
        to: { kind: 'head', layer: 1, head: 2, port: 'v' },
        value: { kind: 'const', value: 0 },
      },
    ];
    const [got, want] = [
      await run(spliced, ['logits'], { interventions }),
      await run(model, ['logits'], { interventions }),
    ];
    expect(captured(got, 'logits')).toEqual(captured(want, 'logits'));
  });
});

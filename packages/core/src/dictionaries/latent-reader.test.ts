import type { Hash, Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { chooseNative } from '../kernels/index.ts';
import { compile } from '../plan/compile.ts';
import { randomTensor, randomTokens, smallModels } from '../plan/fixtures/small-models.ts';
import {
  captured,
  type Engine,
  type Executor,
  type LatentRows,
  latentRows,
  makePlan,
  nativeExecutor,
  type RunOptions,
  referenceExecutor,
  runPlan,
} from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import type { Dictionary } from './dictionary.ts';
import { latentReader } from './latent-reader.ts';
import { type MemoryDictionarySpec, memoryDictionary } from './memory-dictionary.ts';
import { spliceDictionary } from './splice-dictionary.ts';

const model = smallModels.gpt2();
const { width } = model.spec;
const LATENTS = 61;
const site = 'blocks.0.hook_resid_post';
const tokens = randomTokens(7, 3, 9);

const choice = await chooseNative({});
const native = choice.kind === 'native' ? nativeExecutor(choice.addon) : null;
const executors: readonly { readonly name: string; readonly get: () => Executor }[] = [
  { name: 'reference', get: () => referenceExecutor() },
  // Without the addon only the reference is there to be tested.
  ...(native ? [{ name: 'native', get: () => native }] : []),
];

function dictionaryOf(spec: Partial<MemoryDictionarySpec>): Dictionary {
  const { encoder = { kind: 'relu' } } = spec;
  const vector = (at: number, length: number) => randomTensor(at, [length], 0.3);
  const own: { readonly [name: string]: Tensor } =
    encoder.kind === 'gated'
      ? { b_gate: vector(4, LATENTS), b_mag: vector(5, LATENTS), r_mag: vector(6, LATENTS) }
      : {
          b_enc: vector(4, LATENTS),
          // Some are below zero: there a rectified latent of a threshold differs from one that is not.
          ...(encoder.kind === 'jumprelu' ? { threshold: vector(5, LATENTS) } : {}),
        };
  return memoryDictionary(
    'random',
    { dIn: width, latents: LATENTS, encoder, reads: site, ...spec },
    {
      W_enc: randomTensor(1, [width, LATENTS], width ** -0.5),
      W_dec: randomTensor(2, [LATENTS, width], 0.4),
      b_dec: vector(3, width),
      ...own,
    },
  );
}

const kinds: readonly (readonly [string, Partial<MemoryDictionarySpec>, boolean])[] = [
  ['relu', { encoder: { kind: 'relu' } }, true],
  ['jumprelu', { encoder: { kind: 'jumprelu', rectified: false } }, true],
  ['jumprelu, rectified', { encoder: { kind: 'jumprelu', rectified: true }, normalization: 'layer_norm' }, true],
  ['topk', { encoder: { kind: 'topk', k: 6, byDecoderNorm: false } }, true],
  ['topk by decoder norm', { encoder: { kind: 'topk', k: 6, byDecoderNorm: true } }, false],
  ['gated', { encoder: { kind: 'gated' } }, false],
];

async function readerOf(dictionary: Dictionary): Promise<{ hash: Hash; options: RunOptions }> {
  const hash = await dictionary.contentHash();
  return { hash, options: { dictionaries: new Map([[hash, latentReader(dictionary)]]) } };
}

function engineOf(executor: Executor): Engine {
  return { graph: model.graph, weights: model.weights, executor };
}

interface Active {
  readonly row: number;
  readonly latent: number;
  readonly value: number;
}

/** What is not 0 of dense latents [batch, pos, latents]. */
function activeOf({ data }: Tensor): Active[] {
  return Array.from(data, (value, at) => ({ row: Math.floor(at / LATENTS), latent: at % LATENTS, value })).filter(
    ({ value }) => value !== 0,
  );
}

const entriesOf = ({ rowStart, latents, values }: LatentRows): Active[] =>
  Array.from(rowStart.slice(1), (end, row) => ({ row, from: rowStart[row] ?? 0, end })).flatMap(({ row, from, end }) =>
    Array.from({ length: end - from }, (_, at) => ({
      row,
      latent: latents[from + at] ?? -1,
      value: values[from + at] ?? Number.NaN,
    })),
  );

const byValue = (a: Active, b: Active): number => b.value - a.value || a.row - b.row || a.latent - b.latent;

describe.each(executors)('latents of a site, $name', ({ get }) => {
  test.each(kinds)(
    '%s: all, the first, the first of a batch, in the bits of the dense ones',
    async (_, spec, fused) => {
      const engine = engineOf(get());
      const dictionary = dictionaryOf(spec);
      const { hash, options } = await readerOf(dictionary);
      const spliced = spliceDictionary(model, { dictionary, error: 'keep' });
      const latentSite = `${site}.hook_sae_acts_post`;
      const dense = captured(
        await runPlan(
          { ...engine, graph: spliced.graph, weights: spliced.weights },
          makePlan(spliced.graph, { readouts: [{ kind: 'capture', at: { site: latentSite } }] }),
          { tokens },
        ),
        latentSite,
      );
      const all = activeOf(dense);
      expect(all.length).toBeGreaterThan(27);
      const reading = (keep: Extract<Readout, { kind: 'latents' }>['keep']): Readout => ({
        kind: 'latents',
        at: { site },
        dictionary: hash,
        keep,
      });
      const readouts = [
        reading({ kind: 'above' }),
        reading({ kind: 'topK', k: 5 }),
        reading({ kind: 'batchTopK', k: 2 }),
      ];
      const run = await runPlan(engine, makePlan(model.graph, { readouts }), { tokens }, options);
      const rows = (at: number) => latentRows(run, at);
      expect(rows(0).shape).toEqual([3, 9]);
      const sorted = (list: Active[]) => [...list].sort((a, b) => a.row - b.row || a.latent - b.latent);
      expect(sorted(entriesOf(rows(0)))).toEqual(all);
      const ofRow = (row: number) => all.filter((one) => one.row === row).sort(byValue);
      expect(entriesOf(rows(1))).toEqual(Array.from({ length: 27 }, (_, row) => ofRow(row).slice(0, 5)).flat());
      expect(entriesOf(rows(2))).toEqual(sorted([...all].sort(byValue).slice(0, 54)));
      // Looked at or not, alone or beside others, in steps of its own or in one.
      const beside = await runPlan(
        engine,
        makePlan(model.graph, { readouts: [...readouts, { kind: 'capture', at: { site } }] }),
        { tokens },
        options,
      );
      for (const at of [0, 1, 2]) expect(latentRows(beside, at)).toEqual(rows(at));
      const alone = await runPlan(
        engine,
        makePlan(model.graph, { readouts: readouts.slice(1, 2) }),
        { tokens: tokens.slice(1, 2) },
        options,
      );
      expect(entriesOf(latentRows(alone, 0)).map(({ row, ...rest }) => ({ row: row + 9, ...rest }))).toEqual(
        entriesOf(rows(1)).filter(({ row }) => row >= 9 && row < 18),
      );
      const steps = (readout: Readout | undefined): string[] =>
        compile({
          graph: model.graph,
          variants: [[]],
          readouts: readout ? [readout] : [],
          ...options,
        }).program.steps.map(({ kernel }) => kernel);
      const limited = spec.encoder?.kind === 'topk';
      expect(steps(readouts[1]).filter((kernel) => /top_k|csr/.test(kernel))).toEqual(
        fused ? ['bias_act_top_k'] : limited ? ['top_k_mask', 'active_top_k'] : ['active_top_k'],
      );
      expect(steps(readouts[0]).at(-1)).toBe(
        limited ? (fused ? 'bias_act_top_k' : 'active_top_k') : fused ? 'project_csr' : 'active_csr',
      );
    },
  );

  test('positions, sweeps and changes: each as the whole site says', async () => {
    const engine = engineOf(get());
    const { hash, options } = await readerOf(dictionaryOf({}));
    const keep = { kind: 'topK', k: 4 } as const;
    const latents: Readout = { kind: 'latents', at: { site }, dictionary: hash, keep };
    const last: Readout = { ...latents, at: { site, at: { kind: 'positions', positions: [-1, 2] } } };
    const halve = {
      kind: 'write',
      at: { site: 'blocks.0.hook_mlp_out' },
      op: 'scale',
      value: { kind: 'const', value: 0.5 },
    } as const;
    const whole = await runPlan(engine, makePlan(model.graph, { readouts: [latents, last] }), { tokens }, options);
    const at = [8, 2, 17, 11, 26, 20];
    const chosen = at.flatMap((row, place) =>
      entriesOf(latentRows(whole, 0))
        .filter((one) => one.row === row)
        .map((one) => ({ ...one, row: place })),
    );
    expect(latentRows(whole, 1).shape).toEqual([3, 2]);
    expect(entriesOf(latentRows(whole, 1))).toEqual(chosen);
    const changed = await runPlan(
      engine,
      makePlan(model.graph, { readouts: [latents], interventions: [halve] }),
      { tokens },
      options,
    );
    const swept = await runPlan(
      engine,
      makePlan(model.graph, { readouts: [latents], sweep: [[halve], []] }),
      { tokens },
      options,
    );
    const both = entriesOf(latentRows(swept, 0));
    expect(latentRows(swept, 0).shape).toEqual([2, 3, 9]);
    expect(both.filter(({ row }) => row < 27)).toEqual(entriesOf(latentRows(changed, 0)));
    expect(both.filter(({ row }) => row >= 27).map((one) => ({ ...one, row: one.row - 27 }))).toEqual(
      entriesOf(latentRows(whole, 0)),
    );
  });

  test('more than there is room for is an error that says how many, never a part', async () => {
    const engine = engineOf(get());
    const { hash, options } = await readerOf(dictionaryOf({}));
    const readout: Readout = { kind: 'latents', at: { site }, dictionary: hash, keep: { kind: 'above' } };
    const run = await runPlan(engine, makePlan(model.graph, { readouts: [readout] }), { tokens }, options);
    const { values } = latentRows(run, 0);
    const small: Readout = { ...readout, keep: { kind: 'above', perToken: 3 } };
    const refused = runPlan(engine, makePlan(model.graph, { readouts: [small] }), { tokens }, options);
    await expect(refused).rejects.toMatchObject({ code: 'capacity' });
    await expect(refused).rejects.toThrow(`${values.length} latents are active, and there is room for 81`);
  });
});

describe('what a plan cannot read', () => {
  const engine = engineOf(referenceExecutor());
  const read = async (readout: Partial<Extract<Readout, { kind: 'latents' }>>, sweep = false) => {
    const { hash, options } = await readerOf(dictionaryOf({}));
    const whole: Readout = { kind: 'latents', at: { site }, dictionary: hash, keep: { kind: 'above' }, ...readout };
    const plan = makePlan(model.graph, { readouts: [whole], ...(sweep ? { sweep: [[], []] } : {}) });
    return runPlan(engine, plan, { tokens }, options);
  };

  test('a dictionary that the run was not given', async () => {
    const other: Hash = `sha256:${'0'.repeat(64)}`;
    await expect(read({ dictionary: other })).rejects.toMatchObject({ code: 'unknown_dictionary' });
  });

  test('a site of another width, patterns, heads', async () => {
    await expect(read({ at: { site: 'blocks.0.mlp.hook_post' } })).rejects.toMatchObject({ code: 'shape_mismatch' });
    await expect(read({ at: { site: 'blocks.0.attn.hook_pattern' } })).rejects.toMatchObject({ code: 'bad_scope' });
    await expect(read({ at: { site, unit: [1] } })).rejects.toMatchObject({ code: 'bad_scope' });
  });

  test('all latents of a sweep', async () => {
    await expect(read({}, true)).rejects.toMatchObject({ code: 'unsupported' });
    expect(latentRows(await read({ keep: { kind: 'topK', k: 1 } }, true), 0).shape).toEqual([2, 3, 9]);
  });
});

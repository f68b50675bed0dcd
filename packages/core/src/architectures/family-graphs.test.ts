import type { CircuitscopeError, Intervention, ReaderRef, Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { decompose, edgesOf, listSites } from '../graph/index.ts';
import {
  cachedRunner,
  captured,
  chooseExecutor,
  type Executor,
  type KeyValueCache,
  makePlan,
  type Prompt,
  type Run,
  readWeight,
  referenceExecutor,
  runPlan,
} from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { generate } from '../tokens/generate.ts';
import { engineFor, loadDecoder, type Model } from './load-model.ts';
import { recordedFamilies } from './recorded-families.fixture.ts';
import { sharedFolder, sharedPath, withoutShared } from './shared-data.ts';
import { viewModel } from './views.ts';

// What families with another block than GPT-2's mean to whoever takes them apart: units, edges, views, texts in pieces.

const double = referenceExecutor({ precision: 'f64' });
const tokens = [
  [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8],
  [2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5],
];
/** The second text is shorter, padded at the left. */
const padded: Prompt = { tokens, mask: [tokens[0]!.map(() => 1), tokens[1]!.map((_, at) => (at < 4 ? 0 : 1))] };

const open = (family: string): Model => loadDecoder(sharedPath('golden/models', family));
const capture = (...sites: string[]): Readout[] => sites.map((site) => ({ kind: 'capture', at: { site } }));

async function run(model: Model, sites: string[], interventions: Intervention[] = [], executor: Executor = double) {
  const plan = makePlan(model.graph, { readouts: capture(...sites), interventions });
  return runPlan(engineFor(model, executor), plan, { tokens });
}

const bits = ({ data }: Tensor): Buffer => Buffer.from(Float32Array.from(data).buffer);

async function refusal(action: () => unknown): Promise<CircuitscopeError> {
  try {
    await action();
  } catch (error) {
    return error as CircuitscopeError;
  }
  throw new Error('nothing was refused');
}

const parallel = ['gpt_neox', 'gptj', 'phi', 'falcon'] as const;
const normed = ['gemma2', 'gemma3', 'olmo2', 'bloom-pow2'] as const;

describe.skipIf(!sharedFolder)(`graphs of families${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test.each(parallel)(
    '%s: in a parallel block the MLP reads no head beside it, and units sum to the stream',
    async (family) => {
      const model = open(family);
      const decomposition = decompose(model.graph);
      expect(decomposition.exactSum).toBe(true);
      const writers = (of: ReaderRef) =>
        decomposition.readers.find(({ reader }) => JSON.stringify(reader) === JSON.stringify(of))?.writers ?? [];
      expect(writers({ kind: 'mlp', layer: 0, port: 'in' })).toEqual([{ kind: 'input' }]);
      const before = writers({ kind: 'head', layer: 1, head: 0, port: 'q' });
      expect(before).toHaveLength(1 + model.spec.heads + 1);
      expect(writers({ kind: 'mlp', layer: 1, port: 'in' })).toEqual(before);
      expect(writers({ kind: 'logits', port: 'in' })).toHaveLength(1 + 2 * (model.spec.heads + 1));

      const sites = ['blocks.1.hook_resid_pre', 'hook_embed', 'blocks.0.attn.hook_result', 'blocks.0.hook_mlp_out'];
      const result = await run(model, sites);
      const [stream, embed, heads, mlp] = sites.map((site) => captured(result, site).data);
      const bias = model.spec.biases.out ? readWeight(model.weights, 'blocks.0.attn.b_O').data : [];
      const { width, heads: count } = model.spec;
      stream?.forEach((value, at) => {
        const [token, i] = [Math.floor(at / width), at % width];
        let sum = (embed?.[at] ?? 0) + (mlp?.[at] ?? 0) + (bias[i] ?? 0);
        for (let head = 0; head < count; head++) sum += heads?.[(token * count + head) * width + i] ?? 0;
        expect(sum).toBeCloseTo(value, 10);
      });
    },
  );

  test.each(parallel)('%s: cutting an edge is taking the writer out of what the reader alone reads', async (family) => {
    const model = open(family);
    const from = { kind: 'head', layer: 0, head: 1 } as const;
    for (const to of [
      { kind: 'mlp', layer: 1, port: 'in' },
      { kind: 'head', layer: 1, head: 0, port: 'v' },
    ] as const) {
      const site = to.kind === 'mlp' ? 'blocks.1.hook_mlp_in' : 'blocks.1.hook_v_input';
      const cut = await run(model, [site, 'logits'], [{ kind: 'edge', from, to, value: { kind: 'const', value: 0 } }]);
      const plain = await run(model, [site, 'blocks.0.attn.hook_result', 'logits']);
      const { width, heads } = model.spec;
      const written = captured(plain, 'blocks.0.attn.hook_result').data;
      const [without, whole] = [captured(cut, site), captured(plain, site).data];
      // [batch, pos, head of the reader, model], or without heads.
      const readers = to.kind === 'mlp' ? 1 : (without.shape[2] ?? 1);
      without.data.forEach((value, at) => {
        const reader = Math.floor(at / width) % readers;
        const token = Math.floor(at / (width * readers));
        const taken = reader === 0 ? (written[(token * heads + from.head) * width + (at % width)] ?? 0) : 0;
        expect(value).toBeCloseTo((whole[at] ?? 0) - taken, 10);
      });
      expect(captured(cut, 'logits').data).not.toEqual(captured(plain, 'logits').data);
    }
    const beside: Intervention = {
      kind: 'edge',
      from,
      to: { kind: 'mlp', layer: 0, port: 'in' },
      value: { kind: 'const', value: 0 },
    };
    expect(await refusal(() => run(model, ['logits'], [beside]))).toMatchObject({ code: 'unknown_edge' });
  });

  test.each(['gptj', 'phi'])(
    '%s: a norm that MLP and heads share keeps its sites when a read is split',
    async (family) => {
      const model = open(family);
      const { executor } = await chooseExecutor();
      const sites = listSites(model.graph).map(({ site }) => site);
      const plain = await run(model, sites, [], executor);
      const split = await run(model, [...sites, 'blocks.0.hook_mlp_in'], [], executor);
      for (const site of sites)
        expect(bits(captured(split, site)).equals(bits(captured(plain, site))), site).toBe(true);
      const change: Intervention = {
        kind: 'write',
        at: { site: 'blocks.0.ln1.hook_scale' },
        op: 'scale',
        value: { kind: 'const', value: 2 },
      };
      expect(await refusal(() => run(model, ['logits', 'blocks.0.hook_mlp_in'], [change]))).toMatchObject({
        code: 'shared_norm',
      });
    },
  );

  test('mixtral: a mixture of experts is one MLP to units and edges, and cutting one reaches router and experts', async () => {
    const model = open('mixtral');
    const decomposition = decompose(model.graph);
    expect(decomposition.exactSum).toBe(true);
    expect(decomposition.units.filter(({ kind }) => kind === 'mlp')).toHaveLength(2);
    const to = { kind: 'mlp', layer: 1, port: 'in' } as const;
    const from = { kind: 'head', layer: 0, head: 1 } as const;
    const site = 'blocks.1.hook_mlp_in';
    const inside = ['blocks.1.mlp.hook_router_logits', 'blocks.1.mlp.experts.2.hook_pre_linear'];
    const cut = await run(model, [site, ...inside], [{ kind: 'edge', from, to, value: { kind: 'const', value: 0 } }]);
    const plain = await run(model, [site, 'blocks.0.attn.hook_result', ...inside]);
    const written = captured(plain, 'blocks.0.attn.hook_result').data;
    const { width, heads } = model.spec;
    captured(cut, site).data.forEach((value, at) => {
      const taken = written[(Math.floor(at / width) * heads + from.head) * width + (at % width)] ?? 0;
      expect(value).toBeCloseTo((captured(plain, site).data[at] ?? 0) - taken, 10);
    });
    for (const name of inside) expect(captured(cut, name).data).not.toEqual(captured(plain, name).data);
  });

  test('mixtral: a token sent to other experts gets what they give, weighed among themselves', async () => {
    const model = open('mixtral');
    const at = 'blocks.1.mlp';
    const sites = [`${at}.hook_expert_weights`, `${at}.experts.0.hook_out`, 'blocks.1.hook_mlp_out'];
    const send: Intervention = {
      kind: 'write',
      at: { site: `${at}.hook_expert_indices` },
      op: 'set',
      value: { kind: 'const', value: 0 },
    };
    const sent = await run(model, [...sites, `${at}.hook_expert_gates`], [send]);
    // Both choices name the first expert, so it has all.
    expect([...captured(sent, `${at}.hook_expert_gates`).data].filter((_, index) => index % 4 === 0)).toEqual(
      Array(24).fill(1),
    );
    expect(captured(sent, 'blocks.1.hook_mlp_out').data).toEqual(captured(sent, `${at}.experts.0.hook_out`).data);
  });

  test.each(normed)(
    '%s: what heads write passes through a norm, so edges are refused with that reason',
    async (family) => {
      const model = open(family);
      const decomposition = decompose(model.graph);
      expect(decomposition.exactSum).toBe(false);
      expect(decomposition.inexactAt).toMatch(/_post\.hook_out$|ln1\.hook_out$/);
      expect(await refusal(() => edgesOf(decomposition))).toMatchObject({
        code: 'inexact_sum',
        at: decomposition.inexactAt,
      });
      const edge: Intervention = {
        kind: 'edge',
        from: { kind: 'head', layer: 0, head: 0 },
        to: { kind: 'logits', port: 'in' },
        value: { kind: 'const', value: 0 },
      };
      expect(await refusal(() => run(model, ['logits'], [edge]))).toMatchObject({ code: 'inexact_sum' });
      // What each head gives before that norm is there all the same, and sums to what the norm reads.
      const before = family === 'bloom-pow2' ? 'blocks.0.hook_attn_out' : 'blocks.0.attn_out_before_norm';
      const result = await run(model, [before, 'blocks.0.attn.hook_result']);
      const { width, heads } = model.spec;
      const parts = captured(result, 'blocks.0.attn.hook_result').data;
      const bias = model.spec.biases.out ? readWeight(model.weights, 'blocks.0.attn.b_O').data : [];
      captured(result, before).data.forEach((value, at) => {
        let sum = bias[at % width] ?? 0;
        for (let head = 0; head < heads; head++)
          sum += parts[(Math.floor(at / width) * heads + head) * width + (at % width)] ?? 0;
        expect(sum).toBeCloseTo(value, 10);
      });
    },
  );

  test.each([...recordedFamilies])(
    '%s: the folded view has the logits of the raw one, less a constant per row',
    async (family) => {
      const model = open(family);
      const [raw, folded] = [await run(model, ['logits']), await run(viewModel(model, 'folded'), ['logits'])];
      const { vocab, logitSoftCap } = model.spec;
      const [a, b] = [captured(raw, 'logits').data, captured(folded, 'logits').data];
      for (let row = 0; row < a.length; row += vocab) {
        const shift = (a[row] ?? 0) - (b[row] ?? 0);
        if (logitSoftCap !== undefined) expect(Math.abs(shift)).toBeLessThan(1e-12);
        for (let id = 0; id < vocab; id++) expect((a[row + id] ?? 0) - (b[row + id] ?? 0)).toBeCloseTo(shift, 11);
      }
    },
  );

  const turning = ['llama-rope-dynamic', 'phi3-longrope'];
  test.each(recordedFamilies.filter((family) => !turning.includes(family)))(
    '%s: in pieces every site has the bits of the whole text',
    async (family) => {
      const model = open(family);
      const { executor } = await chooseExecutor();
      const sites = listSites(model.graph).map(({ site }) => site);
      const plan = makePlan(model.graph, { readouts: capture(...sites) });
      const engine = engineFor(model, executor);
      const whole = await runPlan(engine, plan, padded);
      const runner = cachedRunner(engine, plan, { from: 7 });
      let cache: KeyValueCache | null = null;
      let start = 0;
      for (const length of [5, 1, 1, 2, 3]) {
        const cut = (rows: readonly (readonly number[])[]) => rows.map((row) => row.slice(start, start + length));
        const next: { run: Run; cache: KeyValueCache } = await runner.extend(cache, {
          tokens: cut(padded.tokens),
          mask: cut(padded.mask ?? []),
        });
        cache = next.cache;
        for (const site of sites) {
          const [all, piece] = [captured(whole, site), captured(next.run, site)];
          expect(bits(piece).equals(bits(positionsOf(all, site, start, length))), `${site} from ${start}`).toBe(true);
        }
        start += length;
      }
    },
  );

  test.each(turning)(
    '%s turns by the length of a text: no keys are kept, and rows keep their own length',
    async (family) => {
      const model = open(family);
      const { executor } = await chooseExecutor();
      const engine = engineFor(model, executor);
      const plan = makePlan(model.graph, { readouts: capture('logits') });
      expect(await refusal(() => cachedRunner(engine, plan, { from: 4 }))).toMatchObject({ code: 'no_cache' });
      const long = Array.from({ length: 20 }, (_, at) => (at * 7 + 3) % 97);
      const short = long.slice(0, 9);
      const pad = (row: readonly number[], value: number): number[] => [
        ...Array.from({ length: 20 - row.length }, () => value),
        ...row,
      ];
      const both: Prompt = {
        tokens: [long, pad(short, 0)],
        mask: [
          long.map(() => 1),
          pad(
            short.map(() => 1),
            0,
          ),
        ],
      };
      const together = captured(await runPlan(engine, plan, both), 'logits');
      const alone = captured(await runPlan(engine, plan, { tokens: [short] }), 'logits');
      const { vocab } = model.spec;
      const row = together.data.slice((20 + 11) * vocab);
      expect(bits({ shape: alone.shape, data: row }).equals(bits(alone))).toBe(true);
      // What a position computes changes once the text is longer than the original context.
      const first = together.data.slice(0, 9 * vocab);
      expect(first).not.toEqual(alone.data);
      const texts: number[][] = [];
      for (const cache of [true, false]) {
        const made: number[] = [];
        for await (const id of generate(engine, model.spec, short, { steps: 8, cache })) made.push(id);
        texts.push(made);
      }
      expect(texts[0]).toHaveLength(8);
      expect(texts[0]).toEqual(texts[1]);
      const limit = model.spec.context;
      const tooLong = Array.from({ length: limit + 1 }, () => 1);
      expect(await refusal(() => runPlan(engine, plan, { tokens: [tooLong] }))).toMatchObject({ code: 'out_of_range' });
    },
  );
});

/** A piece of a site along its positions; of a pattern, its queries, with the keys up to the piece's end. */
function positionsOf({ shape, data }: Tensor, site: string, start: number, length: number): Tensor {
  const square = /hook_(pattern|attn_scores)$/.test(site);
  const axis = square ? 2 : 1;
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const pos = shape[axis] ?? 1;
  const keep = square ? start + length : inner;
  const out: number[] = [];
  for (let row = 0; row < outer; row++) {
    for (let at = start; at < start + length; at++) {
      const from = (row * pos + at) * inner;
      for (let i = 0; i < keep; i++) out.push(data[from + i] ?? 0);
    }
  }
  return { shape: [out.length], data: Float32Array.from(out) };
}

import type { Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import {
  captured,
  chooseExecutor,
  type Executor,
  makePlan,
  readoutTensor,
  referenceExecutor,
  runPlan,
} from '../plan/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { engineFor, loadModel, modelFromCheckpoint } from './load-model.ts';
import { relativeError, sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

// Two small models that somebody trained, against what others computed with them.

const executors: readonly {
  readonly name: string;
  readonly get: () => Promise<Executor>;
  readonly absolute: number;
}[] = [
  // The recorded logits are rounded to five decimals.
  { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), absolute: 5.001e-6 },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, absolute: 1e-4 },
];

const skipped = sharedFolder ? '' : ` (skipped: ${withoutShared})`;

describe.skipIf(!sharedFolder)(`stories260K, a llama2.c file${skipped}`, () => {
  interface Recorded {
    readonly greedy_token_ids: number[];
    readonly logits_pos: { readonly [position: string]: number[] };
    readonly ce_mean_nats: number;
  }

  for (const { name, get, absolute } of executors) {
    test(`logits, their best and the loss are the recorded ones, computed by ${name}`, async () => {
      const model = loadModel(sharedPath('data/lm/stories260K/stories260K.bin'));
      expect(model.spec).toMatchObject({
        layers: 5,
        heads: 8,
        kvHeads: 4,
        width: 64,
        vocab: 512,
        context: 512,
        tied: true,
      });
      const record = sharedJson('data/reference/stories260K.json') as Recorded;
      const ids = record.greedy_token_ids;
      const readouts: Readout[] = [
        { kind: 'capture', at: { site: 'logits' } },
        { kind: 'topK', at: { kind: 'all' }, k: 1 },
        { kind: 'loss' },
      ];
      const run = await runPlan(engineFor(model, await get()), makePlan(model.graph, { readouts }), { tokens: [ids] });
      const { data } = captured(run, 'logits');
      for (const [position, logits] of Object.entries(record.logits_pos)) {
        logits.forEach((want, id) => {
          expect(Math.abs((data[Number(position) * 512 + id] ?? Number.NaN) - want)).toBeLessThan(absolute);
        });
      }
      const best = run.results[1];
      if (best?.kind !== 'topK') throw new Error('readouts come in plan order');
      expect([...best.indices.data.subarray(0, ids.length - 1)]).toEqual(ids.slice(1));
      const losses = readoutTensor(run, 2).data;
      const mean = Array.from(losses).reduce((a, b) => a + b, 0) / (ids.length - 1);
      expect(Math.abs(mean - record.ce_mean_nats)).toBeLessThan(absolute);
    });
  }
});

describe.skipIf(!sharedFolder)(`nano-gpt-sort, a minGPT in JSON${skipped}`, () => {
  interface Stored {
    readonly shape: number[];
    readonly dtype: string;
    readonly data: string;
  }
  type File = { readonly [name: string]: Stored } & { readonly config: { readonly [key: string]: number | string } };

  const decode = ({ shape, data }: Stored): Tensor => {
    const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
    return { shape, data: new Float32Array(bytes.buffer) };
  };
  const transpose = ({ shape: [rows = 0, columns = 0], data }: Tensor): Tensor => ({
    shape: [columns, rows],
    data: Float32Array.from(data, (_, at) => data[(at % rows) * columns + Math.floor(at / rows)] ?? 0),
  });
  /** [batch, heads, pos, width] → [batch, pos, heads, width] */
  const headsInside = ({ shape: [batch = 0, heads = 0, pos = 0, width = 0], data }: Tensor): Tensor => ({
    shape: [batch, pos, heads, width],
    data: Float32Array.from(data, (_, at) => {
      const [i, head, p, b] = [
        at % width,
        Math.floor(at / width) % heads,
        Math.floor(at / (width * heads)) % pos,
        Math.floor(at / (width * heads * pos)),
      ];
      return data[((b * heads + head) * pos + p) * width + i] ?? 0;
    }),
  });
  const flatHeads = ({ shape: [batch = 0, pos = 0, heads = 0, width = 0], data }: Tensor): Tensor => ({
    shape: [batch, pos, heads * width],
    data,
  });

  /** minGPT stores its products [out, in] like PyTorch's Linear; GPT-2's layout has them [in, out]. */
  function open() {
    const { config, ...stored } = sharedJson('data/lm/nano-gpt-sort/gpt-nano-sort-model.json') as File;
    const linear = /\.(c_attn|c_proj|c_fc)\.weight$/;
    const tensors = new Map(
      Object.entries(stored).map(([name, value]) => [
        name,
        linear.test(name) ? transpose(decode(value)) : decode(value),
      ]),
    );
    const gpt2 = {
      model_type: 'gpt2',
      n_layer: config.n_layer,
      n_head: config.n_head,
      n_embd: config.n_embd,
      vocab_size: config.vocab_size,
      n_positions: config.block_size,
      tie_word_embeddings: false,
    };
    return modelFromCheckpoint(memoryCheckpoint('nano-gpt-sort', gpt2, tensors), 'nano-gpt-sort');
  }

  /** Their names for our sites; `qkv`, `idx` and `probs` are checked by themselves. */
  const sites: { readonly [theirs: string]: string } = {
    tok_emb: 'hook_embed',
    pos_emb: 'hook_pos_embed',
    x: 'blocks.0.hook_resid_pre',
    ln1: 'blocks.0.ln1.hook_out',
    q: 'blocks.0.attn.hook_q',
    k: 'blocks.0.attn.hook_k',
    v: 'blocks.0.attn.hook_v',
    att: 'blocks.0.attn.hook_attn_scores',
    attSm: 'blocks.0.attn.hook_pattern',
    y: 'blocks.0.attn.hook_z',
    yProj: 'blocks.0.hook_attn_out',
    attnResid: 'blocks.0.hook_resid_mid',
    ln2: 'blocks.0.ln2.hook_out',
    fc: 'blocks.0.mlp.hook_pre',
    gelu: 'blocks.0.mlp.hook_post',
    mlp: 'blocks.0.hook_mlp_out',
    mlpResid: 'blocks.0.hook_resid_post',
    block0: 'blocks.0.hook_resid_post',
    block1: 'blocks.1.hook_resid_post',
    block2: 'blocks.2.hook_resid_post',
    ln_f: 'ln_final.hook_out',
    lm_head: 'logits',
  };

  for (const { name, get } of executors) {
    test(`all 22 recorded activations agree to 1e-4, computed by ${name}`, async () => {
      const model = open();
      const record = sharedJson('data/lm/nano-gpt-sort/gpt-nano-sort-t0-partials.json') as File;
      const { shape, data: ids } = decode(record.idx as Stored);
      const [batch = 0, pos = 0] = shape;
      const tokens = Array.from({ length: batch }, (_, row) => [...ids.subarray(row * pos, (row + 1) * pos)]);
      const readouts = Object.values(sites).map((site): Readout => ({ kind: 'capture', at: { site } }));
      const run = await runPlan(engineFor(model, await get()), makePlan(model.graph, { readouts }), { tokens });
      let compared = 0;
      for (const [theirs, site] of Object.entries(sites)) {
        const stored = decode(record[theirs] as Stored);
        const want = /^[qkv]$/.test(theirs) ? headsInside(stored) : stored;
        const got = captured(run, site);
        const ours = theirs === 'y' ? flatHeads(got) : theirs === 'pos_emb' ? firstOf(got) : got;
        expect(relativeError(ours, want), theirs).toBeLessThan(1e-4);
        compared += 1;
      }
      expect(compared).toBe(22);
      const logits = captured(run, 'logits').data;
      const odds = decode(record.probs as Stored).data;
      for (let row = 0; row < batch * pos; row++) {
        const exps = [0, 1, 2].map((id) => Math.exp(logits[row * 3 + id] ?? 0));
        const total = exps.reduce((a, b) => a + b, 0);
        exps.forEach((exp, id) => {
          expect(exp / total).toBeCloseTo(odds[row * 3 + id] ?? Number.NaN, 5);
        });
      }
    });
  }

  /** The recorded position embedding has one example for all. */
  function firstOf({ shape: [, ...rest], data }: Tensor): Tensor {
    return {
      shape: [1, ...rest],
      data: data.slice(
        0,
        rest.reduce((a, b) => a * b, 1),
      ),
    };
  }

  test('it sorts: six digits in, the same digits in order out', async () => {
    const model = open();
    const { executor } = await chooseExecutor();
    const digits = [2, 0, 1, 2, 1, 0];
    const ids = [...digits];
    for (let step = 0; step < 6; step++) {
      const plan = makePlan(model.graph, { readouts: [{ kind: 'topK', at: { kind: 'last' }, k: 1 }] });
      const [best] = (await runPlan(engineFor(model, executor), plan, { tokens: [ids] })).results;
      if (best?.kind !== 'topK') throw new Error('the readout is gone');
      ids.push(best.indices.data[0] ?? -1);
    }
    expect(ids.slice(6)).toEqual([...digits].sort());
  });
});

import type { Intervention, Readout, Scope } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { engineFor, type Model } from '../architectures/index.ts';
import { listSites } from '../graph/index.ts';
import { digestTensor, type Tensor } from '../tensor/index.ts';
import type { Prompt } from './bind.ts';
import { compile } from './compile.ts';
import { randomTensor, randomTokens, smallModelNames, smallModels } from './fixtures/small-models.ts';
import { referenceExecutor } from './reference-executor.ts';
import { captured, type Run, readoutTensor } from './run.ts';
import { makePlan, type RunOptions, runPlan } from './run-plan.ts';

// Readouts compute no more than they must (two columns of the unembedding, one position); here each is held against the
// whole logits and sites, in float64.

const [batch, pos, vocab] = [3, 6, 37];
const tokens = randomTokens(11, batch, pos);
const executor = referenceExecutor({ precision: 'f64' });
const logits: Readout = { kind: 'capture', at: { site: 'logits' } };

function run(model: Model, readouts: Readout[], prompt: Prompt = { tokens }, options: RunOptions = {}): Promise<Run> {
  return runPlan(engineFor(model, executor), makePlan(model.graph, { readouts }), prompt, options);
}

function logit(result: Run, example: number, at: number, id: number): number {
  return captured(result, 'logits').data[(example * pos + at) * vocab + id] ?? Number.NaN;
}

describe.each(smallModelNames)('%s', (name) => {
  const model = smallModels[name]();
  const answer = [3, 7, 36];
  const wrong = [0, 36, 7];

  test('the logit difference is that of the logits, at one position for each example', async () => {
    const ends = [1, 5, 3];
    const result = await run(model, [
      { kind: 'logitDiff', at: { kind: 'perExample', positions: ends }, answer, wrong },
      logits,
    ]);
    expect(readoutTensor(result, 0).shape).toEqual([batch, 1]);
    for (const [example, at] of ends.entries()) {
      const want = logit(result, example, at, answer[example] ?? 0) - logit(result, example, at, wrong[example] ?? 0);
      expect(readoutTensor(result, 0).data[example]).toBeCloseTo(want, 12);
    }
  });

  test('one answer serves all examples', async () => {
    const at = { kind: 'last' } as const;
    const single = await run(model, [{ kind: 'logitDiff', at, answer: [3], wrong: [4] }]);
    const each = await run(model, [{ kind: 'logitDiff', at, answer: [3, 3, 3], wrong: [4, 4, 4] }]);
    expect(readoutTensor(single, 0).data).toEqual(readoutTensor(each, 0).data);
  });

  test('top k is the head of the sorted logits, at all positions and at some', async () => {
    const result = await run(model, [
      { kind: 'topK', at: { kind: 'all' }, k: 4 },
      { kind: 'topK', at: { kind: 'positions', positions: [0, -2] }, k: 3 },
      logits,
    ]);
    const ranked = (example: number, at: number) =>
      Array.from({ length: vocab }, (_, id) => id).sort(
        (a, b) => logit(result, example, at, b) - logit(result, example, at, a),
      );
    const [all, some] = result.results;
    if (all?.kind !== 'topK' || some?.kind !== 'topK') throw new Error('readouts come in plan order');
    expect(all.indices.shape).toEqual([batch, pos, 4]);
    expect(some.indices.shape).toEqual([batch, 2, 3]);
    for (let example = 0; example < batch; example++) {
      for (let at = 0; at < pos; at++) {
        const from = (example * pos + at) * 4;
        expect([...all.indices.data.subarray(from, from + 4)]).toEqual(ranked(example, at).slice(0, 4));
      }
      const rows = [0, pos - 2].map((at) => ranked(example, at).slice(0, 3));
      expect([...some.indices.data.subarray(example * 6, example * 6 + 6)]).toEqual(rows.flat());
      expect(some.values.data[example * 6]).toBeCloseTo(logit(result, example, 0, rows[0]?.[0] ?? 0), 12);
    }
  });

  test('entropy, log-probability, rank and divergence are those of the whole logits, by one step', async () => {
    const [last] = listSites(model.graph).filter(({ site }) => site.endsWith('.1.hook_resid_post'));
    const stream: Readout = { kind: 'capture', at: { site: last?.site ?? '' } };
    const other = await run(model, [stream, logits], { tokens: randomTokens(12, batch, pos) });
    const places: readonly Scope['at'][] = [
      { kind: 'all' },
      { kind: 'positions', positions: [4, -6] },
      { kind: 'last' },
    ];
    const lists = [[0, 1, 2, 3, 4, 5], [4, 0], [5]];
    for (const [which, at] of places.entries()) {
      if (!at) continue;
      const readouts: Readout[] = [
        { kind: 'entropy', at },
        { kind: 'kl', at, run: 'other' },
        { kind: 'rank', at, answer },
        { kind: 'logProb', at, answer },
        logits,
      ];
      const result = await run(model, readouts, { tokens }, { runs: new Map([['other', other]]) });
      const list = lists[which] ?? [];
      const got = [0, 1, 2, 3].map((index) => readoutTensor(result, index));
      for (const { shape } of got) expect(shape).toEqual([batch, list.length]);
      for (let example = 0; example < batch; example++) {
        for (const [index, place] of list.entries()) {
          const [row, reference] = [result, other].map((from) => {
            const all = Array.from({ length: vocab }, (_, id) => logit(from, example, place, id));
            const total = Math.log(all.reduce((sum, value) => sum + Math.exp(value), 0));
            return all.map((value) => value - total);
          });
          const sum = (term: (id: number) => number) =>
            Array.from({ length: vocab }, (_, id) => term(id)).reduce((a, b) => a + b, 0);
          const log = (id: number): number => row?.[id] ?? Number.NaN;
          const its = (id: number): number => reference?.[id] ?? Number.NaN;
          const id = answer[example] ?? 0;
          const want = [
            sum((token) => -Math.exp(log(token)) * log(token)),
            sum((token) => Math.exp(its(token)) * (its(token) - log(token))),
            sum((token) => (log(token) > log(id) ? 1 : 0)),
            log(id),
          ];
          for (const [kind, value] of want.entries()) {
            expect(got[kind]?.data[example * list.length + index]).toBeCloseTo(value, 11);
          }
        }
      }
    }
  });

  test('the loss at t is −log of what the softmax gives token t + 1, and 0 at the end', async () => {
    const result = await run(model, [{ kind: 'loss' }, logits]);
    for (const [example, row] of tokens.entries()) {
      for (let at = 0; at < pos; at++) {
        const next = row[at + 1];
        const all = Array.from({ length: vocab }, (_, id) => logit(result, example, at, id));
        const total = Math.log(all.reduce((sum, value) => sum + Math.exp(value), 0));
        const want = next === undefined ? 0 : total - (all[next] ?? 0);
        expect(readoutTensor(result, 0).data[example * pos + at]).toBeCloseTo(want, 10);
      }
    }
  });
});

describe('a loss', () => {
  test('counts where both tokens are real, and at the chosen positions alone', async () => {
    const model = smallModels.gpt2();
    const mask = [
      [1, 1, 1, 1, 1, 1],
      [1, 1, 1, 1, 0, 0],
      [0, 0, 1, 1, 1, 1],
    ];
    const counted = async (at?: Scope['at']) => {
      const readout: Readout = at ? { kind: 'loss', at } : { kind: 'loss' };
      const { data } = readoutTensor(await run(model, [readout], { tokens, mask }), 0);
      return mask.map((row, example) => row.map((_, p) => (data[example * pos + p] === 0 ? 0 : 1)).join(''));
    };
    expect(await counted()).toEqual(['111110', '111000', '001110']);
    expect(await counted({ kind: 'positions', positions: [2, 3] })).toEqual(['001100', '001000', '001100']);
  });
});

describe('statistics of the vocabulary', () => {
  const model = smallModels.gpt2();
  const site = 'blocks.1.hook_resid_post';

  test('a variant that changes nothing diverges by exactly 0 from the run itself, another does not', async () => {
    const clean = await run(model, [{ kind: 'capture', at: { site } }]);
    const readouts: Readout[] = [{ kind: 'kl', at: { kind: 'last' }, run: 'clean' }];
    const off: Intervention = {
      kind: 'write',
      at: { site: 'blocks.0.hook_mlp_out' },
      op: 'set',
      value: { kind: 'const', value: 0 },
    };
    const plan = makePlan(model.graph, { readouts, sweep: [[], [off]] });
    const result = await runPlan(engineFor(model, executor), plan, { tokens }, { runs: new Map([['clean', clean]]) });
    const { shape, data } = readoutTensor(result, 0);
    expect(shape).toEqual([2, batch, 1]);
    expect([...data.subarray(0, batch)]).toEqual([0, 0, 0]);
    for (const value of data.subarray(batch)) expect(value).toBeGreaterThan(1e-6);
  });

  test('the whole logits are never asked for, and readouts of one place share a step', () => {
    const at = { kind: 'all' } as const;
    const readouts: Readout[] = [
      { kind: 'entropy', at },
      { kind: 'rank', at, answer: [1] },
      { kind: 'logProb', at, answer: [1] },
      { kind: 'logProb', at, answer: [2] },
    ];
    const { program } = compile({ graph: model.graph, variants: [[]], readouts });
    const used = program.steps.map(({ kernel }) => kernel);
    expect(used.filter((kernel) => kernel === 'vocab_statistics')).toHaveLength(2);
    expect(program.values.some(({ shape }) => shape.at(-1) === vocab)).toBe(false);
  });

  test('a run that lacks the stream, and an id outside the vocabulary, are refused', async () => {
    const clean = await run(model, [logits]);
    const at = { kind: 'last' } as const;
    const runs = new Map([['clean', clean]]);
    await expect(run(model, [{ kind: 'kl', at, run: 'clean' }], { tokens }, { runs })).rejects.toMatchObject({
      code: 'not_captured',
    });
    await expect(run(model, [{ kind: 'kl', at, run: 'gone' }], { tokens }, { runs })).rejects.toMatchObject({
      code: 'unknown_run',
    });
    await expect(run(model, [{ kind: 'rank', at, answer: [vocab] }])).rejects.toMatchObject({ code: 'out_of_range' });
    await expect(run(model, [{ kind: 'rank', at, answer: [1, 2] }])).rejects.toMatchObject({ code: 'bad_readout' });
  });
});

describe('a capture', () => {
  const model = smallModels.llama();
  const whole = async (site: string) => captured(await run(model, [{ kind: 'capture', at: { site } }]), site);
  const cut = async (at: Scope, prompt?: Prompt): Promise<Tensor> =>
    readoutTensor(await run(model, [{ kind: 'capture', at }], prompt), 0);

  test('gives positions, heads and units in the order asked for', async () => {
    const site = 'blocks.0.attn.hook_z';
    const { data } = await whole(site);
    const got = await cut({ site, at: { kind: 'positions', positions: [4, 0] }, head: [3, 1], unit: [5] });
    expect(got.shape).toEqual([batch, 2, 2, 1]);
    const want = [0, 1, 2].flatMap((b) =>
      [4, 0].flatMap((p) => [3, 1].map((h) => data[((b * pos + p) * 4 + h) * 6 + 5])),
    );
    expect([...got.data]).toEqual(want);
  });

  test('narrows a pattern by head, query and key', async () => {
    const site = 'blocks.1.attn.hook_pattern';
    const { data } = await whole(site);
    const got = await cut({ site, head: [2], at: { kind: 'last' }, key: { kind: 'positions', positions: [1, 5] } });
    expect(got.shape).toEqual([batch, 1, 1, 2]);
    const want = [0, 1, 2].flatMap((b) => [1, 5].map((k) => data[((b * 4 + 2) * pos + 5) * pos + k]));
    expect([...got.data]).toEqual(want);
  });

  test('takes named positions of each example', async () => {
    const site = 'blocks.0.hook_resid_post';
    const { data } = await whole(site);
    const got = await cut(
      { site, at: { kind: 'named', name: 'end' }, unit: [7] },
      { tokens, named: { end: [5, 0, 2] } },
    );
    expect([...got.data]).toEqual([5, 0, 2].map((p, b) => data[(b * pos + p) * 20 + 7]));
  });

  test('of a sweep has a block for each variant, and one scope for all', async () => {
    const site = 'blocks.1.attn.hook_z';
    const zero = { kind: 'const', value: 0 } as const;
    const plan = makePlan(model.graph, {
      readouts: [
        { kind: 'capture', at: { site, head: [1], at: { kind: 'last' } } },
        { kind: 'capture', at: { site: 'hook_embed' } },
      ],
      sweep: [0, 1].map((head) => [{ kind: 'write', at: { site, head: [head] }, op: 'set', value: zero }]),
    });
    const result = await runPlan(engineFor(model, executor), plan, { tokens });
    const [scoped, embed] = [readoutTensor(result, 0), readoutTensor(result, 1)];
    expect(scoped.shape).toEqual([2, batch, 1, 1, 6]);
    expect([...scoped.data.subarray(batch * 6)].every((value) => value === 0)).toBe(true);
    expect([...scoped.data.subarray(0, batch * 6)].every((value) => value !== 0)).toBe(true);
    expect(embed.data.subarray(0, embed.data.length / 2)).toEqual(embed.data.subarray(embed.data.length / 2));
  });
});

describe('a projection', () => {
  const model = smallModels.gpt2();

  test('is the dot product with the direction at unit length', async () => {
    const site = 'blocks.0.hook_resid_post';
    const vector = randomTensor(3, [21], 5);
    const hash = digestTensor(vector);
    const length = Math.sqrt(Array.from(vector.data).reduce((sum, v) => sum + v * v, 0));
    const result = await run(
      model,
      [
        { kind: 'project', at: { site }, direction: hash },
        { kind: 'capture', at: { site } },
      ],
      { tokens },
      { artefacts: new Map([[hash, vector]]) },
    );
    const { data } = captured(result, site);
    expect(readoutTensor(result, 0).shape).toEqual([batch, pos]);
    readoutTensor(result, 0).data.forEach((value, token) => {
      const dot = Array.from(vector.data, (v, i) => v * (data[token * 21 + i] ?? 0)).reduce((a, b) => a + b, 0);
      expect(value).toBeCloseTo(dot / length, 10);
    });
  });

  test('keeps to its scope of positions and heads', async () => {
    const site = 'blocks.1.attn.hook_z';
    const vector = randomTensor(4, [7]);
    const hash = digestTensor(vector);
    const at: Scope = { site, at: { kind: 'positions', positions: [2, 5] }, head: [2] };
    const result = await run(
      model,
      [
        { kind: 'project', at: { site }, direction: hash },
        { kind: 'project', at, direction: hash },
      ],
      { tokens },
      { artefacts: new Map([[hash, vector]]) },
    );
    const { data } = readoutTensor(result, 0);
    expect(readoutTensor(result, 1).shape).toEqual([batch, 2, 1]);
    expect([...readoutTensor(result, 1).data]).toEqual(
      [0, 1, 2].flatMap((b) => [2, 5].map((p) => data[(b * pos + p) * 3 + 2])),
    );
  });
});

describe('an effect', () => {
  test('can be read on internal sites, at the same time as on the output', async () => {
    const model = smallModels.gpt2();
    const sites = [
      'blocks.1.attn.hook_pattern',
      'blocks.1.mlp.hook_post',
      'blocks.1.hook_k_input',
      'blocks.1.attn.hook_result',
    ];
    const plan = makePlan(model.graph, {
      readouts: [...sites.map((site): Readout => ({ kind: 'capture', at: { site } })), logits],
      sweep: [
        [],
        [
          {
            kind: 'write',
            at: { site: 'blocks.0.attn.hook_z', head: [0] },
            op: 'set',
            value: { kind: 'const', value: 0 },
          },
        ],
      ],
    });
    const result = await runPlan(engineFor(model, executor), plan, { tokens });
    for (const index of result.results.keys()) {
      const { data } = readoutTensor(result, index);
      const half = data.length / 2;
      expect(data.subarray(0, half), sites[index] ?? 'logits').not.toEqual(data.subarray(half));
    }
  });

  test('head results add up to the attention output without its bias', async () => {
    const model = smallModels.gpt2();
    const sites = ['blocks.0.attn.hook_result', 'blocks.0.hook_attn_out'];
    const result = await run(
      model,
      sites.map((site): Readout => ({ kind: 'capture', at: { site } })),
    );
    const [each, sum] = [readoutTensor(result, 0), readoutTensor(result, 1)];
    const bias = model.weights.get('blocks.0.attn.b_O')?.read() ?? [];
    sum.data.forEach((value, flat) => {
      const [token, i] = [Math.floor(flat / 21), flat % 21];
      const heads = [0, 1, 2].map((h) => each.data[(token * 3 + h) * 21 + i] ?? 0);
      expect(value).toBeCloseTo(heads.reduce((a, b) => a + b, 0) + (bias[i] ?? 0), 12);
    });
  });
});

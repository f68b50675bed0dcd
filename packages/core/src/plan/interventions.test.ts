import type { Hash, Intervention, Readout, Scope, Value } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { engineFor } from '../architectures/index.ts';
import { digestTensor, type Tensor } from '../tensor/index.ts';
import { randomTensor, randomTokens, smallModels } from './fixtures/small-models.ts';
import { referenceExecutor } from './reference-executor.ts';
import { captured, type Run, readoutTensor } from './run.ts';
import { makePlan, type RunOptions, runPlan } from './run-plan.ts';
import { readWeight } from './weights.ts';

// Each kind of change against arithmetic by hand, in float64: what the site becomes, and that the model goes on from there.

const model = smallModels.attentionOnly();
const engine = engineFor(model, referenceExecutor({ precision: 'f64' }));
const [batch, pos, width, heads, headWidth] = [3, 5, 18, 3, 5];
const tokens = randomTokens(1, batch, pos);
const others = randomTokens(2, batch, pos);
const stream = 'blocks.1.hook_resid_pre';
const z = 'blocks.0.attn.hook_z';
const last = 'blocks.1.hook_resid_post';

type Options = RunOptions & { readonly named?: { readonly [name: string]: number[] }; readonly ids?: number[][] };

async function run(interventions: Intervention[], sites: readonly string[], options: Options = {}): Promise<Run> {
  const { named, ids = tokens, ...rest } = options;
  const readouts = sites.map((site): Readout => ({ kind: 'capture', at: { site } }));
  const prompt = named ? { tokens: ids, named } : { tokens: ids };
  return runPlan(engine, makePlan(model.graph, { interventions, readouts }), prompt, rest);
}

/** What a site holds in one run; asked of the clean run and of the changed one. */
async function siteAfter(site: string, interventions: Intervention[], options: Options = {}): Promise<Tensor> {
  return captured(await run(interventions, [site, 'logits'], options), site);
}

const other = await run([], [stream, z, 'blocks.1.attn.hook_pattern', last], { ids: others });
const clean = await run([], [stream, z, 'blocks.1.attn.hook_pattern', last]);
const runs = new Map([
  ['other', other],
  ['clean', clean],
]);

/** The clean value with `change` made to the entries that are chosen. */
function expected(site: string, change: (old: number, at: number[], flat: number) => number): number[] {
  const { shape, data } = captured(clean, site);
  return Array.from(data, (old, flat) => change(old, unravel(shape, flat), flat));
}

function unravel(shape: readonly number[], flat: number): number[] {
  let rest = flat;
  return [...shape]
    .reverse()
    .map((size) => {
      const at = rest % size;
      rest = (rest - at) / size;
      return at;
    })
    .reverse();
}

function expectClose(got: Tensor, want: readonly number[]): void {
  expect(got.data.length).toBe(want.length);
  want.forEach((value, at) => {
    expect(Math.abs((got.data[at] ?? Number.NaN) - value), `entry ${at}`).toBeLessThan(
      1e-12 * Math.max(1, Math.abs(value)),
    );
  });
}

function artefact(tensor: Tensor): { hash: Hash; artefacts: ReadonlyMap<Hash, Tensor> } {
  const hash = digestTensor(tensor);
  return { hash, artefacts: new Map([[hash, tensor]]) };
}

const constant = (value: number): Value => ({ kind: 'const', value });
const write = (at: Scope, op: 'set' | 'add' | 'scale', value: Value, coefficient?: number): Intervention =>
  coefficient === undefined ? { kind: 'write', at, op, value } : { kind: 'write', at, op, value, coefficient };

describe('a write', () => {
  test('sets a constant at one head and one position, and nothing else', async () => {
    const at: Scope = { site: z, head: [1], at: { kind: 'positions', positions: [2] } };
    const got = await siteAfter(z, [write(at, 'set', constant(0.25))]);
    expectClose(
      got,
      expected(z, (old, [, p, h]) => (p === 2 && h === 1 ? 0.25 : old)),
    );
  });

  test('adds coefficient × value', async () => {
    const vector = randomTensor(3, [width]);
    const { hash, artefacts } = artefact(vector);
    const got = await siteAfter(stream, [write({ site: stream }, 'add', { kind: 'artefact', hash }, -2)], {
      artefacts,
    });
    expectClose(
      got,
      expected(stream, (old, [, , i]) => old - 2 * (vector.data[i ?? 0] ?? 0)),
    );
  });

  test('scales single units', async () => {
    const got = await siteAfter(z, [write({ site: z, unit: [0, 4], head: [2] }, 'scale', constant(-3))]);
    expectClose(
      got,
      expected(z, (old, [, , h, i]) => (h === 2 && (i === 0 || i === 4) ? -3 * old : old)),
    );
  });

  test('takes a table over [position, unit], a whole value, and one example for all', async () => {
    for (const shape of [[width], [pos, 1, width], [pos, width], [batch, pos, width]]) {
      const value = randomTensor(4, shape);
      const { hash, artefacts } = artefact(value);
      const got = await siteAfter(stream, [write({ site: stream }, 'set', { kind: 'artefact', hash })], { artefacts });
      expectClose(
        got,
        expected(stream, (_, __, flat) => value.data[flat % value.data.length] ?? 0),
      );
    }
  });

  test('patches from another run, at one position for each example', async () => {
    const at: Scope = { site: stream, at: { kind: 'perExample', positions: [0, 3, -1] } };
    const got = await siteAfter(stream, [write(at, 'set', { kind: 'run', name: 'other' })], { runs });
    const from = captured(other, stream).data;
    expectClose(
      got,
      expected(stream, (old, [b = 0, p], flat) => (p === [0, 3, 4][b] ? (from[flat] ?? 0) : old)),
    );
  });

  test('finds positions by name', async () => {
    const at: Scope = { site: stream, at: { kind: 'named', name: 'subject' } };
    const got = await siteAfter(stream, [write(at, 'set', constant(0))], { named: { subject: [1, 4, 2] } });
    expectClose(
      got,
      expected(stream, (old, [b = 0, p]) => (p === [1, 4, 2][b] ? 0 : old)),
    );
  });

  test('counts negative positions from the end, and last is the last', async () => {
    const cut = (at: Scope['at']) =>
      siteAfter(stream, [write({ site: stream, ...(at ? { at } : {}) }, 'set', constant(0))]);
    const [negative, end] = [await cut({ kind: 'positions', positions: [-1] }), await cut({ kind: 'last' })];
    expect(end.data).toEqual(negative.data);
    expectClose(
      end,
      expected(stream, (old, [, p]) => (p === pos - 1 ? 0 : old)),
    );
  });

  test('narrows a pattern by query, key and head', async () => {
    const site = 'blocks.1.attn.hook_pattern';
    const at: Scope = {
      site,
      head: [0],
      at: { kind: 'positions', positions: [3] },
      key: { kind: 'positions', positions: [1, 2] },
    };
    const got = await siteAfter(site, [write(at, 'set', constant(0.5))]);
    expectClose(
      got,
      expected(site, (old, [, h, q, k]) => (h === 0 && q === 3 && (k === 1 || k === 2) ? 0.5 : old)),
    );
  });

  test('goes by any name of the value, also in the run it is patched from', async () => {
    const named = new Map([['other', await run([], ['blocks.0.hook_resid_post'], { ids: others })]]);
    const patched = await siteAfter(stream, [write({ site: stream }, 'set', { kind: 'run', name: 'other' })], {
      runs: named,
    });
    expectClose(patched, Array.from(captured(other, stream).data));
  });
});

describe('an ablation', () => {
  test('by the mean over the batch keeps positions apart', async () => {
    const value: Value = { kind: 'mean', run: 'other', over: 'batch' };
    const got = await siteAfter(stream, [write({ site: stream }, 'set', value)], { runs });
    const from = captured(other, stream).data;
    const each = pos * width;
    expectClose(
      got,
      expected(stream, (_, __, flat) => mean([0, 1, 2].map((b) => from[b * each + (flat % each)] ?? 0))),
    );
  });

  test('by the mean over batch and positions is one vector, and its run may have another shape', async () => {
    const wider = new Map([['wider', await run([], [stream], { ids: randomTokens(8, 2, 7) })]]);
    const value: Value = { kind: 'mean', run: 'wider', over: 'batch_pos' };
    const got = await siteAfter(stream, [write({ site: stream }, 'set', value)], { runs: wider });
    const source = wider.get('wider');
    if (!source) throw new Error('the run is gone');
    const from = captured(source, stream).data;
    const want = Array.from({ length: width }, (_, i) =>
      mean(Array.from({ length: 14 }, (__, token) => from[token * width + i] ?? 0)),
    );
    expectClose(
      got,
      expected(stream, (_, [, , i = 0]) => want[i] ?? 0),
    );
  });

  test('by the mean leaves padding out', async () => {
    const mask = [
      [1, 1, 1, 1, 1],
      [1, 1, 1, 0, 0],
      [1, 1, 1, 1, 0],
    ];
    const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: stream } }] });
    const padded = await runPlan(engine, plan, { tokens: others, mask });
    const value: Value = { kind: 'mean', run: 'padded', over: 'batch_pos' };
    const got = await siteAfter(stream, [write({ site: stream }, 'set', value)], {
      runs: new Map([['padded', padded]]),
    });
    const from = captured(padded, stream).data;
    const real = mask.flat().flatMap((one, token) => (one ? [token] : []));
    const want = (i: number) => mean(real.map((token) => from[token * width + i] ?? 0));
    expectClose(
      got,
      expected(stream, (_, [, , i = 0]) => want(i)),
    );
  });

  test('by resampling takes the next example over, or a shuffled one, never its own', async () => {
    const from = captured(other, stream).data;
    const each = pos * width;
    const roll = await siteAfter(
      stream,
      [write({ site: stream }, 'set', { kind: 'resample', run: 'other', by: { kind: 'roll', shift: 1 } })],
      { runs },
    );
    expectClose(
      roll,
      expected(stream, (_, [b = 0], flat) => from[((b + 2) % 3) * each + (flat % each)] ?? 0),
    );
    for (let seed = 0; seed < 8; seed++) {
      const value: Value = { kind: 'resample', run: 'other', by: { kind: 'seed', seed } };
      const { data } = await siteAfter(stream, [write({ site: stream }, 'set', value)], { runs });
      const rowOf = (values: ArrayLike<number>, row: number): string =>
        Array.from({ length: each }, (_, i) => values[row * each + i]).join();
      const sources = [0, 1, 2].map((b) => [0, 1, 2].findIndex((s) => rowOf(data, b) === rowOf(from, s)));
      expect([...sources].sort()).toEqual([0, 1, 2]);
      sources.forEach((s, b) => {
        expect(s).not.toBe(b);
      });
    }
  });
});

describe('a direction', () => {
  const vector = randomTensor(5, [width], 3);
  const { hash, artefacts } = artefact(vector);
  const length = Math.sqrt(Array.from(vector.data).reduce((sum, v) => sum + v * v, 0));
  const unit = Array.from(vector.data, (value) => value / length);
  const along = (b: number, p: number): number => {
    const { data } = captured(clean, stream);
    return unit.reduce((sum, u, i) => sum + u * (data[(b * pos + p) * width + i] ?? 0), 0);
  };

  test('is projected out at unit length, whatever length it was given with', async () => {
    const got = await siteAfter(
      stream,
      [{ kind: 'direction', at: { site: stream }, op: 'project_out', direction: hash }],
      { artefacts },
    );
    expectClose(
      got,
      expected(stream, (old, [b = 0, p = 0, i = 0]) => old - along(b, p) * (unit[i] ?? 0)),
    );
  });

  test('steers by so many unit lengths, at chosen positions', async () => {
    const at: Scope = { site: stream, at: { kind: 'positions', positions: [1] } };
    const got = await siteAfter(stream, [{ kind: 'direction', at, op: 'steer', direction: hash, value: 4 }], {
      artefacts,
    });
    expectClose(
      got,
      expected(stream, (old, [, p, i = 0]) => (p === 1 ? old + 4 * (unit[i] ?? 0) : old)),
    );
  });

  test('is clamped to a value', async () => {
    const got = await siteAfter(
      stream,
      [{ kind: 'direction', at: { site: stream }, op: 'clamp', direction: hash, value: -2 }],
      { artefacts },
    );
    expectClose(
      got,
      expected(stream, (old, [b = 0, p = 0, i = 0]) => old + (-2 - along(b, p)) * (unit[i] ?? 0)),
    );
  });

  test('acts on single heads of z', async () => {
    const short = randomTensor(6, [headWidth]);
    const made = artefact(short);
    const norm = Math.sqrt(Array.from(short.data).reduce((sum, v) => sum + v * v, 0));
    const change: Intervention = {
      kind: 'direction',
      at: { site: z, head: [2] },
      op: 'steer',
      direction: made.hash,
      value: 1,
    };
    const got = await siteAfter(z, [change], { artefacts: made.artefacts });
    expectClose(
      got,
      expected(z, (old, [, , h, i = 0]) => (h === 2 ? old + (short.data[i] ?? 0) / norm : old)),
    );
  });
});

describe('what follows a change', () => {
  test('is computed from it: the logits are the written stream times the unembedding', async () => {
    const value = randomTensor(9, [batch, pos, width]);
    const { hash, artefacts } = artefact(value);
    const changed = await run([write({ site: last }, 'set', { kind: 'artefact', hash })], ['logits'], { artefacts });
    const unembed = readWeight(model.weights, 'unembed.W_U').data;
    const want = Array.from({ length: batch * pos * 37 }, (_, flat) => {
      const [token, id] = [Math.floor(flat / 37), flat % 37];
      return Array.from(
        { length: width },
        (__, i) => (value.data[token * width + i] ?? 0) * (unembed[i * 37 + id] ?? 0),
      ).reduce((a, b) => a + b, 0);
    });
    expectClose(captured(changed, 'logits'), want);
  });

  test('is the other run when the whole stream is patched', async () => {
    const plain = await run([], ['logits'], { ids: others });
    const patched = await run([write({ site: stream }, 'set', { kind: 'run', name: 'other' })], ['logits'], { runs });
    expectClose(captured(patched, 'logits'), Array.from(captured(plain, 'logits').data));
  });

  test('does not reach a frozen site', async () => {
    const pattern = 'blocks.1.attn.hook_pattern';
    const wild: Intervention = write({ site: stream }, 'scale', constant(5));
    const frozen: Intervention = { kind: 'freeze', at: { site: pattern }, value: { kind: 'run', name: 'clean' } };
    const held = await run([wild, frozen], [pattern, 'logits'], { runs });
    expectClose(captured(held, pattern), Array.from(captured(clean, pattern).data));
    const free = await run([wild], [pattern, 'logits']);
    expect(captured(free, pattern).data).not.toEqual(captured(clean, pattern).data);
  });

  test('can be read at an inner site', async () => {
    const got = await siteAfter('blocks.1.attn.hook_q', [write({ site: z }, 'set', constant(0))]);
    const before = await siteAfter('blocks.1.attn.hook_q', []);
    expect(got.shape).toEqual([batch, pos, heads, headWidth]);
    expect(got.data).not.toEqual(before.data);
  });
});

describe('several changes of one site', () => {
  test('are made in the order of the list', async () => {
    const set = write({ site: z, head: [0] }, 'set', constant(2));
    const add = write({ site: z }, 'add', constant(1));
    const scale = write({ site: z }, 'scale', constant(10));
    const value = async (list: Intervention[]) => (await siteAfter(z, list)).data[0];
    expect(await value([set, add, scale])).toBe(30);
    expect(await value([set, scale, add])).toBe(21);
    expect(await value([add, scale, set])).toBe(2);
    expect(await value([scale, set, add])).toBe(3);
  });

  test('keep their order when they come in different manners from different variants of a sweep', async () => {
    const set = write({ site: z }, 'set', constant(2));
    const add = write({ site: z }, 'add', constant(1));
    const scale = write({ site: z }, 'scale', constant(10));
    const sweep = [[set, add, scale], [set, scale, add], [scale, add, set], [set], [set, add]];
    const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: z } }], sweep });
    const { data } = readoutTensor(await runPlan(engine, plan, { tokens }), 0);
    const size = data.length / sweep.length;
    expect(sweep.map((_, variant) => data[variant * size])).toEqual([30, 21, 2, 2, 3]);
  });

  test("a plan's own come before the variant's", async () => {
    const plan = makePlan(model.graph, {
      interventions: [write({ site: z }, 'set', constant(2))],
      sweep: [[], [write({ site: z }, 'add', constant(1))]],
      readouts: [{ kind: 'capture', at: { site: z } }],
    });
    const { data } = readoutTensor(await runPlan(engine, plan, { tokens }), 0);
    expect([data[0], data[data.length / 2]]).toEqual([2, 3]);
  });
});

describe('an edge', () => {
  const zero = { kind: 'const', value: 0 } as const;
  const edge = (from: [number, number], port: 'q' | 'k' | 'v', head: number, value: Value = zero): Intervention => ({
    kind: 'edge',
    from: { kind: 'head', layer: from[0], head: from[1] },
    to: { kind: 'head', layer: 1, head, port },
    value,
  });
  const written = async (head: number, ids = tokens): Promise<Tensor> => {
    const result = captured(await run([], ['blocks.0.attn.hook_result'], { ids }), 'blocks.0.attn.hook_result');
    const data = Float64Array.from({ length: batch * pos * width }, (_, flat) => {
      const [token, i] = [Math.floor(flat / width), flat % width];
      return result.data[(token * heads + head) * width + i] ?? 0;
    });
    return { shape: [batch, pos, width], data };
  };

  test('takes what the writer wrote from what one port of one head reads', async () => {
    const read = await siteAfter('blocks.1.hook_k_input', [edge([0, 1], 'k', 2)]);
    const term = await written(1);
    const { data } = captured(clean, stream);
    const want = Array.from({ length: batch * pos * heads * width }, (_, flat) => {
      const [token, head, i] = [Math.floor(flat / (heads * width)), Math.floor(flat / width) % heads, flat % width];
      const at = token * width + i;
      return (data[at] ?? 0) - (head === 2 ? (term.data[at] ?? 0) : 0);
    });
    expectClose(read, want);
    const queries = await siteAfter('blocks.1.attn.hook_q', [edge([0, 1], 'k', 2)]);
    expectClose(queries, Array.from((await siteAfter('blocks.1.attn.hook_q', [])).data));
  });

  test('carries what the writer wrote in another run', async () => {
    const read = await siteAfter('blocks.1.hook_v_input', [edge([0, 0], 'v', 0, { kind: 'run', name: 'other' })], {
      runs,
    });
    const [own, foreign] = [await written(0), await written(0, others)];
    const { data } = captured(clean, stream);
    for (let token = 0; token < batch * pos; token++) {
      for (let i = 0; i < width; i++) {
        const at = token * width + i;
        const want = (data[at] ?? 0) - (own.data[at] ?? 0) + (foreign.data[at] ?? 0);
        expect(read.data[token * heads * width + i]).toBeCloseTo(want, 12);
      }
    }
  });

  test('the later of two values of one edge counts', async () => {
    const other_: Value = { kind: 'run', name: 'other' };
    const site = 'blocks.1.hook_q_input';
    const both = await siteAfter(site, [edge([0, 0], 'q', 1), edge([0, 0], 'q', 1, other_)], { runs });
    const second = await siteAfter(site, [edge([0, 0], 'q', 1, other_)], { runs });
    expect(both.data).toEqual(second.data);
    const back = await siteAfter(site, [edge([0, 0], 'q', 1, other_), edge([0, 0], 'q', 1)], { runs });
    expect(back.data).toEqual((await siteAfter(site, [edge([0, 0], 'q', 1)])).data);
  });

  test('cutting every edge into the logits leaves nothing of them', async () => {
    const all: Intervention[] = [
      { kind: 'edge', from: { kind: 'input' }, to: { kind: 'logits', port: 'in' }, value: zero },
      ...[0, 1].flatMap((layer) =>
        [0, 1, 2].map(
          (head): Intervention => ({
            kind: 'edge',
            from: { kind: 'head', layer, head },
            to: { kind: 'logits', port: 'in' },
            value: zero,
          }),
        ),
      ),
    ];
    const got = await siteAfter('logits', all);
    for (const value of got.data) expect(Math.abs(value)).toBeLessThan(1e-13);
  });
});

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

import { expect, test } from 'vitest';
import { GraphBuilder } from '../graph/index.ts';
import { Rng } from '../tensor/index.ts';
import {
  addInput,
  chooseExecutor,
  compileTraining,
  type Executor,
  referenceExecutor,
  trainingSizes,
  type Weights,
  withLoss,
} from './index.ts';

// An encoder that reads both ways and a causal decoder that attends to it: queries from one sequence, keys and values from
// another, of another length, with padding; scores get a bias for distances, as in T5, and caps. Same operations, same compiler, same gradients as the decoders.

const [vocab, width, heads, headWidth] = [11, 8, 2, 3];
const [batch, into, out] = [2, 5, 4];

function encoderDecoder() {
  const builder = new GraphBuilder();
  const source = builder.input('source', { shape: ['batch', into] });
  const mask = builder.input('source_mask', { shape: ['batch', into] });
  const target = builder.input('target', { shape: ['batch', out] });
  const E = builder.param('embed.W_E', [vocab, width]);
  const embed = (tokens: number, site: string): number =>
    builder.add('embed', [tokens], { params: [E], attrs: { width }, sites: [site] });
  const product = (name: string, x: number, site: string): number =>
    builder.add('linear', [x], {
      params: [builder.param(`${name}`, [width, heads * headWidth]), null],
      attrs: { out: [heads, headWidth] },
      sites: [site],
    });
  /** Buckets of distances, shared by all layers of a side; a cap before them. */
  const biased =
    (name: string, pos: number, cap: number | null) =>
    (scores: number): number => {
      const capped = cap === null ? scores : builder.add('soft_cap', [scores], { attrs: { cap } });
      const buckets = builder.input(`${name}_buckets`, { shape: [pos, pos] });
      return builder.add('add_bias', [capped, buckets], { params: [builder.param(`${name}.bias`, [4, heads])] });
    };
  const attend = (
    at: string,
    queries: number,
    keys: number,
    hidden: number,
    causal: boolean,
    onScores: (scores: number) => number,
  ): number => {
    const [q, k, v] = [
      product(`${at}.W_Q`, queries, `${at}.hook_q`),
      product(`${at}.W_K`, keys, `${at}.hook_k`),
      product(`${at}.W_V`, keys, `${at}.hook_v`),
    ];
    const scores = builder.add('scores', [q, k, hidden], { attrs: { scale: 0.7, causal } });
    const pattern = builder.add('softmax', [onScores(scores)], { sites: [`${at}.hook_pattern`] });
    const z = builder.add('mix', [pattern, v], { sites: [`${at}.hook_z`] });
    return builder.add('linear', [z], {
      params: [builder.param(`${at}.W_O`, [heads * headWidth, width]), null],
      attrs: { out: [width] },
    });
  };
  const read = embed(source, 'encoder.hook_embed');
  const encoded = builder.add(
    'sum',
    [read, attend('encoder.0.attn', read, read, mask, false, biased('encoder', into, null))],
    {
      sites: ['encoder.0.hook_resid_post'],
    },
  );
  const written = embed(target, 'decoder.hook_embed');
  const own = builder.add('sum', [
    written,
    attend('decoder.0.attn', written, written, -1, true, biased('decoder', out, 0.8)),
  ]);
  const cap = (scores: number): number => builder.add('soft_cap', [scores], { attrs: { cap: 1.2 } });
  const crossed = builder.add('sum', [own, attend('decoder.0.cross_attn', own, encoded, mask, false, cap)], {
    sites: ['decoder.0.hook_resid_post'],
  });
  const logits = builder.add('linear', [crossed], {
    params: [builder.param('unembed.W_U', [width, vocab]), null],
    attrs: { out: [vocab] },
    sites: ['logits'],
  });
  return builder.build(logits);
}

const graph = encoderDecoder();
const rng = new Rng(1, 'cross-attention');
const values = new Map(
  graph.params.map(({ name, shape }) => [
    name,
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal() * 0.6),
  ]),
);
const tokens = (count: number) => Int32Array.from({ length: batch * count }, () => rng.below(vocab));
const buckets = (pos: number) =>
  Int32Array.from({ length: pos * pos }, (_, at) => Math.min(Math.abs(Math.floor(at / pos) - (at % pos)), 3));
const inputs = {
  encoder_buckets: buckets(into),
  decoder_buckets: buckets(out),
  source: tokens(into),
  target: tokens(out),
  targets: tokens(out),
  // The second example's last two source tokens are padding.
  source_mask: Int32Array.of(1, 1, 1, 1, 1, 1, 1, 1, 0, 0),
  seed: new Float64Array(batch * out).fill(1 / (batch * out)),
};
const loss = withLoss(graph, (rewrite) =>
  rewrite.add('cross_entropy', [graph.output, addInput(rewrite, 'targets', ['batch', out], 'i32')]),
);
const params = graph.params.map(({ name }) => name);
const compiled = compileTraining(loss, {
  params,
  capture: ['logits', 'decoder.0.cross_attn.hook_pattern', 'encoder.0.hook_resid_post'],
});

async function run(executor: Executor, from: ReadonlyMap<string, Float64Array>, given = inputs) {
  const weights: Weights = new Map(
    graph.params.map(({ name, shape }) => [name, { name, shape, read: () => from.get(name) ?? new Float64Array() }]),
  );
  return executor.execute(compiled.program, weights, { sizes: trainingSizes(batch, out), inputs: given });
}

const exact = referenceExecutor({ precision: 'f64' });
const mean = (losses: ArrayLike<number> | undefined): number =>
  Array.from(losses ?? []).reduce((sum, value) => sum + value, 0) / (batch * out);

test('the cross-attention pattern has a row per decoder position and a column per encoder position; padding has none', async () => {
  const found = await run(exact, values);
  const pattern = found['decoder.0.cross_attn.hook_pattern'] ?? [];
  expect(pattern).toHaveLength(batch * heads * out * into);
  for (let row = 0; row < batch * heads * out; row++) {
    const line = Array.from(pattern.slice(row * into, (row + 1) * into));
    expect(line.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    if (row >= heads * out) expect(line.slice(3)).toEqual([0, 0]);
  }
});

test('what stands in padding changes nothing, to the bit; what the decoder has not written yet neither', async () => {
  const { executor } = await chooseExecutor();
  for (const one of [exact, executor]) {
    const before = await run(one, values);
    const source = inputs.source.slice();
    source[8] = ((source[8] ?? 0) + 1) % vocab;
    expect((await run(one, values, { ...inputs, source })).logits).toEqual(before.logits);
    const target = inputs.target.slice();
    target[out - 1] = ((target[out - 1] ?? 0) + 1) % vocab;
    const after = await run(one, values, { ...inputs, target });
    const early = (out - 1) * vocab;
    expect(after.logits?.slice(0, early)).toEqual(before.logits?.slice(0, early));
    expect(after.logits?.slice(early, out * vocab)).not.toEqual(before.logits?.slice(early, out * vocab));
  }
});

test('the gradient of every weight, of both sides, is the slope of the loss', async () => {
  const found = await run(exact, values);
  const h = 1e-5;
  for (const name of params) {
    const gradient = found[compiled.gradientOutput.get(name) ?? ''] ?? new Float64Array();
    const largest = Math.max(...Array.from(gradient, Math.abs));
    expect(largest, name).toBeGreaterThan(0);
    for (let draw = 0; draw < 4; draw++) {
      const at = rng.below(gradient.length);
      const moved = async (by: number): Promise<number> => {
        const changed = Float64Array.from(values.get(name) ?? []);
        changed[at] = (changed[at] ?? 0) + by;
        return mean((await run(exact, new Map([...values, [name, changed]]))).loss);
      };
      const slope = ((await moved(h)) - (await moved(-h))) / (2 * h);
      expect(Math.abs((gradient[at] ?? 0) - slope), `${name}[${at}]`).toBeLessThan(1e-6 * Math.max(largest, 1e-2));
    }
  }
});

test('natively it gives the same within float32, the way back through both attentions in one step each', async () => {
  const { executor } = await chooseExecutor();
  const [wish, got] = [await run(exact, values), await run(executor, values)];
  for (const [name, expected] of Object.entries(wish)) {
    const largest = Math.max(...Array.from(expected, Math.abs), 1e-6);
    Array.from(expected).forEach((value, at) => {
      expect(Math.abs(value - (got[name]?.[at] ?? Number.NaN)) / largest, `${name}[${at}]`).toBeLessThan(1e-4);
    });
  }
  const kernels = compiled.program.steps.map(({ kernel }) => kernel);
  for (const kernel of ['attention', 'attention_grad']) expect(kernels.filter((one) => one === kernel)).toHaveLength(3);
  expect(kernels.filter((kernel) => kernel === 'add_bias_grad')).toHaveLength(2);
  for (const kernel of ['scores', 'soft_cap', 'add_bias', 'softmax', 'softmax_grad', 'soft_cap_grad', 'mix', 'scale'])
    expect(kernels).not.toContain(kernel);
});

import { describe, expect, test } from 'vitest';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import { GraphBuilder } from '../graph/index.ts';
import { captured, makePlan, readWeight, referenceExecutor, runPlan } from '../plan/index.ts';
import { Rng, type Tensor } from '../tensor/index.ts';
import { foldGraph } from './fold-graph.ts';
import { decoderFromCheckpoint, engineFor, type Model } from './load-model.ts';
import { viewModel } from './views.ts';

/** One layer with layer norms, biases everywhere and an MLP, with random weights; SoLU's has a norm inside the MLP. */
function toy(kind: 'gelu' | 'solu_ln' = 'gelu'): Model {
  const rng = new Rng(3, 'views.test');
  const tensors = new Map<string, Tensor>();
  const put = (name: string, ...shape: number[]): void => {
    const size = shape.reduce((a, b) => a * b, 1);
    tensors.set(name, { shape, data: Float32Array.from({ length: size }, () => rng.normal()) });
  };
  put('embed.W_E', 7, 4);
  put('pos_embed.W_pos', 6, 4);
  for (const norm of ['blocks.0.ln1', 'blocks.0.ln2', 'ln_final'])
    for (const part of ['w', 'b']) put(`${norm}.${part}`, 4);
  for (const port of ['Q', 'K', 'V']) {
    put(`blocks.0.attn.W_${port}`, 2, 4, 2);
    put(`blocks.0.attn.b_${port}`, 2, 2);
  }
  put('blocks.0.attn.W_O', 2, 2, 4);
  put('blocks.0.attn.b_O', 4);
  put('blocks.0.mlp.W_in', 4, 3);
  put('blocks.0.mlp.b_in', 3);
  put('blocks.0.mlp.W_out', 3, 4);
  put('blocks.0.mlp.b_out', 4);
  put('unembed.W_U', 4, 7);
  if (kind === 'solu_ln') for (const part of ['w', 'b']) put(`blocks.0.mlp.ln.${part}`, 3);
  const config = {
    ...(kind === 'gelu' ? { model_type: 'attention_only' } : {}),
    n_layers: 1,
    n_heads: 2,
    d_model: 4,
    d_head: 2,
    d_vocab: 7,
    n_ctx: 6,
    d_mlp: 3,
    act_fn: kind,
    normalization_type: 'LN',
  };
  return decoderFromCheckpoint(memoryCheckpoint('toy', config, tensors), 'toy');
}

async function capture(model: Model, site: string): Promise<Tensor> {
  const engine = engineFor(model, referenceExecutor({ precision: 'f64' }));
  const plan = makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site } }] });
  return captured(await runPlan(engine, plan, { tokens: [[0, 3, 6, 2, 2]] }), site);
}

const rowMeans = ({ shape, data }: Tensor): number[] => {
  const width = shape.at(-1) ?? 1;
  return Array.from({ length: data.length / width }, (_, row) => {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += data[row * width + i] ?? 0;
    return sum / width;
  });
};

describe('the folded view', () => {
  test.each(['gelu', 'solu_ln'] as const)(
    '%s: has the logits of the raw view less their mean, a centred stream, and patterns as before',
    async (kind) => {
      const model = toy(kind);
      const folded = viewModel(model, 'folded');
      const [raw, shifted] = [await capture(model, 'logits'), await capture(folded, 'logits')];
      const means = rowMeans(raw);
      shifted.data.forEach((value, at) => {
        expect(value).toBeCloseTo((raw.data[at] ?? 0) - (means[Math.floor(at / 7)] ?? 0), 11);
      });
      for (const mean of rowMeans(await capture(folded, 'blocks.0.hook_resid_post'))) expect(mean).toBeCloseTo(0, 12);
      expect(rowMeans(await capture(model, 'blocks.0.hook_resid_post')).some((mean) => Math.abs(mean) > 0.1)).toBe(
        true,
      );
      const patterns = [
        await capture(model, 'blocks.0.attn.hook_pattern'),
        await capture(folded, 'blocks.0.attn.hook_pattern'),
      ];
      patterns[0]?.data.forEach((weight, at) => {
        expect(patterns[1]?.data[at]).toBeCloseTo(weight, 12);
      });
    },
  );

  test('reads norms without gain, values without bias, and centred columns', () => {
    const { graph, weights } = viewModel(toy(), 'folded');
    const names = graph.params.map(({ name }) => name);
    expect(names.some((name) => /ln|b_V/.test(name))).toBe(false);
    expect(names).toContain('unembed.b_U');
    const { shape, data } = readWeight(weights, 'blocks.0.attn.W_Q');
    for (let column = 0; column < (shape[1] ?? 0); column++) {
      let sum = 0;
      for (let row = 0; row < (shape[0] ?? 0); row++) sum += data[row * (shape[1] ?? 0) + column] ?? 0;
      expect(sum).toBeCloseTo(0, 12);
    }
  });

  test('of SoLU folds the norm inside the MLP into what reads it: its gain, its shift, and no mean over neurons', () => {
    const model = toy('solu_ln');
    const folded = viewModel(model, 'folded');
    expect(folded.unfolded).toEqual([]);
    expect(folded.graph.params.some(({ name }) => name.includes('.ln'))).toBe(false);
    const read = (of: Model, part: string) => [...readWeight(of.weights, `blocks.0.mlp.${part}`).data];
    const [W, b, gain, shift] = [read(model, 'W_out'), read(model, 'b_out'), read(model, 'ln.w'), read(model, 'ln.b')];
    const at = (list: readonly number[], i: number): number => list[i] ?? 0;
    const mean = (list: readonly number[]): number => list.reduce((x, y) => x + y, 0) / list.length;
    const [neurons, width] = [
      [0, 1, 2],
      [0, 1, 2, 3],
    ];
    // gain ⊙ W; less each column's mean; less each row's mean.
    const scaled = neurons.map((f) => width.map((m) => at(gain, f) * at(W, 4 * f + m)));
    const means = width.map((m) => mean(scaled.map((row) => at(row, m))));
    const reading = scaled.map((row) => row.map((value, m) => value - at(means, m)));
    const written = reading.flatMap((row) => row.map((value) => value - mean(row)));
    read(folded, 'W_out').forEach((value, i) => {
      expect(value).toBeCloseTo(at(written, i), 12);
    });
    const bias = width.map((m) => at(b, m) + neurons.reduce((sum, f) => sum + at(shift, f) * at(W, 4 * f + m), 0));
    read(folded, 'b_out').forEach((value, i) => {
      expect(value).toBeCloseTo(at(bias, i) - mean(bias), 12);
    });
  });

  test('rounded weights are the exact ones, rounded once', () => {
    const { weights } = viewModel(toy(), 'folded');
    for (const weight of weights.values()) {
      if (weight.readRounded) expect(weight.readRounded()).toEqual(Float32Array.from(weight.read()));
    }
    expect(weights.get('blocks.0.mlp.W_in')?.readRounded).toBeDefined();
  });

  test('leaves alone a norm that something else than a product reads, and says so', () => {
    const builder = new GraphBuilder();
    const tokens = builder.input('tokens');
    const table = builder.param('embed.W_E', [5, 4]);
    const embedded = builder.add('embed', [tokens], { params: [table], attrs: { width: 4 } });
    const scale = builder.add('norm_scale', [embedded], { attrs: { kind: 'layer', eps: 1e-5 } });
    const normalized = builder.add('normalize', [embedded, scale], { attrs: { kind: 'layer' } });
    const out = builder.add('affine', [normalized], {
      params: [builder.param('ln.w', [4]), builder.param('ln.b', [4])],
      sites: ['ln.hook_out'],
    });
    const doubled = builder.add('sum', [out, out]);
    const logits = builder.add('linear', [doubled], {
      params: [builder.param('unembed.W_U', [4, 5]), null],
      attrs: { out: [5] },
    });
    const folded = foldGraph(builder.build(logits));
    expect(folded.left).toEqual(['ln.hook_out']);
    expect([...folded.foldings.keys()]).toEqual(['embed.W_E', 'unembed.W_U']);
  });
});

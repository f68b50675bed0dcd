import { describe, expect, test } from 'vitest';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import { decompose } from '../graph/index.ts';
import { captured, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import { Rng, type Tensor } from '../tensor/index.ts';
import { decoderFromCheckpoint, engineFor, type Model } from './load-model.ts';

const WIDTH = 4;
const INNER = 3;

/** A block of attention and, where the config gives `d_mlp`, an MLP, with random weights. */
function toy(config: object, more: { readonly [name: string]: readonly number[] } = {}): Model {
  const rng = new Rng(1, 'attention-only.test');
  const tensors = new Map<string, Tensor>();
  const put = (name: string, shape: readonly number[]): void => {
    const size = shape.reduce((a, b) => a * b, 1);
    tensors.set(name, { shape, data: Float32Array.from({ length: size }, () => rng.normal()) });
  };
  put('embed.W_E', [5, WIDTH]);
  put('pos_embed.W_pos', [6, WIDTH]);
  for (const port of ['Q', 'K', 'V']) put(`blocks.0.attn.W_${port}`, [2, WIDTH, 2]);
  put('blocks.0.attn.W_O', [2, 2, WIDTH]);
  put('unembed.W_U', [WIDTH, 5]);
  for (const [name, shape] of Object.entries(more)) put(name, shape);
  const base = {
    model_type: 'attention_only',
    n_layers: 1,
    n_heads: 2,
    d_model: WIDTH,
    d_head: 2,
    d_vocab: 5,
    n_ctx: 6,
    use_attn_scale: false,
  };
  return decoderFromCheckpoint(memoryCheckpoint('toy', { ...base, ...config }, tensors), 'toy');
}

const plain = { 'blocks.0.mlp.W_in': [WIDTH, INNER], 'blocks.0.mlp.W_out': [INNER, WIDTH] };
const biased = { ...plain, 'blocks.0.mlp.b_in': [INNER], 'blocks.0.mlp.b_out': [WIDTH] };
const gated = { ...plain, 'blocks.0.mlp.W_gate': [WIDTH, INNER] };

function stored(model: Model, name: string): number[] {
  const found = model.checkpoint.tensors.get(name);
  return found?.data ? [...found.data] : new Array<number>(INNER).fill(0);
}

/** x · W + b */
function product(x: readonly number[], W: readonly number[], b: readonly number[]): number[] {
  const columns = W.length / x.length;
  return Array.from({ length: columns }, (_, column) =>
    x.reduce((sum, value, row) => sum + value * (W[row * columns + column] ?? 0), b[column] ?? 0),
  );
}

/** The MLP's output from the stream before it, worked out here and by the engine, at every position. */
async function both(model: Model, act: (x: number) => number): Promise<[here: number[], engine: number[]]> {
  const sites = ['blocks.0.hook_resid_mid', 'blocks.0.hook_mlp_out'];
  const plan = makePlan(model.graph, { readouts: sites.map((site) => ({ kind: 'capture', at: { site } })) });
  const engine = engineFor(model, referenceExecutor({ precision: 'f64' }));
  const run = await runPlan(engine, plan, { tokens: [[0, 3, 1, 4]] });
  const [mid, out] = sites.map((site) => [...captured(run, site).data]);
  const part = (name: string) => stored(model, `blocks.0.mlp.${name}`);
  const here = [0, 1, 2, 3].flatMap((position) => {
    const x = (mid ?? []).slice(position * WIDTH, (position + 1) * WIDTH);
    const pre = product(x, part('W_in'), part('b_in'));
    const gate = model.spec.gated ? product(x, part('W_gate'), []) : null;
    const post = pre.map((value, unit) => (gate ? act(gate[unit] ?? 0) * value : act(value)));
    return product(post, part('W_out'), part('b_out'));
  });
  return [here, out ?? []];
}

const relu = (x: number): number => Math.max(x, 0);
const geluNew = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

describe('a toy transformer', () => {
  test('without d_mlp is attention alone', () => {
    const model = toy({});
    expect(model.spec).toMatchObject({ inner: 0, norm: null, gated: false });
    expect(decompose(model.graph).units.map(({ kind }) => kind)).toEqual(['input', 'head', 'head', 'logits']);
  });

  test('with d_mlp has an MLP: with or without biases, ReLU or GELU, gated or not', async () => {
    const cases: [Model, (x: number) => number][] = [
      [toy({ d_mlp: INNER, act_fn: 'relu' }, plain), relu],
      [toy({ d_mlp: INNER, act_fn: 'relu' }, biased), relu],
      [toy({ d_mlp: INNER, act_fn: 'gelu_new' }, biased), geluNew],
      [toy({ d_mlp: INNER, act_fn: 'relu', gated_mlp: true }, gated), relu],
    ];
    for (const [model, act] of cases) {
      const [here, engine] = await both(model, act);
      expect(engine.some((value) => Math.abs(value) > 0.1)).toBe(true);
      here.forEach((value, at) => {
        expect(engine[at]).toBeCloseTo(value, 10);
      });
      expect(decompose(model.graph)).toMatchObject({
        exactSum: true,
        units: expect.arrayContaining([{ kind: 'mlp', layer: 0 }]),
      });
    }
  });

  test('with a norm and an MLP reads the MLP through a norm of its own', () => {
    const norms = ['blocks.0.ln1', 'blocks.0.ln2', 'ln_final'].flatMap((at) => [`${at}.w`, `${at}.b`]);
    const more = { ...biased, ...Object.fromEntries(norms.map((name) => [name, [WIDTH]])) };
    const model = toy({ d_mlp: INNER, act_fn: 'gelu', normalization_type: 'LN' }, more);
    expect(model.spec).toMatchObject({ activation: 'gelu_erf', biases: { mlp: true }, norm: { kind: 'layer' } });
    expect(model.weights.has('blocks.0.ln2.w')).toBe(true);
  });

  test('must say its activation, and brings every weight that its config calls for', () => {
    expect(() => toy({ d_mlp: INNER }, plain)).toThrow(expect.objectContaining({ code: 'bad_config' }));
    expect(() => toy({ d_mlp: INNER, act_fn: 'solu_ln' }, plain)).toThrow(
      expect.objectContaining({ code: 'bad_config' }),
    );
    expect(() => toy({ d_mlp: INNER, act_fn: 'relu', gated_mlp: true }, plain)).toThrow(
      expect.objectContaining({ code: 'missing_tensor' }),
    );
    expect(() => toy({ act_fn: 'relu' }, {})).toThrow(expect.objectContaining({ code: 'unknown_config' }));
    expect(() => toy({}, plain)).toThrow(expect.objectContaining({ code: 'unknown_tensor' }));
  });
});

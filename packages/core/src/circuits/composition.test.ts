import { describe, expect, test } from 'vitest';
import { decoderFromCheckpoint, loadDecoder, type Model } from '../architectures/index.ts';
import { recorded, sharedFolder, sharedJson, sharedPath, withoutShared } from '../architectures/shared-data.ts';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import { Rng, type Tensor } from '../tensor/index.ts';
import { composition, randomBaseline } from './composition.ts';
import { frobenius, type Matrix, multiply, readingMatrix, transposed, writingMatrix } from './head-matrices.ts';
import { randomAttentionOnly, randomGroupedLlama } from './random-model.fixture.ts';

const ports = ['q', 'k', 'v'] as const;

function ovOf(model: Model, layer: number, head: number): Matrix {
  return multiply(readingMatrix(model, layer, head, 'v'), writingMatrix(model, layer, head));
}

function readerOf(model: Model, layer: number, head: number, port: (typeof ports)[number]): Matrix {
  const qk = multiply(readingMatrix(model, layer, head, 'q'), transposed(readingMatrix(model, layer, head, 'k')));
  return port === 'q' ? qk : port === 'k' ? transposed(qk) : ovOf(model, layer, head);
}

describe('composition', () => {
  for (const [name, { model }] of [
    ['without norms', randomAttentionOnly(null)],
    ['behind layer norms', randomAttentionOnly('LN')],
    ['behind RMS norms, with shared keys and values', randomGroupedLlama()],
  ] as const) {
    test(`from d_head products is that of dense d_model matrices, ${name}`, () => {
      for (let from = 0; from < model.spec.heads; from++) {
        for (let to = 0; to < model.spec.heads; to++) {
          for (const port of ports) {
            const { raw } = composition(model, { layer: 0, head: from }, { layer: 1, head: to }, port);
            expect(raw).toBeCloseTo(denseComposition(ovOf(model, 0, from), readerOf(model, 1, to, port)), 12);
            expect(raw).toBeGreaterThan(0);
            expect(raw).toBeLessThanOrEqual(1);
          }
        }
      }
    });
  }

  test('of random heads is its baseline: the mean of other draws agrees with it', () => {
    const rng = new Rng(7, 'test');
    const gaussian = (rows: number, columns: number): Matrix => ({
      rows,
      columns,
      data: Float64Array.from({ length: rows * columns }, () => rng.normal()),
    });
    const product = () => multiply(gaussian(24, 6), gaussian(6, 24));
    const draws = Array.from({ length: 60 }, () => denseComposition(product(), product()));
    const mean = draws.reduce((a, b) => a + b, 0) / draws.length;
    const spread = Math.sqrt(draws.reduce((sum, value) => sum + (value - mean) ** 2, 0) / draws.length);
    expect(Math.abs(randomBaseline(24, 6) - mean)).toBeLessThan(5 * spread * Math.sqrt(1 / 60 + 1 / 16));
    expect(spread).toBeGreaterThan(0);
  });

  test('does not see what a layer norm takes out: writing more along the mean changes nothing', () => {
    const { model } = randomAttentionOnly('LN');
    const before = composition(model, { layer: 0, head: 0 }, { layer: 1, head: 0 }, 'k').raw;
    const tilted = withWeight(model, 'blocks.0.attn.W_O', (value) => value + 3);
    expect(composition(tilted, { layer: 0, head: 0 }, { layer: 1, head: 0 }, 'k').raw).toBeCloseTo(before, 12);
  });
});

function withWeight(model: Model, name: string, change: (value: number) => number): Model {
  const weights = new Map(model.weights);
  const old = weights.get(name);
  if (!old) throw new Error(`no ${name}`);
  weights.set(name, { ...old, read: () => Float64Array.from(old.read(), change) });
  return { ...model, weights };
}

// Recorded with TransformerLens 3.5.1 in float64. Our matrices are those of the folded view: gains multiplied in and, for
// layer norms, reading and writing weights centred. So the raw view of TransformerLens, which leaves the gains out, agrees
// where there is no norm; its folded view agrees everywhere, to the float32 of the toys' stored weights.
describe.skipIf(!sharedFolder)(`recorded composition${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  const cases: readonly {
    readonly folder: string;
    readonly view: 'raw' | 'folded';
    readonly open: (folder: string) => Model;
  }[] = [
    { folder: 'toy-attn-only', view: 'raw', open: toy },
    { folder: 'toy-attn-only', view: 'folded', open: toy },
    { folder: 'toy-solu-ln', view: 'folded', open: toy },
    { folder: 'toy-rotary-bidirectional', view: 'folded', open: toy },
    { folder: 'gpt2', view: 'folded', open: () => loadDecoder(sharedPath('golden/models/gpt2')) },
    { folder: 'llama', view: 'folded', open: () => loadDecoder(sharedPath('golden/models/llama')) },
  ];
  for (const { folder, view, open } of cases) {
    test(`Q, K and V of all pairs of heads of ${folder} agree with its ${view} view`, () => {
      const file = recorded('golden/lens', folder, `analysis.${view}.safetensors`);
      const model = open(folder);
      const { heads } = model.spec;
      for (const port of ports) {
        const expected = file.read(`composition_${port.toUpperCase()}[layer1,head1,layer2,head2]`);
        for (let from = 0; from < heads; from++) {
          for (let to = 0; to < heads; to++) {
            const { raw } = composition(model, { layer: 0, head: from }, { layer: 1, head: to }, port);
            // [0, from, 1, to] of [2, heads, 2, heads]
            expect(Math.abs(raw - (expected.data[(from * 2 + 1) * heads + to] ?? Number.NaN))).toBeLessThan(2e-8);
          }
        }
      }
    });

    test(`norms of OV circuits of ${folder} agree with its ${view} view`, () => {
      const expected = recorded('golden/lens', folder, `analysis.${view}.safetensors`).read('OV_norm[layer,head]');
      const model = open(folder);
      const got = [0, 1].flatMap((layer) =>
        Array.from({ length: model.spec.heads }, (_, head) => frobenius(ovOf(model, layer, head))),
      );
      got.forEach((value, index) => {
        expect(Math.abs(value / (expected.data[index] ?? Number.NaN) - 1)).toBeLessThan(2e-8);
      });
    });
  }

  /** The attention layers of a toy: composition reads nothing else, so MLPs and positions are left out. */
  function toy(folder: string): Model {
    const cfg = Object(sharedJson('golden/lens', folder, 'cfg.json'));
    const file = recorded('golden/lens', folder, 'model.safetensors');
    const wanted = /^(embed\.|pos_embed\.|unembed\.|ln_final\.|blocks\.\d+\.(attn\.[Wb]_[QKVO]|ln1\.))/;
    const tensors = new Map<string, Tensor>(
      file.names.filter((name) => wanted.test(name)).map((name) => [name, file.read(name)]),
    );
    const positions = { shape: [cfg.n_ctx, cfg.d_model], data: new Float64Array(cfg.n_ctx * cfg.d_model) };
    tensors.set('pos_embed.W_pos', tensors.get('pos_embed.W_pos') ?? positions);
    const { n_layers, n_heads, d_model, d_head, d_vocab, n_ctx, normalization_type } = cfg;
    const config = {
      model_type: 'attention_only',
      n_layers,
      n_heads,
      d_model,
      d_head,
      d_vocab,
      n_ctx,
      normalization_type,
    };
    return decoderFromCheckpoint(memoryCheckpoint(folder, config, tensors), folder);
  }
});

/** The ratio as it is written down, over whole d_model × d_model matrices: the oracle of the factored one. */
function denseComposition(ov: Matrix, reader: Matrix): number {
  const norms = frobenius(ov) * frobenius(reader);
  return norms > 0 ? frobenius(multiply(ov, reader)) / norms : 0;
}

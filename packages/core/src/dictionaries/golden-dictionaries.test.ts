import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { decoderFromCheckpoint } from '../architectures/index.ts';
import {
  recorded,
  relativeError,
  sharedFolder,
  sharedJson,
  sharedPath,
  withoutShared,
} from '../architectures/shared-data.ts';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import { differentiate, GraphRewrite } from '../graph/index.ts';
import { chooseExecutor, type Executor, makePlan, readoutTensor, referenceExecutor, runPlan } from '../plan/index.ts';
import { lower } from '../plan/lower.ts';
import { digestTensor, Rng, type Tensor } from '../tensor/index.ts';
import type { CrossLayerTranscoder } from './cross-layer.ts';
import type { Dictionary } from './dictionary.ts';
import { applyDictionary, dictionaryGraph } from './dictionary-graph.ts';
import { openDictionary } from './open-dictionary.ts';
import { spliceCrossLayer } from './splice-cross-layer.ts';

// What SAELens computes in float64 for one dictionary of each kind, and what a cross-layer transcoder's formula gives.

const root = 'golden/sae';
const folders = sharedFolder
  ? readdirSync(sharedPath(root))
      .flatMap((name) => [name, `${name}/inference`])
      .filter((name) => existsSync(sharedPath(root, name, 'cfg.json')))
  : [];

const executors: {
  readonly name: string;
  readonly get: () => Promise<Executor>;
  readonly bound: 'float64' | 'float32';
}[] = [
  { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), bound: 'float64' },
  { name: 'the reference in float32', get: async () => referenceExecutor(), bound: 'float32' },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, bound: 'float32' },
];

function open(name: string): Dictionary {
  const dictionary = openDictionary(sharedPath(root, name));
  if (dictionary.kind !== 'dictionary') throw new Error(`${name} is no dictionary`);
  return dictionary;
}

function toleranceOf(name: string): { readonly float32: number; readonly float64: number } {
  const folder = name.replace('/inference', '');
  return (sharedJson(root, folder, 'case.json') as { tolerance: { float32: number; float64: number } }).tolerance;
}

describe.skipIf(!sharedFolder)(`recorded dictionaries${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test('every folder that is saved for use is among them', () => {
    expect(folders.length).toBe(15);
  });

  describe.each(executors)('$name', ({ get, bound }) => {
    test.each(folders)('%s: pre-activations, latents and reconstruction', async (name) => {
      const dictionary = open(name);
      const file = recorded(root, name, 'expected.safetensors');
      const got = await applyDictionary(dictionary, file.read('x'), await get());
      const limit = toleranceOf(name)[bound];
      expect(relativeError(got.latents, file.read('latents'))).toBeLessThan(limit);
      expect(relativeError(got.reconstruction, file.read('reconstruction'))).toBeLessThan(limit);
      if (file.names.includes('hidden_pre'))
        expect(relativeError(got.pre, file.read('hidden_pre'))).toBeLessThan(limit);
      expect(Array.from(got.latents.data, (f) => f !== 0)).toEqual(
        Array.from(file.read('latents').data, (f) => f !== 0),
      );
    });

    test.each(folders.filter((name) => !name.includes('inference')))(
      '%s: gradients of the squared error',
      async (name) => {
        const dictionary = open(name);
        const file = recorded(root, name, 'expected.safetensors');
        const limit = bound === 'float64' ? 1e-9 : 5e-4;
        const gradients = await squaredErrorGradients(dictionary, file.read('x'), file.read('target'), await get());
        expect(gradients.has('x')).toBe(true);
        for (const [what, got] of gradients) {
          // Stored [out, in]; and what also enters through a weight that follows from it is another derivative.
          if (!file.names.includes(`grad/${what}`) || follows(dictionary, what)) continue;
          const want = file.read(`grad/${what}`);
          expect(relativeError(what === 'W_skip' ? transpose(got) : got, want), what).toBeLessThan(limit);
        }
      },
    );

    test('the cross-layer transcoder: latents of each layer, and what they add up to in all later ones', async () => {
      const transcoder = openDictionary(sharedPath(root, 'cross-layer-transcoder'));
      if (transcoder.kind !== 'crossLayer') throw new Error('not a cross-layer transcoder');
      const file = recorded(root, 'cross-layer-transcoder', 'expected.safetensors');
      const got = await runCrossLayer(transcoder, file.read('x[layer,row,d]'), await get());
      const limit = bound === 'float64' ? 1e-9 : 1e-5;
      expect(relativeError(got.latents, file.read('latents[layer,row,feature]'))).toBeLessThan(limit);
      for (const made of [got.reconstruction, got.written])
        expect(relativeError(made, file.read('reconstruction[layer,row,d]'))).toBeLessThan(limit);
    });
  });
});

function follows({ encoder }: Dictionary, name: string): boolean {
  return (encoder.kind === 'topk' && encoder.byDecoderNorm && name === 'W_dec') || name === 'r_mag';
}

function transpose({ shape, data }: Tensor): Tensor {
  const [rows = 0, columns = 0] = shape;
  return {
    shape: [columns, rows],
    data: Float64Array.from(data, (_, at) => data[(at % rows) * columns + Math.floor(at / rows)] ?? Number.NaN),
  };
}

/** Of the mean over rows of Σ (reconstruction − target)², with respect to x and every stored weight. */
async function squaredErrorGradients(dictionary: Dictionary, x: Tensor, target: Tensor, executor: Executor) {
  const { graph, weights } = dictionaryGraph(dictionary, dictionary.heads ? x.shape[1] : 1);
  const rows = x.shape[0] ?? 0;
  const { reconstruction } = await applyDictionary(dictionary, x, executor);
  const seedData = Float64Array.from(reconstruction.data, (value, at) => (2 * (value - (target.data[at] ?? 0))) / rows);
  const rewrite = new GraphRewrite(graph);
  const output = rewrite.node(graph.output);
  const seed = rewrite.add('input', [], {
    attrs: { name: 'seed', shape: ['cotangents', ...output.shape.slice(1)] },
    dtype: 'f32',
  });
  const stored = graph.params.filter(({ name }) => dictionary.weights.has(name) && name !== 'threshold');
  const input = graph.inputs.x ?? -1;
  const shapes = new Map(graph.params.map(({ name, shape }) => [name, shape]));
  const gradients = differentiate(rewrite, {
    seeds: new Map([[graph.output, [seed]]]),
    nodes: new Set([input]),
    params: new Set(stored.map(({ name }) => name)),
    frozen: new Set(),
    paramShape: (name) => shapes.get(name) ?? [],
  });
  const wanted: { name: string; node: number; shape: readonly number[] }[] = [
    { name: 'x', node: gradients.nodes.get(input) ?? -1, shape: x.shape },
  ];
  for (const { name, shape } of stored) {
    const node = gradients.params.get(name);
    if (node !== undefined) wanted.push({ name, node, shape });
  }
  const { program } = lower(rewrite, wanted, { variants: 1, gradientsFrom: gradients.from });
  const sizes = { batch: rows, rows, cotangents: rows, groups: 1, pos: 1 };
  const made = await executor.execute(program, weights, { sizes, inputs: { x: x.data, seed: seedData } });
  return new Map(
    wanted.map(({ name, shape }): [string, Tensor] => {
      const data = made[name];
      if (!data || data instanceof Int32Array) throw new Error(`no gradient ${name}`);
      return [name, { shape, data }];
    }),
  );
}

/** Puts the recorded inputs into the streams of a random model of that size. */
async function runCrossLayer(transcoder: CrossLayerTranscoder, x: Tensor, executor: Executor) {
  const [layers = 0, rows = 0, width = 0] = x.shape;
  const model = spliceCrossLayer(randomModel(layers, width), { transcoder, error: 'drop' });
  const parts = Array.from({ length: layers }, (_, layer): Tensor => {
    return { shape: [rows, width], data: x.data.slice(layer * rows * width, (layer + 1) * rows * width) };
  });
  const artefacts = new Map(parts.map((part) => [digestTensor(part), part]));
  const suffixes = ['hook_mlp_out.hook_sae_acts_post', 'hook_mlp_out.hook_sae_recons', 'hook_mlp_out'];
  const plan = makePlan(model.graph, {
    interventions: parts.map((part, layer) => ({
      kind: 'write',
      at: { site: `blocks.${layer}.hook_resid_mid` },
      op: 'set',
      value: { kind: 'artefact', hash: digestTensor(part) },
    })),
    readouts: suffixes.flatMap((suffix) =>
      parts.map((_, layer) => ({ kind: 'capture' as const, at: { site: `blocks.${layer}.${suffix}` } })),
    ),
  });
  const tokens = [Array.from({ length: rows }, (_, at) => at % 5)];
  const run = await runPlan({ graph: model.graph, weights: model.weights, executor }, plan, { tokens }, { artefacts });
  const stack = (part: number): Tensor => {
    const all = parts.flatMap((_, layer) => Array.from(readoutTensor(run, part * layers + layer).data));
    return { shape: [layers, rows, all.length / layers / rows], data: Float64Array.from(all) };
  };
  return { latents: stack(0), reconstruction: stack(1), written: stack(2) };
}

function randomModel(layers: number, width: number) {
  const rng = new Rng(3, 'golden-dictionaries');
  const shapes: [string, ...number[]][] = [
    ['transformer.wte.weight', 5, width],
    ['transformer.wpe.weight', 12, width],
    ['transformer.ln_f.weight', width],
    ['transformer.ln_f.bias', width],
  ];
  for (let layer = 0; layer < layers; layer++) {
    const at = `transformer.h.${layer}`;
    for (const norm of ['ln_1', 'ln_2']) shapes.push([`${at}.${norm}.weight`, width], [`${at}.${norm}.bias`, width]);
    shapes.push([`${at}.attn.c_attn.weight`, width, 3 * width], [`${at}.attn.c_attn.bias`, 3 * width]);
    shapes.push([`${at}.attn.c_proj.weight`, width, width], [`${at}.attn.c_proj.bias`, width]);
    shapes.push([`${at}.mlp.c_fc.weight`, width, 8], [`${at}.mlp.c_fc.bias`, 8]);
    shapes.push([`${at}.mlp.c_proj.weight`, 8, width], [`${at}.mlp.c_proj.bias`, width]);
  }
  const tensors = new Map(
    shapes.map(([name, ...shape]): [string, Tensor] => {
      const length = shape.reduce((a, b) => a * b, 1);
      return [name, { shape, data: Float32Array.from({ length }, () => rng.normal()) }];
    }),
  );
  const config = {
    model_type: 'gpt2',
    n_layer: layers,
    n_head: 3,
    n_embd: width,
    n_inner: 8,
    vocab_size: 5,
    n_positions: 12,
  };
  return decoderFromCheckpoint(memoryCheckpoint('random', config, tensors), 'random');
}

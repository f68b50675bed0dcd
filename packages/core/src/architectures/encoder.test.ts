import { type Intervention, readerLabel, unitLabel } from '@circuitscope/schema';
import { expect, test } from 'vitest';
import { memoryCheckpoint } from '../checkpoints/index.ts';
import { decompose } from '../graph/index.ts';
import { captured, type Engine, makePlan, type Prompt, referenceExecutor, runPlan } from '../plan/index.ts';
import { Rng, type Tensor } from '../tensor/index.ts';
import { requireDecoder } from './any-model.ts';
import { bert } from './bert.ts';
import { modelFromCheckpoint } from './load-model.ts';

const config = {
  model_type: 'bert',
  num_hidden_layers: 2,
  num_attention_heads: 3,
  hidden_size: 12,
  intermediate_size: 7,
  vocab_size: 23,
  max_position_embeddings: 9,
};

/** A random BERT of awkward sizes; `early` with the names that the first checkpoints have. */
function randomBert({ tied = true, early = false } = {}) {
  const rng = new Rng(1, 'random-bert');
  const tensors = new Map<string, Tensor>();
  const settings = { ...config, tie_word_embeddings: tied };
  const empty = memoryCheckpoint('random-bert', settings, tensors);
  for (const { tensor, stored } of bert.sources(empty, bert.spec(empty)).values()) {
    if (tensors.has(tensor)) continue;
    const length = stored.reduce((a, b) => a * b, 1);
    tensors.set(tensor, { shape: stored, data: Float32Array.from({ length }, () => rng.normal() * 0.5) });
  }
  tensors.set('bert.pooler.dense.weight', { shape: [12, 12], data: new Float32Array(144) });
  const renamed = [...tensors].map(([name, tensor]): [string, Tensor] => [
    early ? name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta') : name,
    tensor,
  ]);
  return modelFromCheckpoint(memoryCheckpoint('random-bert', settings, new Map(renamed)), 'random-bert');
}

const model = randomBert();
const exact: Engine = { ...model, executor: referenceExecutor({ precision: 'f64' }) };
const prompt: Prompt = {
  tokens: [
    [1, 2, 3, 4, 5],
    [6, 7, 8, 0, 0],
  ],
  mask: [
    [1, 1, 1, 1, 1],
    [1, 1, 1, 0, 0],
  ],
  tokenTypes: [
    [0, 0, 1, 1, 1],
    [0, 1, 1, 0, 0],
  ],
};
const zero = { kind: 'const', value: 0 } as const;

async function logits(engine: Engine, given: Prompt, interventions: readonly Intervention[] = []) {
  const plan = makePlan(engine.graph, { interventions, readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
  return captured(await runPlan(engine, plan, given), 'logits').data;
}

test('a norm behind every sum ends it: only the first heads read what a unit wrote', () => {
  const { units, readers, exactSum } = decompose(model.graph);
  expect(exactSum).toBe(false);
  expect(units.map(unitLabel)).toEqual([
    'input',
    ...['0.0', '0.1', '0.2', 'mlp0'],
    ...['1.0', '1.1', '1.2', 'mlp1'],
    'logits',
  ]);
  const known = new Map(readers.map(({ reader, writers }) => [readerLabel(reader), writers.map(unitLabel)]));
  const ports = ['Q', 'K', 'V'].flatMap((port) => ['0.0', '0.1', '0.2'].map((head) => `${head}.${port}`));
  expect([...known.keys()]).toEqual(ports);
  for (const port of ports) expect(known.get(port)).toEqual(['input']);
});

test('an edge into what is no sum of units is refused; one into the first heads is cut', async () => {
  const edge = (layer: number): Intervention => ({
    kind: 'edge',
    from: { kind: 'input' },
    to: { kind: 'head', layer, head: 1, port: 'v' },
    value: zero,
  });
  await expect(logits(exact, prompt, [edge(1)])).rejects.toMatchObject({ code: 'inexact_sum' });
  const site = 'blocks.0.attn.hook_v';
  const cut = await runPlan(
    exact,
    makePlan(model.graph, { interventions: [edge(0)], readouts: [{ kind: 'capture', at: { site, head: [1] } }] }),
    prompt,
  );
  // Without its only writer the head's values are their bias.
  const bias = model.weights.get('blocks.0.attn.b_V')?.read() ?? [];
  const [result] = cut.results;
  if (result?.kind !== 'capture') throw new Error('a capture is missing');
  result.tensor.data.forEach((value, at) => {
    expect(value).toBeCloseTo(bias[4 + (at % 4)] ?? Number.NaN, 12);
  });
});

test('segments are told apart, padding is not read, and every position reads every other', async () => {
  const before = await logits(exact, prompt);
  const { tokenTypes: _, ...plain } = prompt;
  expect(await logits(exact, plain)).not.toEqual(before);
  const padded = { ...prompt, tokens: prompt.tokens.map((row, example) => (example === 1 ? [6, 7, 8, 9, 9] : row)) };
  expect((await logits(exact, padded)).slice(0, 8 * 23)).toEqual(before.slice(0, 8 * 23));
  const last = { ...prompt, tokens: prompt.tokens.map((row, example) => (example === 0 ? [1, 2, 3, 4, 6] : row)) };
  const after = await logits(exact, last);
  for (let position = 0; position < 5; position++) expect(after[position * 23]).not.toBe(before[position * 23]);
});

test('names of the first checkpoints are read, a pooler is left aside, an unembedding of its own is used', async () => {
  const early = { ...randomBert({ early: true }), executor: exact.executor };
  expect(await logits(early, prompt)).toEqual(await logits(exact, prompt));
  const untied = randomBert({ tied: false });
  expect(untied.graph.params.map(({ name }) => name)).toContain('embed.W_E');
  expect(untied.parameters).toBe(model.parameters + 23 * 12);
});

test('a loss without targets, segments beyond those known, and acts of decoders are refused', async () => {
  const loss = makePlan(model.graph, { readouts: [{ kind: 'loss' }] });
  await expect(runPlan(exact, loss, prompt)).rejects.toMatchObject({ code: 'bad_prompt', at: 'targets' });
  const targets = prompt.tokens.map((row) => row.map((id, at) => (at === 2 ? id : -100)));
  const { data } = (await runPlan(exact, loss, { ...prompt, targets })).results.flatMap((result) =>
    result.kind === 'loss' ? [result.tensor] : [],
  )[0] ?? { data: [] };
  expect(Array.from(data, (value) => value > 0)).toEqual(targets.flat().map((target) => target !== -100));
  await expect(logits(exact, { ...prompt, tokenTypes: prompt.tokens })).rejects.toMatchObject({ code: 'out_of_range' });
  expect(() => requireDecoder(model)).toThrow(
    expect.objectContaining({ code: 'unsupported_architecture', got: 'an encoder' }),
  );
});

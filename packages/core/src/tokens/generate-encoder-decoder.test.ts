import type { Intervention } from '@circuitscope/schema';
import { expect, test } from 'vitest';
import { randomT5 } from '../architectures/random-t5.fixture.ts';
import { captured, chooseExecutor, type Engine, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import { type GenerateOptions, generate, generateTogether } from './generate.ts';

const model = randomT5({ seed: 3 });
const { executor } = await chooseExecutor();
const engine: Engine = { ...model, executor };
const { spec, graph } = model;
const sources = [
  [3, 1, 4, 1, 5],
  [9, 2, 6],
  [5, 3, 5, 8, 9, 7, 9],
];
const steps = 8;

async function collect(source: readonly number[], options: Omit<GenerateOptions, 'source'>, on = engine) {
  const all: number[] = [];
  for await (const id of generate(on, spec, [spec.start], { ...options, source: [source] })) all.push(id);
  return all;
}

test('greedy tokens are those of whole runs one after another, with and without cache', async () => {
  for (const on of [engine, { ...engine, executor: referenceExecutor() }]) {
    for (const source of on === engine ? sources : sources.slice(1, 2)) {
      const text = [spec.start];
      while (text.length <= steps) {
        const plan = makePlan(graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
        const { data } = captured(await runPlan(on, plan, { tokens: [source], decoderTokens: [text] }), 'logits');
        const last = Array.from(data.subarray(data.length - spec.vocab));
        text.push(last.indexOf(Math.max(...last)));
      }
      expect(await collect(source, { steps }, on)).toEqual(text.slice(1));
      expect(await collect(source, { steps, cache: false }, on)).toEqual(text.slice(1));
    }
  }
  const all = await Promise.all(sources.map((source) => collect(source, { steps })));
  expect(new Set(all.map(String)).size).toBe(sources.length);
});

test('texts side by side get what each gets alone, with prompts of the decoder of different lengths', async () => {
  const prompts = [[0, 7], [0], [0, 2, 18]];
  for (const drawn of [{}, { temperature: 1.3, topK: 20, topP: 0.95, seed: 4 }]) {
    const alone: number[] = [];
    const options = { steps, ...drawn };
    for await (const id of generate(engine, spec, [0, 7], { ...options, source: [sources[0] ?? []] })) alone.push(id);
    for (const cache of [true, false]) {
      const together: (number | null)[][] = [];
      for await (const row of generateTogether(engine, spec, prompts, { ...options, cache, source: sources }))
        together.push(row);
      expect(together.map(([first]) => first)).toEqual(alone);
      expect(together).toHaveLength(steps);
    }
  }
});

test('changes of both sides act on every token; the last token of an encoder stays its last', async () => {
  const drawn = { steps, temperature: 1.3, seed: 6 };
  const [source = []] = sources;
  const unchanged = await collect(source, drawn);
  const lists: Intervention[][] = [
    [
      {
        kind: 'write',
        at: { site: 'encoder.0.hook_mlp_out', at: { kind: 'last' } },
        op: 'scale',
        value: { kind: 'const', value: -30 },
      },
    ],
    [{ kind: 'write', at: { site: 'decoder.1.cross_attn.hook_z' }, op: 'scale', value: { kind: 'const', value: -2 } }],
    [
      {
        kind: 'write',
        at: {
          site: 'decoder.0.cross_attn.hook_pattern',
          at: { kind: 'generated' },
          key: { kind: 'positions', positions: [-1] },
        },
        op: 'set',
        value: { kind: 'const', value: 5 },
      },
    ],
  ];
  for (const interventions of lists) {
    const changed = await collect(source, { ...drawn, interventions });
    expect(changed).not.toEqual(unchanged);
    expect(await collect(source, { ...drawn, interventions, cache: false })).toEqual(changed);
    expect(await collect(source, { ...drawn, interventions, threads: 1 })).toEqual(changed);
  }
  const last = lists[0] ?? [];
  const fifth: Intervention[] = last.map((change) =>
    change.kind === 'write' ? { ...change, at: { ...change.at, at: { kind: 'positions', positions: [4] } } } : change,
  );
  expect(await collect(source, { ...drawn, interventions: fifth })).toEqual(
    await collect(source, { ...drawn, interventions: last }),
  );
});

test('a stop token ends the text; what an encoder reads is checked', async () => {
  const [source = []] = sources;
  const [first = 0, second = 0] = await collect(source, { steps: 2 });
  const ended = await collect(source, { steps: 10, stop: new Set([second]) });
  expect(ended).toEqual(first === second ? [] : [first]);
  await expect(collect([], { steps: 1 })).rejects.toMatchObject({ code: 'bad_prompt' });
  await expect(collect([spec.vocab], { steps: 1 })).rejects.toMatchObject({ code: 'out_of_range' });
  const none = generate(engine, spec, [spec.start], { steps: 1 });
  await expect(none.next()).rejects.toMatchObject({ code: 'bad_prompt' });
});

import { readFileSync } from 'node:fs';
import type { Intervention } from '@circuitscope/schema';
import { beforeAll, describe, expect, test } from 'vitest';
import { engineFor, loadDecoder, type Model } from '../architectures/index.ts';
import { sharedFolder, sharedJson, sharedPath, withoutShared } from '../architectures/shared-data.ts';
import { chooseExecutor, type Engine, referenceExecutor } from '../plan/index.ts';
import { type GenerateOptions, generate, generateTogether } from './generate.ts';
import { openLlama2cTokenizer } from './llama2c-tokenizer.ts';

interface Recorded {
  readonly models: { readonly [name: string]: { readonly prompts: number[][]; readonly new_tokens: number[][] } };
}

describe.skipIf(!sharedFolder)(`generation${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  let model: Model;
  let engine: Engine;
  beforeAll(async () => {
    model = loadDecoder(sharedPath('data/lm/stories260K/stories260K.bin'));
    engine = engineFor(model, (await chooseExecutor()).executor);
  });
  const collect = async (ids: readonly number[], options: GenerateOptions): Promise<number[]> => {
    const all: number[] = [];
    for await (const id of generate(engine, model.spec, ids, options)) all.push(id);
    return all;
  };

  test('200 greedy tokens of stories260K are the recorded ones, to the byte', { timeout: 240_000 }, async () => {
    const { greedy_token_ids: recorded } = sharedJson('data/reference/stories260K.json') as {
      greedy_token_ids: number[];
    };
    const ids = await collect([1], { steps: 200 });
    expect(ids).toEqual(recorded.slice(1));
    const tokenizer = openLlama2cTokenizer(sharedPath('data/lm/stories260K/tok512.bin'));
    const text = readFileSync(sharedPath('data/lm/stories260K/expected_greedy_200_steps.txt'));
    expect(Buffer.from(tokenizer.decodeBytes([1, ...ids])).equals(text)).toBe(true);
  });

  test('a seed decides what is drawn, and drawing from one candidate is greedy', async () => {
    const first = await collect([1], { steps: 12, temperature: 1.5, seed: 7 });
    expect(await collect([1], { steps: 12, temperature: 1.5, seed: 7 })).toEqual(first);
    expect(await collect([1], { steps: 12, temperature: 1.5, seed: 8 })).not.toEqual(first);
    const greedy = await collect([1], { steps: 12 });
    expect(await collect([1], { steps: 12, temperature: 1.5, topK: 1 })).toEqual(greedy);
    // The fewest tokens that reach next to nothing are one; all of them are what is drawn without a bound.
    expect(await collect([1], { steps: 12, temperature: 1.5, topP: 1e-6 })).toEqual(greedy);
    expect(await collect([1], { steps: 12, temperature: 1.5, topP: 1, seed: 3 })).toEqual(
      await collect([1], { steps: 12, temperature: 1.5, seed: 3 }),
    );
  });

  test('a stop token ends the text and is not given out', async () => {
    const [first = 0, second = 0] = await collect([1], { steps: 2 });
    expect(await collect([1], { steps: 10, stop: new Set([second]) })).toEqual([first]);
  });

  test('generation ends where the context is full, and a prompt that fills it is refused', async () => {
    const { context } = model.spec;
    const prompt = [1, ...new Array<number>(context - 2).fill(403)];
    expect(await collect(prompt, { steps: 5 })).toHaveLength(1);
    await expect(collect([...prompt, 403], { steps: 5 })).rejects.toMatchObject({ code: 'too_long' });
  });

  test('an empty prompt, negative steps and a temperature that is no number are refused', async () => {
    await expect(collect([], { steps: 1 })).rejects.toMatchObject({ code: 'bad_prompt' });
    await expect(collect([1], { steps: -1 })).rejects.toMatchObject({ code: 'out_of_range' });
    await expect(collect([1], { steps: 1, temperature: Number.NaN })).rejects.toMatchObject({ code: 'out_of_range' });
  });

  test('with and without cache, and a prompt read in pieces, the tokens are the same', {
    timeout: 60_000,
  }, async () => {
    const prompt = [1, 403, 407, 261, 378, 432, 385];
    const drawn = { steps: 40, temperature: 1.2, seed: 3 };
    const wish = await collect(prompt, { ...drawn, cache: false });
    expect(await collect(prompt, drawn)).toEqual(wish);
    expect(await collect(prompt, { ...drawn, piece: 3 })).toEqual(wish);
    await expect(collect(prompt, { steps: 1, piece: 0 })).rejects.toMatchObject({ code: 'out_of_range' });
  });

  test('changes act on every token, with and without cache the same', { timeout: 60_000 }, async () => {
    const lists: Intervention[][] = [
      [
        {
          kind: 'write',
          at: { site: 'blocks.0.attn.hook_z', head: [0, 1, 2, 3, 4] },
          op: 'set',
          value: { kind: 'const', value: 0 },
        },
      ],
      [
        {
          kind: 'write',
          at: { site: 'blocks.4.hook_resid_post', at: { kind: 'last' } },
          op: 'scale',
          value: { kind: 'const', value: -20 },
        },
      ],
      [
        {
          kind: 'write',
          at: { site: 'blocks.0.hook_mlp_out', at: { kind: 'generated' } },
          op: 'scale',
          value: { kind: 'const', value: -1 },
        },
      ],
    ];
    const plain = await collect([1, 403], { steps: 24 });
    for (const interventions of lists) {
      const wish = await collect([1, 403], { steps: 24, interventions, cache: false });
      expect(wish).not.toEqual(plain);
      for (const threads of [1, 2, 7])
        expect(await collect([1, 403], { steps: 24, interventions, threads })).toEqual(wish);
    }
  });

  test('texts side by side, of different lengths, get what each gets alone; one that has ended gives nothing', async () => {
    const prompts = [[1], [1, 403, 407, 261], [1, 378]];
    const drawn = { steps: 12 };
    const alone = await Promise.all(prompts.map((ids) => collect(ids, drawn)));
    const stop = new Set([alone[1]?.[4] ?? 0]);
    const wish = await Promise.all(prompts.map((ids) => collect(ids, { ...drawn, stop })));
    for (const cache of [true, false]) {
      const rows: (number | null)[][] = [];
      for await (const row of generateTogether(engine, model.spec, prompts, { ...drawn, stop, cache })) rows.push(row);
      const got = prompts.map((_, text) => rows.flatMap((row) => row[text] ?? []));
      expect(got).toEqual(wish);
    }
    expect(new Set(wish.map(({ length }) => length)).size).toBeGreaterThan(1);
  });

  test.each(['gpt2', 'llama', 'mistral', 'gemma2', 'bloom'])(
    '%s: the recorded greedy tokens, together with padding, alone, without cache',
    async (name) => {
      const { models } = sharedJson('golden/generation/case.json') as Recorded;
      const { prompts = [], new_tokens: recorded } = models[name] ?? {};
      const small = loadDecoder(sharedPath('golden/models', name));
      for (const executor of [engine.executor, referenceExecutor(), referenceExecutor({ precision: 'f64' })]) {
        for (const cache of [true, false]) {
          for (const piece of [2, 512]) {
            const rows: (number | null)[][] = [];
            const options = { steps: 20, cache, piece };
            for await (const row of generateTogether(engineFor(small, executor), small.spec, prompts, options))
              rows.push(row);
            expect(prompts.map((_, text) => rows.map((row) => row[text]))).toEqual(recorded);
          }
          const first: number[] = [];
          for await (const id of generate(engineFor(small, executor), small.spec, prompts[2] ?? [], {
            steps: 20,
            cache,
          }))
            first.push(id);
          expect(first).toEqual(recorded?.[2]);
        }
      }
    },
  );

  test('a cancelled generation stops', async () => {
    const controller = new AbortController();
    controller.abort(new Error('enough'));
    await expect(collect([1], { steps: 3, signal: controller.signal })).rejects.toThrow('enough');
  });
});

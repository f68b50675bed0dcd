import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { engineFor, loadModel, type Model } from '../architectures/index.ts';
import { sharedFolder, sharedJson, sharedPath, withoutShared } from '../architectures/shared-data.ts';
import { chooseExecutor, type Engine } from '../plan/index.ts';
import { type GenerateOptions, generate } from './generate.ts';
import { openLlama2cTokenizer } from './llama2c-tokenizer.ts';

describe.skipIf(!sharedFolder)(`generation${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  let model: Model;
  let engine: Engine;
  beforeAll(async () => {
    model = loadModel(sharedPath('data/lm/stories260K/stories260K.bin'));
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

  test('a cancelled generation stops', async () => {
    const controller = new AbortController();
    controller.abort(new Error('enough'));
    await expect(collect([1], { steps: 3, signal: controller.signal })).rejects.toThrow('enough');
  });
});

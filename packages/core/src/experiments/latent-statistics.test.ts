import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseLatentStatistics } from '@circuitscope/schema';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { randomAttentionOnly } from '../circuits/random-model.fixture.ts';
import { memoryDictionary, spliceDictionary } from '../dictionaries/index.ts';
import { randomTensor } from '../plan/fixtures/small-models.ts';
import { captured, chooseExecutor, type Engine, makePlan, runPlan } from '../plan/index.ts';
import { openCorpus, wordTokenizer } from '../tokens/index.ts';
import { collectLatentStatistics, type LatentStatisticsOptions } from './latent-statistics.ts';

const { model } = randomAttentionOnly('LN');
const words = wordTokenizer(['<s>', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'], 'words');
const documents = ['a b c d e f g h i j a b c', 'd', 'e f g a a a b', 'j i h g f', 'c c c c c c c c c'];
const ids = documents.map((line) => line.split(' ').map((word) => 'abcdefghij'.indexOf(word) + 1));
const site = 'blocks.1.hook_resid_pre';
const LATENTS = 37;
const LENGTH = 4;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-statistics-'));
  writeFileSync(join(folder, 'corpus.txt'), documents.join('\n'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const width = Number(model.graph.nodes.find(({ sites }) => sites.includes(site))?.shape[2]);
const dictionary = memoryDictionary(
  'random',
  { dIn: width, latents: LATENTS, encoder: { kind: 'relu' }, reads: site },
  {
    W_enc: randomTensor(1, [width, LATENTS], 1),
    W_dec: randomTensor(2, [LATENTS, width], 1),
    b_enc: randomTensor(3, [LATENTS], 0.5),
    b_dec: randomTensor(4, [width], 0.5),
  },
);

async function engineOf(): Promise<Engine> {
  return { graph: model.graph, weights: model.weights, executor: (await chooseExecutor()).executor };
}

async function collect(out: string, more: Partial<LatentStatisticsOptions> = {}) {
  const settings = { field: 'text', length: LENGTH, tokenBytes: 2 as const };
  const corpus = openCorpus(join(folder, 'corpus.txt'), { tokenizer: words, ...settings, vocab: model.spec.vocab });
  const options = {
    corpus,
    folder: join(folder, out),
    dictionary,
    ...settings,
    bos: 'never' as const,
    examples: 3,
    ...more,
  };
  return collectLatentStatistics(await engineOf(), model, options);
}

/** Files by name. */
const contentsOf = (out: string): Map<string, string> =>
  new Map(
    readdirSync(join(folder, out))
      .sort()
      .map((file) => [file, readFileSync(join(folder, out, file)).toString('base64')]),
  );

/** Every row alone through the spliced model: latents of each token. */
async function denseLatents(ignore: readonly number[] = []) {
  const spliced = spliceDictionary(model, { dictionary, error: 'keep' });
  const engine: Engine = { ...(await engineOf()), graph: spliced.graph, weights: spliced.weights };
  const at = `${site}.hook_sae_acts_post`;
  const plan = makePlan(spliced.graph, { readouts: [{ kind: 'capture', at: { site: at } }] });
  const found: { value: number; latent: number; document: number; position: number }[] = [];
  for (const [document, tokens] of ids.entries()) {
    for (let from = 0; from < tokens.length; from += LENGTH) {
      const row = tokens.slice(from, from + LENGTH);
      const { data } = captured(await runPlan(engine, plan, { tokens: [row] }), at);
      row.forEach((id, place) => {
        if (ignore.includes(id)) return;
        for (let latent = 0; latent < LATENTS; latent++) {
          const value = data[place * LATENTS + latent] ?? 0;
          if (value !== 0) found.push({ value, latent, document, position: from + place });
        }
      });
    }
  }
  return found;
}

describe('statistics over a corpus', () => {
  test.each([[[]], [[1, 3]]])('are those of its rows, one by one; ignored: %j', async (ignore) => {
    const { manifest, statistics } = await collect('out', { ignore });
    const all = await denseLatents(ignore);
    const counted = ids.flat().filter((id) => !ignore.includes(id)).length;
    expect(manifest).toMatchObject({
      tokens: ids.flat().length,
      counted,
      active: all.length,
      complete: true,
      documents: 5,
    });
    expect(manifest.alive).toBe(new Set(all.map(({ latent }) => latent)).size);
    for (let latent = 0; latent < LATENTS; latent++) {
      const own = all.filter((one) => one.latent === latent);
      const { count, mean, max, examples } = statistics.summary(latent);
      expect(count).toBe(own.length);
      if (own.length === 0) continue;
      expect(mean).toBe(own.reduce((sum, { value }) => sum + value, 0) / own.length);
      expect(max).toBe(Math.max(...own.map(({ value }) => value)));
      const first = [...own].sort((a, b) => b.value - a.value || a.document - b.document || a.position - b.position);
      expect(examples).toEqual(first.slice(0, 3).map(({ latent: _, ...rest }) => rest));
    }
  });

  test('batches do not show, nor where it was stopped', async () => {
    await collect('whole');
    const whole = contentsOf('whole');
    expect([...whole.keys()]).toEqual(['manifest.json', `statistics-${ids.flat().length}.safetensors`]);
    await collect('small', { batchTokens: 5, stopTokens: 1 });
    expect(contentsOf('small')).toEqual(whole);
    for (const stops of [1, 2, 4]) {
      const cut = new AbortController();
      let left = stops;
      const stopped = collect(`stopped-${stops}`, {
        batchTokens: 5,
        stopTokens: 6,
        signal: cut.signal,
        onProgress: () => {
          if (--left === 0) cut.abort();
        },
      });
      await expect(stopped).rejects.toThrow();
      writeFileSync(join(folder, `stopped-${stops}`, 'statistics-3.safetensors'), 'begun and not named');
      await collect(`stopped-${stops}`);
      expect(contentsOf(`stopped-${stops}`)).toEqual(whole);
    }
    expect((await collect('whole')).manifest.complete).toBe(true);
  });

  test('a limit ends in the middle of a row', async () => {
    const { manifest } = await collect('limited', { limit: 7 });
    expect(manifest).toMatchObject({ tokens: 7, next: { document: 0, token: 7 }, complete: true });
  });

  test('other settings, other files and damage are refused with a sentence', async () => {
    const { manifest } = await collect('out');
    expect(parseLatentStatistics(JSON.parse(JSON.stringify(manifest)))).toEqual({ ok: true, value: manifest });
    await expect(collect('out', { examples: 4 })).rejects.toMatchObject({ code: 'wrong_statistics', at: 'examples' });
    await expect(collect('.')).rejects.toMatchObject({ code: 'folder_in_use' });
    await expect(collect('x', { length: 10_000 })).rejects.toMatchObject({ code: 'too_long' });
    await expect(collect('y', { at: 'blocks.0.attn.hook_pattern' })).rejects.toMatchObject({ code: 'bad_scope' });
    const { file } = manifest.file ?? { file: '' };
    writeFileSync(join(folder, 'out', 'manifest.json'), JSON.stringify({ ...manifest, complete: false }));
    const bytes = readFileSync(join(folder, 'out', file));
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(join(folder, 'out', file), bytes);
    await expect(collect('out')).rejects.toMatchObject({ code: 'bad_statistics' });
  });
});

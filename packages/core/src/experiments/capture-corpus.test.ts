import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseCaptures } from '@circuitscope/schema';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readSafetensorsHeader, readStored, type StoredTensor } from '../checkpoints/index.ts';
import { randomAttentionOnly } from '../circuits/random-model.fixture.ts';
import { captured, chooseExecutor, makePlan, runPlan } from '../plan/index.ts';
import { openCorpus, wordTokenizer } from '../tokens/index.ts';
import { type CaptureCorpusOptions, captureCorpus } from './capture-corpus.ts';

const { model } = randomAttentionOnly('LN');
const words = wordTokenizer(['<s>', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'], 'words');
const documents = ['a b c d e f g h i j a b c', 'd', 'e f g a a a b', 'j i h g f', 'c c c c c c c c c'];
const ids = documents.map((line) => line.split(' ').map((word) => 'abcdefghij'.indexOf(word) + 1));
const sites = ['blocks.0.attn.hook_z', 'blocks.1.hook_resid_post'];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-captures-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (name: string, data: string | Uint8Array): string => {
  writeFileSync(join(folder, name), data);
  return join(folder, name);
};

/** numpy's file of version 1. */
function npy(descr: string, shape: readonly number[], data: Uint8Array): Uint8Array {
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const header = `${dict.padEnd(128 - 10 - 1)}\n`;
  return Buffer.concat([
    Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]),
    Buffer.from(header),
    data,
  ]);
}

async function capture(path: string, more: Partial<CaptureCorpusOptions> & { readonly out?: string } = {}) {
  const { out = 'out', field = 'text', length = 4, tokenBytes = 2, ...rest } = more;
  const engine = { graph: model.graph, weights: model.weights, executor: (await chooseExecutor()).executor };
  const corpus = openCorpus(path, { tokenizer: words, field, tokenBytes, length, vocab: model.spec.vocab });
  const options = {
    corpus,
    folder: join(folder, out),
    sites,
    length,
    field,
    tokenBytes,
    bos: 'never' as const,
    ...rest,
  };
  return captureCorpus(engine, model, options);
}

function numbersOf(tensor: StoredTensor): Iterable<number> {
  if (tensor.dtype !== 'i32') return readStored(tensor);
  const { buffer, byteOffset } = readFileSync(tensor.file);
  return new Int32Array(
    buffer.slice(byteOffset + tensor.byteOffset, byteOffset + tensor.byteOffset + tensor.byteLength),
  );
}

/** All shards of a folder, one behind the other. */
function contents(out = 'out') {
  const names = readdirSync(join(folder, out)).filter((name) => name.endsWith('.safetensors'));
  const all = new Map<string, number[]>();
  for (const name of names.sort()) {
    for (const tensor of readSafetensorsHeader(join(folder, out, name)).tensors)
      all.set(tensor.name, [...(all.get(tensor.name) ?? []), ...numbersOf(tensor)]);
  }
  return { names, all };
}

/** Every file of a folder by name, as text of its bytes. */
const bytesOf = (out: string): Map<string, string> =>
  new Map(
    readdirSync(join(folder, out))
      .sort()
      .map((name) => [name, readFileSync(join(folder, out, name), 'latin1')]),
  );

describe('captures of a corpus', () => {
  test('hold each token once with its place, and the values that a run of its row gives', async () => {
    const manifest = await capture(put('corpus.txt', `${documents.join('\n')}\n`), { shardBytes: 700 });
    expect(parseCaptures(manifest).ok).toBe(true);
    const { names, all } = contents();
    expect(names.length).toBeGreaterThan(3);
    expect(manifest).toMatchObject({ complete: true, tokens: 35, documents: 5, share: 1 });
    expect(all.get('tokens')).toEqual(ids.flat());
    expect(all.get('document')).toEqual(ids.flatMap((row, document) => row.map(() => document)));
    expect(all.get('position')).toEqual(ids.flatMap((row) => row.map((_, at) => at)));
    const engine = { graph: model.graph, weights: model.weights, executor: (await chooseExecutor()).executor };
    const plan = makePlan(model.graph, { readouts: sites.map((site) => ({ kind: 'capture', at: { site } })) });
    for (const site of sites) {
      const expected: number[] = [];
      for (const row of ids) {
        for (let from = 0; from < row.length; from += 4)
          expected.push(...captured(await runPlan(engine, plan, { tokens: [row.slice(from, from + 4)] }), site).data);
      }
      expect(all.get(site), site).toEqual(expected);
    }
  });

  test('are the same from every format', async () => {
    const u16 = new Uint8Array(Uint16Array.from(ids.flat()).buffer);
    const column = (data: unknown[], type: 'STRING' | 'JSON') => ({ name: 'words', data, type });
    const table = parquetWriteBuffer({ columnData: [column(documents, 'STRING')] });
    const paths = {
      text: put('corpus.txt', documents.join('\r\n\n')),
      jsonl: put('corpus.jsonl', documents.map((line) => JSON.stringify({ id: 1, words: line })).join('\n')),
      ids: put('ids.jsonl', ids.map((words_) => JSON.stringify({ words: words_ })).join('\n')),
      parquet: put('corpus.parquet', new Uint8Array(table)),
    };
    await capture(paths.text, { out: 'text' });
    const expected = contents('text').all;
    for (const [out, path] of Object.entries(paths)) {
      if (out === 'text') continue;
      await capture(path, { out, field: 'words' });
      expect(contents(out).all, out).toEqual(expected);
    }
    // Files of ids alone have no documents of different lengths: rows of 4 here.
    const flat = put('flat.bin', u16);
    await capture(flat, { out: 'bin' });
    await capture(put('flat.npy', npy('<u2', [35], u16)), { out: 'npy' });
    expect(contents('npy').all).toEqual(contents('bin').all);
    expect(contents('bin').all.get('tokens')).toEqual(ids.flat());
    const table4 = new Uint8Array(Int32Array.from(ids.flat().slice(0, 32)).buffer);
    await capture(put('rows.npy', npy('<i4', [8, 4], table4)), { out: 'rows' });
    expect(contents('rows').all.get('tokens')).toEqual(ids.flat().slice(0, 32));
  });

  test('that were stopped go on to the bytes of those that were not, whatever the batches', async () => {
    const path = put('corpus.txt', documents.join('\n'));
    const common = { shardBytes: 500 };
    await capture(path, { ...common, out: 'whole' });
    for (const [attempt, stopAfter] of [1, 9, 20].entries()) {
      const out = `stopped-${attempt}`;
      const stop = new AbortController();
      const interrupted = capture(path, {
        ...common,
        out,
        batchTokens: 4,
        signal: stop.signal,
        onProgress: ({ tokens }) => {
          if (tokens > stopAfter) stop.abort();
        },
      });
      await expect(interrupted).rejects.toThrow();
      writeFileSync(join(folder, out, 'captures-000009.safetensors.00ff.tmp'), 'half');
      await capture(path, { ...common, out, batchTokens: 16 });
      expect(bytesOf(out)).toEqual(bytesOf('whole'));
    }
    const again = await capture(path, { ...common, out: 'whole' });
    expect(again.complete).toBe(true);
  });

  test('stop at a limit of tokens', async () => {
    const manifest = await capture(put('corpus.txt', documents.join('\n')), { limit: 10, shardBytes: 300 });
    expect(manifest).toMatchObject({ tokens: 10, complete: true });
    expect(contents().all.get('tokens')).toEqual(ids.flat().slice(0, 10));
  });

  test('mistakes name their place', async () => {
    const path = put('corpus.txt', documents.join('\n'));
    await capture(path);
    await expect(capture(path, { length: 3 })).rejects.toMatchObject({ code: 'wrong_capture', at: 'length' });
    await expect(capture(path, { sites: ['blocks.0.attn.hook_pattern'], out: 'p' })).rejects.toMatchObject({
      code: 'bad_site',
    });
    await expect(capture(path, { length: 99, out: 'l' })).rejects.toMatchObject({ code: 'too_long' });
    await expect(capture(put('x.csv', 'a'), { out: 'c' })).rejects.toMatchObject({ code: 'bad_corpus' });
    await expect(capture(put('bad.jsonl', '{"text": 3}'), { out: 'j' })).rejects.toMatchObject({
      code: 'bad_corpus',
      at: expect.stringMatching(/bad\.jsonl:1$/),
    });
    await expect(capture(put('odd.bin', new Uint8Array(3)), { out: 'o' })).rejects.toMatchObject({
      code: 'bad_corpus',
    });
    await expect(capture(put('big.bin', Uint8Array.of(11, 0)), { out: 'b' })).rejects.toMatchObject({
      code: 'out_of_range',
    });
    await expect(capture(put('no.parquet', 'PAR1 nothing PAR1'), { out: 'q' })).rejects.toMatchObject({
      code: 'bad_corpus',
    });
    await expect(capture(put('latin.txt', Uint8Array.of(0x61, 0xe9, 0x62)), { out: 't' })).rejects.toMatchObject({
      code: 'bad_corpus',
    });
    writeFileSync(join(folder, 'out', 'captures-000000.safetensors'), 'short');
    await expect(capture(path)).rejects.toMatchObject({ code: 'bad_captures' });
    writeFileSync(join(folder, 'out', 'manifest.json'), '{"kind": "captures"}');
    await expect(capture(path)).rejects.toMatchObject({ code: 'invalid_record' });
    await expect(capture(path, { out: '.' })).rejects.toMatchObject({ code: 'folder_in_use' });
  });
});

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensorsHeader } from '@circuitscope/core/checkpoints';
import { Captures, mustParse } from '@circuitscope/schema';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';
import { sharedFolder, sharedPath, withoutShared } from '../../shared-data.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(!sharedFolder)(`model run --corpus${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  const stories = sharedPath('data/lm/stories260K/stories260K.bin');
  const site = 'blocks.2.hook_resid_post';
  const run = (...words: string[]) => circuitscope(['model', 'run', '--model', stories, ...words], { cwd: folder });
  const corpus = () => {
    writeFileSync(join(folder, 'corpus.txt'), 'Once upon a time there was a dog.\nHe ran.\n\nThe end of it all.\n');
    return ['--corpus', 'corpus.txt', '--capture', site, '--out', 'captures', '--length', '8'];
  };

  test('writes a folder of activations with a manifest, and a second time has nothing left to do', async () => {
    const { code, stdout, stderr } = await run(...corpus(), '--bos', 'always', '--json');
    expect([code, stderr]).toEqual([0, '']);
    const manifest = mustParse(Captures, JSON.parse(stdout), 'captures');
    expect(manifest).toMatchObject({ documents: 3, complete: true, length: 8, bos: 'always' });
    const [shard] = manifest.shards;
    const tensors = readSafetensorsHeader(join(folder, 'captures', shard?.file ?? '')).tensors;
    expect(tensors.find(({ name }) => name === site)?.shape).toEqual([manifest.tokens, 64]);
    const again = await run(...corpus(), '--bos', 'always');
    expect(again.stdout).toMatch(/^this time +0 tokens/m);
  });

  test('on a terminal says how many tokens a second, and how long it takes yet', async () => {
    const many = Array.from({ length: 400 }, (_, at) => `Once upon a time there was a dog named ${at}.`).join('\n');
    writeFileSync(join(folder, 'many.txt'), many);
    const words = ['model', 'run', '--model', stories, '--corpus', 'many.txt', '--capture', site, '--out', 'many'];
    const { code, stderr } = await circuitscope(words, { cwd: folder, terminal: true });
    expect(code).toBe(0);
    expect(stderr).toMatch(/tokens\/s/);
  });

  test('options that do not go together, and sites that it cannot keep, are refused', async () => {
    for (const [words, message] of [
      [[...corpus(), '--text', 'x'], '--text'],
      [[...corpus(), '--force'], '--force'],
      [['--text', 'x', '--capture', site, '--out', 'x.safetensors', '--limit', '3'], '--limit'],
      [['--corpus', 'corpus.txt', '--capture', 'all', '--out', 'x'], '--capture'],
      [['--corpus', 'corpus.txt', '--capture', 'blocks.0.attn.hook_pattern', '--out', 'x'], 'hook_pattern'],
      [['--corpus', 'missing.txt', '--capture', site, '--out', 'x'], 'missing.txt'],
    ] as const) {
      const { code, stdout, stderr } = await run(...words);
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toContain(message);
      expect(existsSync(join(folder, 'x'))).toBe(false);
    }
  });
});

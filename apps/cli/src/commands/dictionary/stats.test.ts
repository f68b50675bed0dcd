import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensorsHeader, readStoredFloat64, writeSafetensors } from '@circuitscope/core/checkpoints';
import { LatentStatistics, mustParse } from '@circuitscope/schema';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';
import { sharedFolder, sharedPath, withoutShared } from '../../shared-data.ts';

const SITE = 'blocks.2.hook_resid_pre';
const WIDTH = 64;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-cli-'));
  writeFileSync(join(folder, 'corpus.txt'), 'Once upon a time there was a dog.\nHe ran.\n\nThe end of it all.\n');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Latent 2i is +x[i], latent 2i + 1 is −x[i]: at each token one of two is active. The last two never are. */
function writeSigns(name: string): string {
  const [F, d] = [2 * WIDTH + 2, WIDTH];
  const fill = (rows: number, columns: number, at: (row: number, column: number) => number) =>
    Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns));
  const sign = (latent: number, i: number) => (latent >> 1 === i ? 1 - 2 * (latent % 2) : 0);
  mkdirSync(join(folder, name));
  const config = { architecture: 'standard', d_in: d, d_sae: F, metadata: { hook_name: SITE } };
  writeFileSync(join(folder, name, 'cfg.json'), JSON.stringify(config));
  writeSafetensors(join(folder, name, 'sae_weights.safetensors'), [
    { name: 'W_enc', dtype: 'f32', shape: [d, F], data: fill(d, F, (i, latent) => sign(latent, i)) },
    { name: 'W_dec', dtype: 'f32', shape: [F, d], data: fill(F, d, sign) },
    { name: 'b_enc', dtype: 'f32', shape: [F], data: new Float32Array(F) },
    { name: 'b_dec', dtype: 'f32', shape: [d], data: new Float32Array(d) },
  ]);
  return name;
}

describe.skipIf(!sharedFolder)(`dictionary stats${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  const stories = sharedPath('data/lm/stories260K/stories260K.bin');
  const stats = (...words: string[]) =>
    circuitscope(['dictionary', 'stats', '--model', stories, '--corpus', 'corpus.txt', ...words], { cwd: folder });

  test('counts every latent into a folder, and a second time has nothing left to do', async () => {
    const words = ['--dictionary', writeSigns('signs'), '--length', '8', '--out', 'out', '--examples', '2'];
    const { code, stdout, stderr } = await stats(...words, '--json');
    expect([code, stderr]).toEqual([0, '']);
    const { kind, version, statistics, top } = JSON.parse(stdout);
    expect([kind, version]).toEqual(['dictionary_stats', 1]);
    const manifest = mustParse(LatentStatistics, statistics, 'statistics');
    expect(manifest).toMatchObject({ site: SITE, complete: true, documents: 3, alive: 2 * WIDTH, length: 8 });
    // Of each pair one latent is active, as no entry of the stream is zero.
    expect(manifest.active).toBe(WIDTH * manifest.counted);
    expect(top).toHaveLength(10);
    expect(top[0].examples).toHaveLength(2);
    const stored = readSafetensorsHeader(join(folder, 'out', manifest.file?.file ?? '')).tensors;
    const read = (name: string): Float64Array => {
      const tensor = stored.find((one) => one.name === name);
      if (!tensor) throw new Error(`no ${name}`);
      return readStoredFloat64(tensor);
    };
    const count = read('count');
    expect(count.reduce((a, b) => a + b, 0)).toBe(manifest.active);
    expect([...count.slice(-2)]).toEqual([0, 0]);
    expect(read('histogram').reduce((a, b) => a + b, 0)).toBe(manifest.active);
    expect(top[0].count).toBe(Math.max(...count));
    expect(top[0].max).toBe(read('top_values')[2 * top[0].latent]);
    const again = await stats(...words);
    expect(again.code).toBe(0);
    expect(again.stdout).toMatch(/^this time +0 tokens/m);
    expect(again.stdout).toMatch(/^active +64\.0 latents a token/m);
    expect(again.stdout).toMatch(/^latents +130, 2 of them never active/m);
    expect(readdirSync(join(folder, 'out'))).toHaveLength(2);
  });

  test('on a terminal says how many tokens a second', async () => {
    const lines = Array.from({ length: 300 }, (_, at) => `Once upon a time there was a dog named ${at}.`);
    writeFileSync(join(folder, 'corpus.txt'), lines.join('\n'));
    const words = ['dictionary', 'stats', '--model', stories, '--corpus', 'corpus.txt', '--out', 'many'];
    const { code, stderr } = await circuitscope([...words, '--dictionary', writeSigns('signs')], {
      cwd: folder,
      terminal: true,
    });
    expect(code).toBe(0);
    expect(stderr).toMatch(/tokens\/s/);
  });

  test('mistakes are one line, and write nothing', async () => {
    writeSigns('signs');
    for (const [words, message] of [
      [['--dictionary', 'signs', '--at', 'blocks.9.hook_resid_pre', '--out', 'x'], 'blocks.9.hook_resid_pre'],
      [['--dictionary', 'signs', '--at', 'blocks.0.mlp.hook_post', '--out', 'x'], 'hook_post'],
      [['--dictionary', 'none', '--out', 'x'], 'none'],
      [['--dictionary', 'signs', '--out', 'signs'], 'signs'],
      [['--dictionary', 'signs'], '--out'],
      [['--dictionary', 'signs', '--out', 'x', '--length', '100000'], '100000'],
    ] as const) {
      const { code, stdout, stderr } = await stats(...words);
      expect([code, stdout], stderr).toEqual([1, '']);
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(stderr).toContain(message);
      expect(existsSync(join(folder, 'x', 'manifest.json'))).toBe(false);
    }
  });
});

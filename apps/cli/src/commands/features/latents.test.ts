import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TensorToWrite, writeSafetensors } from '@circuitscope/core/checkpoints';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';

const MODEL = 'zoo:induction-handwritten';
const SITE = 'blocks.0.hook_resid_post';
const WIDTH = 40;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const latents = (...words: string[]) =>
  circuitscope(['features', 'latents', '--model', MODEL, ...words], { cwd: folder });

/** Latent 2i is +x[i], latent 2i + 1 is −x[i]: nothing is missed. */
function writeSigns(name: string, site = SITE, width = WIDTH): string {
  const [F, d] = [2 * width, width];
  const sign = (latent: number, i: number) => (latent >> 1 === i ? 1 - 2 * (latent % 2) : 0);
  const fill = (rows: number, columns: number, at: (row: number, column: number) => number) =>
    Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns));
  const tensors: TensorToWrite[] = [
    { name: 'W_enc', dtype: 'f32', shape: [d, F], data: fill(d, F, (i, latent) => sign(latent, i)) },
    { name: 'W_dec', dtype: 'f32', shape: [F, d], data: fill(F, d, sign) },
    { name: 'b_enc', dtype: 'f32', shape: [F], data: new Float32Array(F) },
    { name: 'b_dec', dtype: 'f32', shape: [d], data: new Float32Array(d) },
  ];
  mkdirSync(join(folder, name));
  const config = { architecture: 'standard', d_in: d, d_sae: F, metadata: { hook_name: site } };
  writeFileSync(join(folder, name, 'cfg.json'), JSON.stringify(config));
  writeSafetensors(join(folder, name, 'sae_weights.safetensors'), tensors);
  return name;
}

describe('features latents', () => {
  test('a dictionary of signs has a latent for each coordinate that is not zero, and misses nothing', async () => {
    const dictionary = writeSigns('signs');
    const { code, stdout, stderr } = await latents('--dictionary', dictionary, '--tokens', '[[0,1,2,1]]', '--json');
    expect([code, stderr]).toEqual([0, '']);
    const { kind, version, site, reading, ablation, dictionary: about } = JSON.parse(stdout);
    expect([kind, version, site, ablation]).toEqual(['dictionary_latents', 1, SITE, null]);
    expect(about).toMatchObject({ latents: 80, contentHash: expect.stringMatching(/^sha256:/) });
    expect(reading.unexplained).toBe(0);
    expect(reading.positions).toHaveLength(4);
    for (const { active, top } of reading.positions) {
      expect(active).toBeGreaterThan(0);
      expect(top).toHaveLength(Math.min(5, active));
      const values = top.map(({ value }: { value: number }) => value);
      expect(values).toEqual([...values].sort((a, b) => b - a));
    }
  });

  test('text has a row for each position, and the ablation below', async () => {
    const words = ['--dictionary', writeSigns('signs'), '--tokens', '[[0,1,2,1]]', '--top', '2'];
    const { stdout: document } = await latents(...words, '--json');
    const latent = JSON.parse(document).reading.positions[3].top[0].latent;
    const { code, stdout } = await latents(...words, '--ablate', String(latent), '--answer', '2');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ +0 +0 +0 +\d+ +\d+ \(/m);
    expect(stdout).toMatch(/^blocks\.0\.hook_resid_post: [\d.]+ latents active on average, 0 of the variance/m);
    expect(stdout).toMatch(new RegExp(`^example +answer +logit +without ${latent} +change$`, 'm'));
  });

  test('zeroing the latent that carries the answer lowers its logit', async () => {
    const words = ['--dictionary', writeSigns('last', 'blocks.1.hook_resid_post'), '--tokens', '[[0,1,2,3,1]]'];
    const { reading } = JSON.parse((await latents(...words, '--top', '80', '--json')).stdout);
    const changes: number[] = [];
    for (const { latent } of reading.positions[4].top) {
      const { ablation } = JSON.parse((await latents(...words, '--ablate', String(latent), '--json')).stdout);
      const [{ answer, before, after }] = ablation.examples;
      expect(answer).toBe(2);
      changes.push(after - before);
    }
    expect(Math.min(...changes)).toBeLessThan(-1);
  });

  test('a transcoder and a cross-layer transcoder need an MLP to replace', async () => {
    const dictionary = writeSigns('signs');
    const config = { architecture: 'transcoder', d_in: 40, d_out: 40, d_sae: 80, metadata: { hook_name: 'x' } };
    writeFileSync(join(folder, dictionary, 'cfg.json'), JSON.stringify(config));
    const words = ['--dictionary', dictionary, '--tokens', '[[1]]'];
    expect((await latents(...words)).stderr).toContain('--at blocks.L.hook_mlp_out');
    expect((await latents(...words, '--at', 'blocks.0.hook_mlp_out')).stderr).toContain(
      'no site blocks.0.hook_mlp_out',
    );
  });

  test.each([
    ['no dictionary there', ['--dictionary', 'nowhere'], 'nowhere does not exist'],
    ['a site of another width', ['--at', 'blocks.0.attn.hook_q'], 'made for vectors of 40'],
    ['a site that is not there', ['--at', 'blocks.0.hook_resid'], 'the nearest are'],
    ['a latent that is not there', ['--ablate', '80'], 'has 80 latents; there is no latent 80'],
    ['an answer without ablation', ['--answer', '1'], 'add --ablate N'],
    ['an answer outside the vocabulary', ['--ablate', '0', '--answer', '8'], 'there is no token 8'],
  ])('%s: one line', async (_, words, message) => {
    const dictionary = writeSigns('signs');
    const given = words.includes('--dictionary') ? words : ['--dictionary', dictionary, ...words];
    const { code, stdout, stderr } = await latents(...given, '--tokens', '[[0,1]]');
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^circuitscope: [^\n]+\n$/);
    expect(stderr).toContain(message);
  });
});

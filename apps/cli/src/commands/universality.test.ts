import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { circuitscope } from '../recorded-io.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-universality-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (...words: string[]) => circuitscope(['universality', ...words], { cwd: folder });
const twins = 'zoo:induction-handwritten,zoo:induction-handwritten-rotated';

test('a model and its rotated copy are strongly alike, and the same question is answered from the workspace', async () => {
  const { code, stdout } = await run('--models', twins);
  expect(code).toBe(0);
  expect(stdout).toContain('Strongly universal');
  expect(stdout).toContain('written before the run');
  expect((await run('--models', twins)).stdout).toContain('found in the workspace');
  const record = JSON.parse((await run('--models', twins, '--json')).stdout);
  expect(record).toMatchObject({ kind: 'comparison', pairing: 'within', verdict: { outcome: 'strong' } });
});

test('one model, or a family that is not there, is a mistake with one line', async () => {
  for (const words of [
    ['--models', 'zoo:induction-handwritten'],
    ['--family', 'nobody'],
  ]) {
    expect(await run(...words)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^circuitscope: [^\n]+\n$/) });
  }
});

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sharedFolder, sharedPath, withoutShared } from './shared-data.ts';

// The program as a process: pipes, signals and exit codes are the operating system's.

function start(words: readonly string[]) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => {
    stdout += String(text);
  });
  child.stderr.on('data', (text) => {
    stderr += String(text);
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, stdout, stderr })),
  );
  return { child, ended };
}

test('the version is that of the package', async () => {
  expect(await start(['--version']).ended).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^circuitscope \d+\.\d+\.\d+\n$/),
    stderr: '',
  });
});

test('a mistake exits with 1', async () => {
  expect(await start(['model', 'inspect', '/no/such']).ended).toMatchObject({ code: 1, stdout: '' });
});

describe.skipIf(!sharedFolder)(`with a model${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  const stories = sharedPath('data/lm/stories260K/stories260K.bin');

  test('a large result reaches a pipe whole', async () => {
    const { code, stdout } = await start(['model', 'sites', stories, '--json']).ended;
    expect(code).toBe(0);
    expect(JSON.parse(stdout).sites.length).toBeGreaterThan(100);
  });

  test('SIGINT ends a generation with 130 and one line', async () => {
    const { child, ended } = start([
      'model',
      'generate',
      '--model',
      stories,
      '--steps',
      '500',
      '--temperature',
      '1',
      '--top-k',
      '400',
    ]);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 130, stderr: 'circuitscope: cancelled\n' });
  });

  test('a reader that goes away ends the program quietly', async () => {
    const { child, ended } = start([
      'model',
      'generate',
      '--model',
      stories,
      '--steps',
      '500',
      '--temperature',
      '1',
      '--top-k',
      '400',
    ]);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.stdout.destroy();
    expect(await ended).toMatchObject({ code: 0, stderr: '' });
  });
});

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zooRecipes } from '@circuitscope/zoo';
import { afterAll, describe, expect, test } from 'vitest';
import { Cancelled } from '../../process-io.ts';
import { circuitscope, recordedIo } from '../../recorded-io.ts';
import { runCli } from '../../run-cli.ts';
import { tree } from '../index.ts';

const cwd = mkdtempSync(join(tmpdir(), 'cli-train-'));
afterAll(() => rmSync(cwd, { recursive: true }));
const read = (...parts: string[]) => readFileSync(join(cwd, ...parts));

test('--list names every recipe with what it shows', async () => {
  const { code, stdout } = await circuitscope(['train', '--list']);
  expect(code).toBe(0);
  for (const { name, shows } of zooRecipes) expect(stdout).toContain(`${name}: ${shows}`);
  const document = JSON.parse((await circuitscope(['train', '--list', '--json'])).stdout);
  expect(document.recipes.map(({ name }: { name: string }) => name)).toEqual(zooRecipes.map(({ name }) => name));
});

describe('a training', () => {
  const words = ['train', 'toy-superposition', '--steps', '60', '--seed', '2'];

  test('in a pipe prints a line each time one is logged, and leaves model, log and settings', async () => {
    const { code, stdout, stderr } = await circuitscope([...words, '--out', 'piped'], { cwd });
    expect([code, stderr]).toEqual([0, '']);
    const lines = stdout.split('\n');
    expect(lines.slice(0, 4).map((line) => line.split('  ')[0])).toEqual([
      'step 0/60',
      'step 20/60',
      'step 40/60',
      'step 60/60',
    ]);
    expect(stdout).toContain('model   piped');
    expect(JSON.parse(read('piped', 'config.json').toString())).toMatchObject({ model_type: 'toy_superposition' });
    expect(JSON.parse(read('piped', 'recipe.json').toString())).toMatchObject({
      kind: 'training',
      recipe: 'toy-superposition',
      seed: 2,
      steps: 60,
    });
  });

  test('with --json prints the log as JSON lines and the model last', async () => {
    const { code, stdout } = await circuitscope([...words, '--json', '--threads', '1'], { cwd });
    expect(code).toBe(0);
    const documents = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(documents.map(({ kind, step }) => [kind, step])).toEqual([
      ['training_step', 0],
      ['training_step', 20],
      ['training_step', 40],
      ['training_step', 60],
      ['trained_model', 60],
    ]);
    expect(documents.at(-1).folder).toBe(join('trained', 'toy-superposition', 'seed-2'));
    for (const file of ['log.jsonl', 'model.safetensors', 'recipe.json']) {
      expect(read('trained', 'toy-superposition', 'seed-2', file).equals(read('piped', file))).toBe(true);
    }
  });

  test('on a terminal draws curves in place, takes them away, and prints them once more at the end', async () => {
    const { code, stdout, stderr } = await circuitscope([...words, '--out', 'drawn'], { cwd, terminal: true });
    expect(code).toBe(0);
    expect(stderr).toContain('60/60');
    expect(stderr.endsWith('\u001b[J')).toBe(true);
    expect(stdout).toMatch(/norm\.0.*[▁█]/);
    expect(stdout).not.toContain('step 20/60');
  });

  test('into a folder that holds one already is refused, and overwrites nothing', async () => {
    const before = read('piped', 'log.jsonl');
    const { code, stderr } = await circuitscope([...words, '--out', 'piped'], { cwd });
    expect(code).toBe(1);
    expect(stderr).toMatch(/already holds a training; go on with --resume/);
    expect(read('piped', 'log.jsonl').equals(before)).toBe(true);
  });

  test('that is cancelled says how to go on, and going on gives the bytes of one that never was', async () => {
    const controller = new AbortController();
    const { io, stderr } = recordedIo({ cwd, signal: controller.signal });
    const stdout = {
      ...io.stdout,
      write: (text: string | Uint8Array) => {
        if (String(text).startsWith('step 20/')) controller.abort(new Cancelled());
      },
    };
    const code = await runCli({ tree, version: '1.2.3' }, [...words, '--out', 'stopped here'], { ...io, stdout });
    expect(code).toBe(130);
    expect(stderr()).toContain(
      "Stopped after step 21 of 60. Go on with: circuitscope train --resume --out 'stopped here'",
    );
    expect(existsSync(join(cwd, 'stopped here', 'model.safetensors'))).toBe(false);
    expect((await circuitscope(['train', '--resume', '--out', 'stopped here'], { cwd })).code).toBe(0);
    for (const file of ['checkpoint.safetensors', 'log.jsonl', 'model.safetensors']) {
      expect(read('stopped here', file).equals(read('piped', file))).toBe(true);
    }
  });
});

describe('a mistake is one line', () => {
  test.each([
    ['no recipe', ['train'], 'train needs RECIPE, one of '],
    ['an unknown recipe', ['train', 'nobody'], 'There is no recipe "nobody"; there are '],
    ['--resume alone', ['train', '--resume'], 'needs --out DIR'],
    ['nothing to resume', ['train', '--resume', '--out', 'empty'], 'holds no training to resume'],
    ['no steps', ['train', 'toy-superposition', '--steps', '0'], '--steps must be a whole number from 1'],
    ['another seed', ['train', '--resume', '--out', 'piped', '--seed', '3'], 'whose seed is 2, not 3'],
    [
      'another recipe',
      ['train', 'toy-superposition-dense', '--resume', '--out', 'piped'],
      'whose recipe is "toy-superposition"',
    ],
  ])('%s', async (_, words, message) => {
    const { code, stdout, stderr } = await circuitscope(words, { cwd });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(message);
    expect(stderr.trimEnd()).not.toContain('\n');
  });
});

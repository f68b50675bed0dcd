import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CircuitscopeError } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { loadModel } from '../architectures/index.ts';
import { chooseExecutor, readWeight } from '../plan/index.ts';
import { smallRecipe } from './fixtures/small-recipe.ts';
import { type TrainOptions, train } from './train.ts';
import { readTrainingFolder } from './training-folder.ts';

const { executor } = await chooseExecutor();
const root = mkdtempSync(join(tmpdir(), 'training-'));
afterAll(() => rmSync(root, { recursive: true }));
let folders = 0;
const freshFolder = () => join(root, String(folders++));

const compared = ['checkpoint.safetensors', 'config.json', 'log.jsonl', 'model.safetensors', 'recipe.json'];
const bytesOf = (folder: string) => compared.map((name) => readFileSync(join(folder, name)).toString('base64'));
const linesOf = (folder: string): Record<string, unknown>[] =>
  readFileSync(join(folder, 'log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

async function refusal(action: () => Promise<unknown>): Promise<CircuitscopeError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof CircuitscopeError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** Trains and aborts once so many steps are done. */
async function interrupted(out: string, after: number, options: Partial<TrainOptions> = {}): Promise<unknown> {
  const controller = new AbortController();
  const reason = new Error('enough');
  try {
    await train(smallRecipe(), {
      executor,
      seed: 5,
      out,
      signal: controller.signal,
      onProgress: (done) => {
        if (done >= after) controller.abort(reason);
      },
      ...options,
    });
  } catch (error) {
    return error === reason ? 'aborted' : error;
  }
  return 'finished';
}

describe('a training', () => {
  const whole = freshFolder();

  test('learns its task, and its folder loads as a model with the weights that it ended with', async () => {
    const training = await train(smallRecipe(), { executor, seed: 5, steps: 300, out: freshFolder() });
    const last = training.log.at(-1);
    expect(last?.step).toBe(300);
    expect(last?.metrics?.accuracy).toBeGreaterThan(0.9);
    expect(last?.loss).toBeLessThan(0.5);
    const model = loadModel(join(root, String(folders - 1)));
    for (const [name, { data }] of training.weights) expect(readWeight(model.weights, name).data).toEqual(data);
  });

  test('writes a line where one is due, and the last one after the last step', async () => {
    await train(smallRecipe(), { executor, seed: 5, out: whole });
    const [head, ...lines] = linesOf(whole);
    expect(head).toEqual({ kind: 'training', version: 1, recipe: 'small', seed: 5, steps: 40 });
    const due = Array.from({ length: 40 }, (_, step) => step).filter((step) => step % 3 === 0 || step % 10 === 0);
    expect(lines.map(({ step }) => step)).toEqual([...due, 40]);
    for (const { step, metrics } of lines) expect(metrics !== undefined).toBe(Number(step) % 10 === 0);
    expect(lines[0]).toMatchObject({ learningRate: 0.002 });
    expect(Object.keys(lines.at(-1) ?? {})).toEqual(['step', 'loss', 'metrics']);
  });

  test.each([1, 2, 7])('has the same bytes with %i threads', async (threads) => {
    const out = freshFolder();
    await train(smallRecipe(), { executor, seed: 5, out, threads });
    expect(bytesOf(out)).toEqual(bytesOf(whole));
  });

  test('has other bytes with another seed', async () => {
    const out = freshFolder();
    await train(smallRecipe(), { executor, seed: 6, out });
    expect(readFileSync(join(out, 'model.safetensors')).equals(readFileSync(join(whole, 'model.safetensors')))).toBe(
      false,
    );
  });

  test('is interrupted after any step and resumed with the same bytes', async () => {
    for (const after of [0, 1, 7, 8, 9, 30, 39]) {
      const out = freshFolder();
      expect(await interrupted(out, after)).toBe('aborted');
      expect(existsSync(join(out, 'model.safetensors'))).toBe(false);
      await train(smallRecipe(), { executor, seed: 5, out, resume: true, threads: 1 });
      expect(bytesOf(out), `after ${after}`).toEqual(bytesOf(whole));
    }
  });

  test('is interrupted again and again', async () => {
    const out = freshFolder();
    expect(await interrupted(out, 5)).toBe('aborted');
    for (const after of [6, 20, 21]) expect(await interrupted(out, after, { resume: true })).toBe('aborted');
    await train(smallRecipe(), { executor, seed: 5, out, resume: true });
    expect(bytesOf(out)).toEqual(bytesOf(whole));
    const runs = readFileSync(join(out, 'runs.jsonl'), 'utf8').trimEnd().split('\n');
    expect(runs.map((line) => [JSON.parse(line).from, JSON.parse(line).to, JSON.parse(line).ended])).toEqual([
      [0, 5, 'cancelled'],
      [5, 6, 'cancelled'],
      [6, 20, 'cancelled'],
      [20, 21, 'cancelled'],
      [21, 40, 'finished'],
    ]);
  });

  test('that has finished is resumed to the same end', async () => {
    const out = freshFolder();
    await train(smallRecipe(), { executor, seed: 5, out });
    await train(smallRecipe(), { executor, seed: 5, out, resume: true });
    expect(bytesOf(out)).toEqual(bytesOf(whole));
  });

  test('writes nothing without a folder, and gives the same weights', async () => {
    const bare = await train(smallRecipe(), { executor, seed: 5 });
    const model = loadModel(whole);
    for (const [name, { data }] of bare.weights) expect(readWeight(model.weights, name).data).toEqual(data);
  });
});

test('a process that is killed with signal 9 is resumed with the bytes of one that never was', {
  timeout: 60_000,
}, async () => {
  const steps = 1500;
  const whole = freshFolder();
  await train(smallRecipe(), { executor, seed: 5, steps, out: whole, threads: 1 });
  const killed = freshFolder();
  const logBytes = () => (existsSync(join(killed, 'log.jsonl')) ? readFileSync(join(killed, 'log.jsonl')).length : 0);
  for (const [at, resume] of [
    [20_000, 'no'],
    [60_000, 'resume'],
  ] as const) {
    const script = join(import.meta.dirname, 'fixtures/train-to-be-killed.ts');
    const child = spawn(process.execPath, [script, killed, String(steps), resume], { stdio: 'ignore' });
    const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on('close', (_, signal) => resolve(signal)));
    const watch = setInterval(() => {
      if (logBytes() > at) child.kill('SIGKILL');
    }, 1);
    expect(await ended).toBe('SIGKILL');
    clearInterval(watch);
  }
  // What a killed writer may leave: half a line, and a file that was to be renamed.
  writeFileSync(join(killed, 'log.jsonl'), '{"step":', { flag: 'a' });
  writeFileSync(join(killed, 'checkpoint.safetensors.0123456789ab.tmp'), 'half');
  await train(smallRecipe(), { executor, seed: 5, steps, out: killed, resume: true });
  expect(bytesOf(killed)).toEqual(bytesOf(whole));
  expect(readdirSync(killed).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

test.skipIf(executor.info.kind !== 'native')(
  `every instruction set gives the same bytes${executor.info.kind === 'native' ? '' : ' (skipped: the addon does not load here)'}`,
  async () => {
    const [here, portable] = [freshFolder(), freshFolder()];
    await train(smallRecipe(), { executor, seed: 5, out: here });
    const script = join(import.meta.dirname, 'fixtures/train-to-be-killed.ts');
    const env = { ...process.env, CIRCUITSCOPE_ISA: 'portable' };
    const child = spawn(process.execPath, [script, portable, '40', 'no'], { stdio: 'ignore', env });
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
    expect(bytesOf(portable)).toEqual(bytesOf(here));
    expect(readFileSync(join(portable, 'runs.jsonl'), 'utf8')).toContain('"path":"portable"');
  },
);

describe('what is refused', () => {
  test('a folder that holds a training or a model', async () => {
    const out = freshFolder();
    expect(await interrupted(out, 3)).toBe('aborted');
    expect((await refusal(() => train(smallRecipe(), { executor, seed: 5, out }))).code).toBe('folder_in_use');
    rmSync(join(out, 'checkpoint.safetensors'));
    writeFileSync(join(out, 'config.json'), '{}');
    expect((await refusal(() => train(smallRecipe(), { executor, seed: 5, out }))).code).toBe('folder_in_use');
    expect(readFileSync(join(out, 'config.json'), 'utf8')).toBe('{}');
  });

  test('to resume what is not there, or is another training', async () => {
    const out = freshFolder();
    const resume = (change: Partial<TrainOptions> = {}) =>
      refusal(() => train(smallRecipe(), { executor, seed: 5, out, resume: true, ...change }));
    expect((await resume()).code).toBe('nothing_to_resume');
    expect(await interrupted(out, 3)).toBe('aborted');
    expect((await resume({ seed: 6 })).message).toContain('whose seed is 5, not 6');
    expect((await resume({ steps: 41 })).message).toContain('whose steps is 40, not 41');
  });

  test('a log that lost what its checkpoint counts', async () => {
    const out = freshFolder();
    expect(await interrupted(out, 9)).toBe('aborted');
    truncateSync(join(out, 'log.jsonl'), 50);
    const { code } = await refusal(() => train(smallRecipe(), { executor, seed: 5, out, resume: true }));
    expect(code).toBe('bad_log');
  });

  test('a training that diverges: it says where, and the last checkpoint stays', async () => {
    const out = freshFolder();
    const { optimiser } = smallRecipe();
    const wild = smallRecipe({
      optimiser: { ...optimiser, learningRate: 1e30, clip: null },
      schedule: { kind: 'constant' },
    });
    const { code, message } = await refusal(() => train(wild, { executor, seed: 5, out }));
    expect([code, message]).toEqual([
      'diverged',
      expect.stringMatching(/not finite at step \d+; lower the learning rate/),
    ]);
    expect(readTrainingFolder(out)).toEqual({ recipe: 'small', seed: 5, steps: 40 });
  });

  test('a measurement that is no number', async () => {
    const recipe = smallRecipe({ evaluate: () => ({ score: Number.NaN }) });
    expect((await refusal(() => train(recipe, { executor, seed: 5 }))).code).toBe('bad_metric');
  });

  test('a recipe.json that names no recipe', async () => {
    const out = freshFolder();
    expect(await interrupted(out, 1)).toBe('aborted');
    writeFileSync(join(out, 'recipe.json'), '{"recipe":1}');
    expect((await refusal(async () => readTrainingFolder(out))).code).toBe('bad_training');
  });
});

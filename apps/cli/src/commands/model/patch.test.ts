import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensorsHeader, readStoredFloat64 } from '@circuitscope/core/checkpoints';
import { mustParse, Patching } from '@circuitscope/schema';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';

const MODEL = 'zoo:induction-handwritten';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const patch = (...words: string[]) =>
  circuitscope(['model', 'patch', '--model', MODEL, '--examples', '4', ...words], { cwd: folder });

async function patched(...words: string[]) {
  const { code, stdout, stderr } = await patch(...words, '--json');
  expect([code, stderr]).toEqual([0, '']);
  const document = JSON.parse(stdout);
  return { found: document.found === true, patching: mustParse(Patching, document.patching, 'patching') };
}

test('the two heads that were written by hand carry all of the difference, and the answer is kept', async () => {
  const { patching, found } = await patched('--grid', 'head', '--direction', 'noise');
  expect(found).toBe(false);
  const [grid] = patching.grids;
  expect(grid?.axes).toEqual(['layer', 'head']);
  expect(grid?.shape[0]).toBe(2);
  const share = (value: number) => (value - patching.base) / (patching.source - patching.base);
  // With what either of them writes on the corrupt prompts, the answer is gone.
  const [heads = 1] = grid?.shape.slice(1) ?? [];
  const carrying = grid?.values.flatMap((value, at) => (share(value) > 0.9 ? [at] : []));
  expect(carrying).toEqual([0, heads]);
  expect((await patched('--grid', 'head', '--direction', 'noise')).found).toBe(true);
  expect(patching.work.dense).toBeGreaterThan(0);
});

test('cells are written as a table, as tensors and as a record, never over another file', async () => {
  const { patching } = await patched('--grid', 'head-position', '--out', 'cells.csv');
  const [head = '', ...lines] = readFileSync(join(folder, 'cells.csv'), 'utf8').trimEnd().split('\r\n');
  expect(head).toBe('direction,site,layer,position,head,query,key,logit_diff,share');
  expect(lines).toHaveLength(patching.grids[0]?.values.length ?? 0);
  expect(Number(lines[1]?.split(',')[7])).toBe(patching.grids[0]?.values[1]);
  expect((await patch('--grid', 'head-position', '--out', 'cells.csv')).stderr).toContain('--force');

  await patched('--grid', 'head-position', '--out', 'cells.safetensors');
  const [tensor] = readSafetensorsHeader(join(folder, 'cells.safetensors')).tensors;
  expect(tensor?.name).toBe('denoise/z[layer,position,head]');
  expect([...(tensor ? readStoredFloat64(tensor) : [])]).toEqual(patching.grids[0]?.values);

  await patched('--grid', 'head-position', '--out', 'cells.json');
  expect(mustParse(Patching, JSON.parse(readFileSync(join(folder, 'cells.json'), 'utf8')), 'patching')).toEqual(
    patching,
  );
  expect((await patch('--out', 'cells.txt')).stderr).toContain('.csv, .safetensors, .json');
});

test('the text is a map of percents by layer and position, and what it cost', async () => {
  const { code, stdout } = await patch('--grid', 'block');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^resid_pre$/m);
  expect(stdout).toMatch(/^layer \\ position( +\d+)+$/m);
  expect(stdout).toMatch(/^0 +0 /m);
  expect(stdout).toMatch(/a forward pass per cell takes .* times as many/);
});

test('tokens of a task that says its words head the columns', async () => {
  const task = {
    kind: 'task',
    version: 1,
    name: 'two',
    tokenStrings: { 1: 'one', 2: 'two,"quoted"' },
    examples: [
      { clean: [0, 1, 2, 1], corrupt: [0, 2, 2, 1], answer: 2, wrongAnswer: 3 },
      { clean: [0, 3, 4, 3], corrupt: [0, 2, 4, 3], answer: 4, wrongAnswer: 3 },
    ],
    metric: { kind: 'logit_diff' },
  };
  writeFileSync(join(folder, 'task.json'), JSON.stringify(task));
  const { patching } = await patched('--task', 'task.json');
  expect(patching.tokens).toEqual({
    base: ['0', 'two,"quoted"', 'two,"quoted"', 'one'],
    source: ['0', 'one', 'two,"quoted"', 'one'],
  });
});

test('a pair of prompts in words is a task of one example, and all four words are needed', async () => {
  const words = ['--clean', 'a b c a', '--corrupt', 'a b c b', '--answer', 'b', '--wrong', 'c', '--grid', 'resid'];
  const { patching } = await patched(...words);
  expect([patching.examples, patching.grids[0]?.shape]).toEqual([1, [2, patching.tokens?.base.length]]);
  expect(patching.tokens?.source.slice(-4)).toEqual(['a', 'b', 'c', 'a']);
  const { code, stderr } = await patch(...words.slice(0, 4));
  expect([code, stderr]).toEqual([1, expect.stringContaining('needs --clean, --corrupt, --answer and --wrong')]);
  const short = await patch('--clean', 'a b', ...words.slice(2));
  expect(short.stderr).toContain('equally many');
});

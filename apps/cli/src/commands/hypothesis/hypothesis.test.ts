import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-hypothesis-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const run = (...words: string[]) => circuitscope(['hypothesis', ...words], { cwd: folder });
const model = ['--model', 'zoo:induction-attn-2l/seed-0', '--examples', '32'];

test('the claim passes and its rival fails by one rule, and the ledger holds both with their locks first', async () => {
  const { code, stdout } = await run('test', ...model, '--json');
  expect(code).toBe(0);
  const { tests } = JSON.parse(stdout);
  expect(tests.map(({ outcome }: { outcome: { verdict: string } }) => outcome.verdict)).toEqual([
    'corroborated',
    'falsified',
  ]);
  // The rules differ in the names of their criteria alone.
  const ruleOf = (at: number): string =>
    JSON.stringify(tests[at].hypothesis.decision).replace(/"criterion":"[^"]*"/g, '');
  expect(ruleOf(0)).toBe(ruleOf(1));
  const { entries } = JSON.parse((await run('list', '--json')).stdout);
  expect(entries.map(({ entry }: { entry: { body: { kind: string } } }) => entry.body.kind)).toEqual([
    'lock',
    'lock',
    'outcome',
    'outcome',
  ]);
  expect((await run('list')).stdout).toMatch(/corroborated[\s\S]*falsified/);
  const shown = await run('show', tests[0].lock.slice(7, 19));
  expect(shown.stdout).toContain('drawn from the lock');
  expect(shown.stdout).toContain('corroborated');
  expect((await run('verify')).stdout).toContain('4 entries and 2 locked hypotheses');
});

test('a record that was changed after its lock is found, by verify and by show', async () => {
  const { tests } = JSON.parse((await run('test', ...model, '--json')).stdout);
  const ledger = join(folder, '.circuitscope/ledger');
  const [first = ''] = readdirSync(ledger).sort();
  const path = join(ledger, first);
  writeFileSync(path, readFileSync(path, 'utf8').replace('induction-by-token', 'induction-by-taken'));
  for (const words of [['verify'], ['show', tests[1].lock]]) {
    expect(await run(...words)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^circuitscope: [^\n]*changed[^\n]*\n$/),
    });
  }
});

test('a revision names what it revises, and has to be another', async () => {
  const { tests } = JSON.parse((await run('test', ...model, '--json')).stdout);
  const [{ lock, hypothesis }] = tests;
  const file = join(folder, 'changed.json');
  writeFileSync(file, JSON.stringify(hypothesis));
  expect(await run('revise', lock, file)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('changes nothing'),
  });
  writeFileSync(file, JSON.stringify({ ...hypothesis, claim: 'They attend by content alone.' }));
  const revised = JSON.parse((await run('revise', lock, file, '--json')).stdout);
  expect(revised).toMatchObject({ parent: lock });
  const shown = JSON.parse((await run('show', revised.lock, '--json')).stdout);
  expect(shown.hypothesis).toMatchObject({ revision: 2, parent: lock });
  expect((await run('show', revised.lock)).stdout).toContain('Not tested yet.');
  expect(await run('revise', 'ffff', file)).toMatchObject({ code: 1, stderr: expect.stringContaining('No lock') });
});

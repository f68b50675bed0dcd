import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Hash } from '@circuitscope/schema';
import { closeWorkspace, openWorkspace, putRecord, putTensors } from '@circuitscope/workspace';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';

let folder: string;
let report: Hash;
let orphan: Hash;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-cli-'));
  const workspace = openWorkspace(join(folder, '.circuitscope'));
  report = putRecord(workspace, { kind: 'report', name: 'first \u001b[31mreport\u009b', value: 0.5 }).hash;
  orphan = (await putTensors(workspace, [{ name: 'd', dtype: 'f32', shape: [2], data: Float32Array.of(1, 2) }])).hash;
  closeWorkspace(workspace);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const run = (...words: string[]) => circuitscope(['workspace', ...words], { cwd: folder });
// biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is what is tested
const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

test('list shows what is there, by kind if wanted, and no name steers the terminal', async () => {
  const { code, stdout } = await run('list');
  expect(code).toBe(0);
  expect(stdout).toContain(report.slice(7, 19));
  expect(stdout).toContain('tensors');
  expect(stdout).not.toMatch(controls);
  const { artefacts } = JSON.parse((await run('list', '--kind', 'report', '--json')).stdout);
  expect(artefacts).toMatchObject([{ hash: report, kind: 'report', lastRunAt: null }]);
  expect((await run('list', '--kind', 'nothing')).stdout).toContain('holds nothing of kind nothing');
});

test('the folder is named by option before environment', async () => {
  const { stdout } = await circuitscope(['workspace', 'list', '--json'], {
    cwd: '/',
    env: { CIRCUITSCOPE_WORKSPACE: join(folder, '.circuitscope') },
  });
  expect(JSON.parse(stdout).artefacts).toHaveLength(2);
  const other = await circuitscope(['workspace', 'list', '--workspace', join(folder, 'other')], {
    cwd: folder,
    env: { CIRCUITSCOPE_WORKSPACE: join(folder, '.circuitscope') },
  });
  expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining('There is no workspace at') });
});

test('show prints a verified record or the headers of tensors, by the first digits of a hash', async () => {
  const { record } = JSON.parse((await run('show', report.slice(7, 17), '--json')).stdout);
  expect(record).toMatchObject({ kind: 'report', value: 0.5 });
  const text = await run('show', report);
  expect(text.stdout).toContain('"value": 0.5');
  expect(text.stdout).not.toMatch(controls);
  expect(JSON.parse((await run('show', orphan, '--json')).stdout).record.tensors).toEqual([
    { name: 'd', dtype: 'f32', shape: [2] },
  ]);
  expect(await run('show', 'ffffffff')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^circuitscope: [^\n]+\n$/),
  });
});

test('gc says what would go, then removes it, and spares the young by default', async () => {
  expect((await run('gc')).stdout).toBe('Removed 0 files, 0 B.\n');
  const dry = await run('gc', '--dry-run', '--older-than', '0');
  expect(dry.stdout).toContain(orphan.slice(7));
  expect(dry.stdout).toContain('Would remove 1 file');
  expect(JSON.parse((await run('gc', '--older-than', '0', '--json')).stdout).removed).toHaveLength(1);
  expect(JSON.parse((await run('list', '--json')).stdout).artefacts).toMatchObject([{ hash: report }]);
});

test('rebuild counts what it lists', async () => {
  expect(await run('rebuild')).toMatchObject({ code: 0, stdout: '2 artefacts listed.\n' });
  expect(JSON.parse((await run('rebuild', '--json')).stdout)).toMatchObject({
    kind: 'workspace_rebuild',
    artefacts: 2,
    unreadable: [],
  });
});

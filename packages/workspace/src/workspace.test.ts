import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readStored } from '@circuitscope/core/checkpoints';
import { referenceExecutor } from '@circuitscope/core/plan';
import { CircuitscopeError, type Hash, parseRunRecord } from '@circuitscope/schema';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { actionKey, digestJson } from './action-key.ts';
import { gc } from './gc.ts';
import { actionsOf, list, resolveHash, runsOf } from './list.ts';
import { pathOf } from './paths.ts';
import { rebuild } from './rebuild.ts';
import { findByAction, getJson, getRecord, putRecord } from './records.ts';
import { runRecord, saveRun } from './runs.ts';
import { getTensors, putTensors } from './tensors.ts';
import { closeWorkspace, openWorkspace, type Workspace, workspaceDir } from './workspace.ts';

let folder: string;
let workspace: Workspace;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-workspace-'));
  workspace = openWorkspace(join(folder, 'w'));
});
afterEach(() => {
  closeWorkspace(workspace);
  rmSync(folder, { recursive: true, force: true });
});

const asIs = (value: unknown) => ({ ok: true, value }) as const;
const artefact = (hash: Hash, ending: '.json' | '.safetensors' = '.json') =>
  pathOf(workspace.dir, 'artefacts', hash, ending);
const key = (question: string): Hash =>
  actionKey({ kind: 'test', models: [], parameters: { question }, data: [], numericsVersion: '1', toolVersion: '1' });
const rows = () =>
  ['artefacts', 'actions', 'kept', 'runs'].map((table) =>
    workspace.catalogue
      .prepare(`SELECT * FROM ${table} ORDER BY 1`)
      .all()
      .map((row) => ({ ...row })),
  );
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof CircuitscopeError) return error.code;
    throw error;
  }
  return 'nothing was thrown';
};
const run = (question: string, contentDigest: Hash, startedAt = 0) =>
  runRecord({
    actionKey: key(question),
    contentDigest,
    startedAt,
    wallTimeMs: 12.5,
    executor: referenceExecutor().info,
    command: ['demo', '--json'],
  });

describe('records', () => {
  test('equal records are one file with equal bytes, however their keys are ordered and whenever they are made', () => {
    const first = putRecord(workspace, { kind: 'report', name: 'a', value: 0.5 });
    const second = putRecord(workspace, { value: 0.5, name: 'a', kind: 'report' });
    expect(second.hash).toBe(first.hash);
    expect(readFileSync(artefact(first.hash), 'utf8')).toBe('{"kind":"report","name":"a","value":0.5}');
    expect(first.hash).toBe(digestJson({ kind: 'report', name: 'a', value: 0.5 }));
    expect(list(workspace)).toHaveLength(1);
  });

  test('a record comes back through its parser, and one that the parser refuses is an error with the reason', () => {
    const { hash } = putRecord(workspace, { kind: 'report', value: 1 });
    expect(getRecord(workspace, hash, asIs)).toEqual({ kind: 'report', value: 1 });
    expect(codeOf(() => getRecord(workspace, hash, parseRunRecord))).toBe('invalid_record');
  });

  test('what is no JSON, or has no kind, is not stored', () => {
    expect(codeOf(() => putRecord(workspace, { kind: 'report', value: Number.NaN }))).toBe('not_json');
    expect(codeOf(() => putRecord(workspace, { value: 1 }))).toBe('bad_record');
    expect(list(workspace)).toEqual([]);
  });

  test('a changed artefact is found out and named', () => {
    const { hash } = putRecord(workspace, { kind: 'report', value: 1 });
    writeFileSync(artefact(hash), '{"kind":"report","value":2}');
    expect(codeOf(() => getJson(workspace, hash))).toBe('corrupt_artefact');
    expect(() => getJson(workspace, hash)).toThrow(artefact(hash));
  });

  test('a missing artefact, a folder in its place and a link out of the workspace are typed errors', () => {
    const { hash } = putRecord(workspace, { kind: 'report', value: 1 });
    rmSync(artefact(hash));
    expect(codeOf(() => getJson(workspace, hash))).toBe('missing_artefact');
    mkdirSync(artefact(hash));
    expect(codeOf(() => getJson(workspace, hash))).toBe('bad_artefact');
    rmSync(artefact(hash), { recursive: true });
    symlinkSync(join(folder, 'elsewhere'), artefact(hash));
    expect(codeOf(() => getJson(workspace, hash))).toBe('bad_artefact');
  });

  test('no text becomes a path unless it is a hash', () => {
    for (const text of ['sha256:../../etc/passwd', '..', '', `sha256:${'A'.repeat(64)}`, `sha256:${'a'.repeat(63)}/`]) {
      expect(codeOf(() => getJson(workspace, text as Hash))).toBe('bad_hash');
      expect(codeOf(() => findByAction(workspace, text as Hash))).toBe('bad_hash');
      expect(codeOf(() => resolveHash(workspace, text))).toBe('bad_hash');
    }
  });

  test('a hash is found by its first digits, and too few or unknown digits are errors', () => {
    const { hash } = putRecord(workspace, { kind: 'report', value: 1 });
    expect(resolveHash(workspace, hash)).toBe(hash);
    expect(resolveHash(workspace, hash.slice(7, 15))).toBe(hash);
    expect(codeOf(() => resolveHash(workspace, hash.slice(7, 10)))).toBe('bad_hash');
    expect(codeOf(() => resolveHash(workspace, 'ffffffffffff'))).toBe('unknown_hash');
  });
});

describe('actions', () => {
  test('the key of an action does not depend on the order of its parameters, and does on each of them', () => {
    const action = { kind: 'test', models: [], data: [], numericsVersion: '1', toolVersion: '1' };
    expect(actionKey({ ...action, parameters: { a: 1, b: 2 } })).toBe(
      actionKey({ ...action, parameters: { b: 2, a: 1 } }),
    );
    expect(actionKey({ ...action, parameters: { a: 1, b: 2 } })).not.toBe(
      actionKey({ ...action, parameters: { a: 1, b: 3 } }),
    );
    expect(actionKey({ ...action, parameters: {} })).not.toBe(
      actionKey({ ...action, parameters: {}, numericsVersion: '2' }),
    );
  });

  test('work that is done is found by what was asked, also by another process without a catalogue', () => {
    expect(findByAction(workspace, key('q'))).toBeNull();
    const { hash, replaced } = putRecord(workspace, { kind: 'report', value: 1 }, { actionKey: key('q') });
    expect(replaced).toBeNull();
    expect(findByAction(workspace, key('q'))).toBe(hash);
    closeWorkspace(workspace);
    rmSync(join(workspace.dir, 'catalogue.sqlite'));
    workspace = openWorkspace(workspace.dir);
    expect(findByAction(workspace, key('q'))).toBe(hash);
    expect(actionsOf(workspace, hash)).toEqual([key('q')]);
  });

  test('another result of the same action replaces the first and says which', () => {
    const first = putRecord(workspace, { kind: 'report', value: 1 }, { actionKey: key('q') });
    const second = putRecord(workspace, { kind: 'report', value: 2 }, { actionKey: key('q') });
    expect(second.replaced).toBe(first.hash);
    expect(findByAction(workspace, key('q'))).toBe(second.hash);
  });

  test('an action whose result is gone, or whose file is damaged, counts as not done', () => {
    const { hash } = putRecord(workspace, { kind: 'report', value: 1 }, { actionKey: key('q') });
    writeFileSync(pathOf(workspace.dir, 'actions', key('q'), '.json'), '{"actionKey"');
    expect(findByAction(workspace, key('q'))).toBeNull();
    putRecord(workspace, { kind: 'report', value: 1 }, { actionKey: key('q') });
    expect(findByAction(workspace, key('q'))).toBe(hash);
    rmSync(artefact(hash));
    expect(findByAction(workspace, key('q'))).toBeNull();
  });
});

describe('runs', () => {
  test('two runs of one action are two records of one result, the last first', () => {
    const { hash } = putRecord(workspace, { kind: 'report', value: 1 }, { actionKey: key('q') });
    saveRun(workspace, run('q', hash, 1000));
    saveRun(workspace, run('q', hash, 2000));
    expect(runsOf(workspace, hash).map(({ startedAt }) => startedAt)).toEqual([
      '1970-01-01T00:00:02.000Z',
      '1970-01-01T00:00:01.000Z',
    ]);
    expect(list(workspace)).toMatchObject([{ hash, kind: 'report', lastRunAt: '1970-01-01T00:00:02.000Z' }]);
  });

  test('a run record of this process passes its own schema', () => {
    const { hash } = putRecord(workspace, { kind: 'report', value: 1 });
    const parsed = parseRunRecord(JSON.parse(JSON.stringify(run('q', hash))));
    expect(parsed.ok && parsed.value.host.executor).toBe('reference');
  });
});

describe('tensors', () => {
  const values = Float32Array.of(1, -0, 3);
  const tensors = [{ name: 'direction', dtype: 'f32', shape: [3], data: values }] as const;

  test('tensors come back with their bytes, and equal tensors are one file', async () => {
    const { hash } = await putTensors(workspace, tensors, { name: 'previous token' });
    expect((await putTensors(workspace, tensors, { name: 'previous token' })).hash).toBe(hash);
    const [stored] = (await getTensors(workspace, hash)).tensors;
    expect(stored && readStored(stored)).toEqual(values);
    expect(list(workspace)).toMatchObject([{ hash, kind: 'tensors', name: 'previous token' }]);
    expect(readdirSync(join(workspace.dir, 'artefacts')).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('one changed byte is found out', async () => {
    const { hash } = await putTensors(workspace, tensors);
    const bytes = readFileSync(artefact(hash, '.safetensors'));
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(artefact(hash, '.safetensors'), bytes);
    await expect(getTensors(workspace, hash)).rejects.toMatchObject({ code: 'corrupt_artefact' });
  });
});

describe('the catalogue', () => {
  test('is made again from the files with the same rows', async () => {
    const { hash: direction } = await putTensors(workspace, [
      { name: 'd', dtype: 'f32', shape: [1], data: Float32Array.of(1) },
    ]);
    const { hash } = putRecord(workspace, { kind: 'report', id: 'r', direction }, { actionKey: key('q') });
    putRecord(workspace, { kind: 'task', name: 't' });
    saveRun(workspace, run('q', hash));
    const before = rows();
    expect(before.map((table) => table.length)).toEqual([3, 1, 1, 1]);
    expect(rebuild(workspace)).toEqual({ artefacts: 3, unreadable: [] });
    expect(rows()).toEqual(before);
    closeWorkspace(workspace);
    for (const name of readdirSync(workspace.dir).filter((entry) => entry.startsWith('catalogue')))
      rmSync(join(workspace.dir, name));
    workspace = openWorkspace(workspace.dir);
    expect(rows()).toEqual(before);
  });

  test('that is damaged, or of another version, is made again when the workspace opens', () => {
    putRecord(workspace, { kind: 'report', value: 1 });
    const before = rows();
    workspace.catalogue.exec('PRAGMA user_version = 99');
    closeWorkspace(workspace);
    workspace = openWorkspace(workspace.dir);
    expect(rows()).toEqual(before);
    closeWorkspace(workspace);
    for (const name of readdirSync(workspace.dir).filter((entry) => entry.startsWith('catalogue')))
      rmSync(join(workspace.dir, name));
    writeFileSync(
      join(workspace.dir, 'catalogue.sqlite'),
      'this is no database, but it is long enough to look like one'.repeat(40),
    );
    workspace = openWorkspace(workspace.dir);
    expect(rows()).toEqual(before);
  });

  test('lists what can be read and names what cannot', () => {
    const good = putRecord(workspace, { kind: 'report', value: 1 });
    const bad = putRecord(workspace, { kind: 'report', value: 2 });
    writeFileSync(artefact(bad.hash), '[[[');
    writeFileSync(join(workspace.dir, 'artefacts', 'notes.txt'), 'mine');
    const foreign = join(workspace.dir, 'artefacts', 'zz');
    mkdirSync(foreign);
    writeFileSync(join(foreign, 'x.json'), '{}');
    expect(rebuild(workspace)).toEqual({ artefacts: 1, unreadable: [artefact(bad.hash)] });
    expect(list(workspace).map(({ hash }) => hash)).toEqual([good.hash]);
  });
});

describe('garbage collection', () => {
  const now = { graceMs: 0 };

  test('spares results, what is kept, and what they refer to at any distance; removes the rest', async () => {
    const { hash: direction } = await putTensors(workspace, [
      { name: 'd', dtype: 'f32', shape: [1], data: Float32Array.of(1) },
    ]);
    const { hash: orphan } = await putTensors(workspace, [
      { name: 'o', dtype: 'f32', shape: [1], data: Float32Array.of(2) },
    ]);
    const feature = putRecord(workspace, { kind: 'feature', direction }, { keep: false });
    const circuit = putRecord(
      workspace,
      { kind: 'circuit', features: [{ hash: feature.hash }] },
      { actionKey: key('q') },
    );
    const task = putRecord(workspace, { kind: 'task', name: 't' });
    const loose = putRecord(workspace, { kind: 'draft' }, { keep: false });
    const expected = [artefact(orphan, '.safetensors'), artefact(loose.hash)].sort();
    expect(
      gc(workspace, { ...now, dryRun: true })
        .map(({ path }) => path)
        .sort(),
    ).toEqual(expected);
    expect(list(workspace)).toHaveLength(6);
    expect(
      gc(workspace, now)
        .map(({ path }) => path)
        .sort(),
    ).toEqual(expected);
    expect(
      list(workspace)
        .map(({ hash }) => hash)
        .sort(),
    ).toEqual([direction, feature.hash, circuit.hash, task.hash].sort());
    expect(gc(workspace, now)).toEqual([]);
  });

  test('a result that another one replaced goes', () => {
    const first = putRecord(workspace, { kind: 'report', value: 1 }, { actionKey: key('q') });
    const second = putRecord(workspace, { kind: 'report', value: 2 }, { actionKey: key('q') });
    gc(workspace, now);
    expect(list(workspace).map(({ hash }) => hash)).toEqual([second.hash]);
    expect(existsSync(artefact(first.hash))).toBe(false);
  });

  test('with a list to keep, only that and what it refers to stays, and actions and runs of the others go', () => {
    const part = putRecord(workspace, { kind: 'part' }, { keep: false });
    const wanted = putRecord(workspace, { kind: 'report', part: part.hash }, { actionKey: key('a') });
    const other = putRecord(workspace, { kind: 'report', value: 2 }, { actionKey: key('b') });
    saveRun(workspace, run('a', wanted.hash));
    saveRun(workspace, run('b', other.hash));
    gc(workspace, { ...now, keep: [wanted.hash] });
    expect(
      list(workspace)
        .map(({ hash }) => hash)
        .sort(),
    ).toEqual([part.hash, wanted.hash].sort());
    expect(findByAction(workspace, key('a'))).toBe(wanted.hash);
    expect(findByAction(workspace, key('b'))).toBeNull();
    expect(runsOf(workspace, other.hash)).toEqual([]);
    expect(runsOf(workspace, wanted.hash)).toHaveLength(1);
    expect(codeOf(() => gc(workspace, { keep: [other.hash] }))).toBe('missing_artefact');
  });

  test('what is younger than the grace time stays, and storing something again makes it young', () => {
    putRecord(workspace, { kind: 'draft' }, { keep: false });
    expect(gc(workspace, { graceMs: 60_000 })).toEqual([]);
  });

  test('a half-written file of a killed process is invisible, and is swept when it is old', () => {
    const { hash } = putRecord(workspace, { kind: 'report', value: 1 });
    const half = `${artefact(hash)}.0123456789ab.tmp`;
    writeFileSync(half, '{"kind":"rep');
    expect(rebuild(workspace)).toEqual({ artefacts: 1, unreadable: [] });
    expect(gc(workspace)).toEqual([]);
    expect(gc(workspace, { graceMs: 0 })).toEqual([{ path: half, bytes: 12 }]);
    expect(getJson(workspace, hash)).toEqual({ kind: 'report', value: 1 });
  });
});

describe('several processes', () => {
  const script = (body: string) => `
    import { openWorkspace, putRecord, putTensors, closeWorkspace, actionKey } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))};
    const workspace = openWorkspace(${JSON.stringify(workspace.dir)});
    ${body}
    closeWorkspace(workspace);`;
  const start = (body: string) => {
    const child = spawn(process.execPath, ['-e', script(body)], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (text) => {
      output += String(text);
    });
    child.stderr.on('data', (text) => {
      output += String(text);
    });
    const ended = new Promise<{ status: number | null; output: string }>((resolve) =>
      child.on('close', (status) => resolve({ status, output })),
    );
    return { child, ended };
  };

  test('write the same and different content at once, and all of it is there', { timeout: 60_000 }, async () => {
    closeWorkspace(workspace);
    rmSync(workspace.dir, { recursive: true });
    const body = (own: number) => `
      for (let i = 0; i < 40; i++) {
        putRecord(workspace, { kind: 'shared', i }, { actionKey: actionKey({ kind: 'q', models: [], parameters: i, data: [], numericsVersion: '1', toolVersion: '1' }) });
        putRecord(workspace, { kind: 'own', i, own: ${own} });
        if (i % 10 === 0) await putTensors(workspace, [{ name: 't', dtype: 'f32', shape: [1], data: Float32Array.of(i) }]);
      }`;
    const ended = await Promise.all([start(body(1)).ended, start(body(2)).ended]);
    expect(ended).toEqual([
      { status: 0, output: '' },
      { status: 0, output: '' },
    ]);
    workspace = openWorkspace(workspace.dir);
    const before = rows();
    expect(before.map((table) => table.length)).toEqual([40 + 80 + 4, 40, 80, 0]);
    expect(rebuild(workspace)).toEqual({ artefacts: 124, unreadable: [] });
    expect(rows()).toEqual(before);
  });

  test('a process that is killed while it writes leaves only whole artefacts', { timeout: 60_000 }, async () => {
    const { child, ended } = start(`
      const text = 'x'.repeat(1 << 20);
      console.log('started');
      for (let i = 0; ; i++) putRecord(workspace, { kind: 'big', i, text });`);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await new Promise((resolve) => setTimeout(resolve, 300));
    child.kill('SIGKILL');
    await ended;
    const { artefacts, unreadable } = rebuild(workspace);
    expect(unreadable).toEqual([]);
    expect(artefacts).toBeGreaterThan(0);
    for (const { hash } of list(workspace)) expect(getRecord(workspace, hash, asIs)).toMatchObject({ kind: 'big' });
  });
});

test('the folder is the one named, else that of the environment, else .circuitscope', () => {
  const cwd = join('/', 'home', 'me');
  expect(workspaceDir({ dir: 'here', env: { CIRCUITSCOPE_WORKSPACE: '/there' }, cwd })).toBe(join(cwd, 'here'));
  expect(workspaceDir({ env: { CIRCUITSCOPE_WORKSPACE: '/there' }, cwd })).toBe('/there');
  expect(workspaceDir({ env: {}, cwd })).toBe(join(cwd, '.circuitscope'));
});

test('a file in place of the folder is a typed error', () => {
  const path = join(folder, 'file');
  writeFileSync(path, '');
  expect(codeOf(() => openWorkspace(path))).toBe('bad_workspace');
});

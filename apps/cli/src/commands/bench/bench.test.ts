import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseNative } from '@circuitscope/core/kernels';
import { parseBenchFile } from '@circuitscope/schema';
import { afterAll, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';

// `run.jsonl` is what `circuitscope bench kernels --only sgemm-512,softmax --rounds 3 --threads 1 --out run.jsonl` wrote.
const recorded = join(import.meta.dirname, 'fixtures/run.jsonl');
const content = readFileSync(recorded, 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'circuitscope-bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const inFolder = (...words: readonly string[]) => circuitscope(words, { cwd: folder });
const choice = await chooseNative();
const reason = choice.kind === 'missing' ? ` (skipped: ${choice.reason})` : '';

describe('a report', () => {
  test('of a recorded run reads as recorded', async () => {
    const { code, stdout } = await inFolder('bench', 'report', recorded);
    expect(code).toBe(0);
    expect(stdout).toMatchSnapshot();
  });

  test('for services holds every right result with its median', async () => {
    const results = parseBenchFile(content, 'run.jsonl').flatMap((section) => section.results);
    const medians = results.flatMap(({ outcome }) => (outcome.kind === 'timed' ? [outcome.medianNs] : []));
    expect(medians.length).toBe(results.length);
    const github = JSON.parse((await inFolder('bench', 'report', recorded, '--as', 'github')).stdout);
    expect(github.map(({ value }: { value: number }) => value)).toEqual(medians);
    expect(github[0]).toMatchObject({ name: 'sgemm-512 · circuitscope · 1 threads · hot', unit: 'ns' });
    const bencher = JSON.parse((await inFolder('bench', 'report', recorded, '--as', 'bencher')).stdout);
    for (const [at, entry] of Object.values<{ latency: { [end: string]: number } }>(bencher).entries()) {
      const { value, lower_value: low = 0, upper_value: high = 0 } = entry.latency;
      expect(value).toBe(medians[at]);
      expect(low <= Number(value) && Number(value) <= high).toBe(true);
    }
  });

  test('goes to a file once, and over it only with --force', async () => {
    const report = (...words: readonly string[]) => inFolder('bench', 'report', recorded, '--out', 'run.md', ...words);
    expect((await report()).code).toBe(0);
    expect(await report()).toMatchObject({ code: 1, stderr: expect.stringContaining('run.md exists') });
    expect((await report('--force', '--json')).code).toBe(0);
    expect(readFileSync(join(folder, 'run.md'), 'utf8')).toBe((await inFolder('bench', 'report', recorded)).stdout);
  });
});

describe('a roofline', () => {
  const draw = (...words: readonly string[]) => inFolder('bench', 'report', recorded, '--svg', 'roof.svg', ...words);

  test('goes to a file, with a point for each right result that has operations', async () => {
    expect((await draw()).code).toBe(0);
    const svg = readFileSync(join(folder, 'roof.svg'), 'utf8');
    const results = parseBenchFile(content, 'run.jsonl').flatMap((section) => section.results);
    expect(svg.match(/<title>/g)).toHaveLength(results.filter(({ flops }) => flops > 0).length);
    expect(await draw()).toMatchObject({ code: 1, stderr: expect.stringContaining('roof.svg exists') });
    expect((await draw('--force', '--threads', '1')).code).toBe(0);
  });

  test('of threads that were not measured, or threads without a picture, is a mistake', async () => {
    const none = await draw('--force', '--threads', '7');
    expect([none.code, none.stderr]).toEqual([1, expect.stringContaining('one of those that were measured, 1')]);
    const alone = await inFolder('bench', 'report', recorded, '--threads', '1');
    expect([alone.code, alone.stderr]).toEqual([1, expect.stringContaining('with --svg')]);
  });
});

describe('a comparison', () => {
  test('of a run with itself finds no difference, times included', async () => {
    const { code, stdout } = await inFolder('bench', 'compare', recorded, recorded, '--json');
    expect(code).toBe(0);
    const { sameMachine, rows, onlyA, onlyB } = JSON.parse(stdout);
    expect([sameMachine, onlyA, onlyB]).toEqual([true, [], []]);
    for (const { times, shares } of rows) expect([times.speedup, shares.a]).toEqual([1, shares.b]);
  });

  test('with another machine shows no times', async () => {
    const [head = '', ...rest] = content.split('\n');
    const run = JSON.parse(head);
    run.machine.fingerprint = 'elsewhere';
    writeFileSync(join(folder, 'other.jsonl'), [JSON.stringify(run), ...rest].join('\n'));
    const { stdout } = await inFolder('bench', 'compare', recorded, 'other.jsonl');
    expect(stdout).toContain('The machines differ');
    expect(stdout).not.toMatch(/speedup|\bms\b/);
  });
});

describe('a mistake is one line and exit code 1', () => {
  writeFileSync(join(folder, 'bad.jsonl'), '{"kind":"run"}\n');
  test.each([
    ['a file that is not there', ['report', 'none.jsonl'], 'There is no file none.jsonl; circuitscope bench kernels'],
    ['a file of something else', ['report', 'bad.jsonl'], 'bad.jsonl is no file of benchmark results: line 1'],
    ['an operation that is not', ['kernels', '--only', 'dgemm'], 'There is no operation dgemm'],
    ['half a thread', ['kernels', '--only', 'softmax', '--threads', '0.5'], '--threads must be numbers from 1 to 256'],
    ['an unknown peer', ['kernels', '--only', 'softmax', '--peers', 'blas'], '--peers must be some of numpy'],
    ['a peer without its Python', ['kernels', '--peers', 'numpy'], 'numpy cannot take part: CIRCUITSCOPE_PYTHON'],
    ['a runtime that is not installed', ['kernels', '--peers', 'onnxruntime'], 'onnxruntime cannot take part:'],
    ['one round', ['kernels', '--rounds', '1'], '--rounds must be a whole number from 2'],
    ['an unknown form', ['report', 'run.jsonl', '--as', 'xml'], '--as must be one of'],
  ])('%s', async (_, words, message) => {
    const { code, stdout, stderr } = await inFolder('bench', ...words);
    expect([code, stdout]).toEqual([1, '']);
    // Without the addon that is what is said first.
    if (choice.kind === 'native' || words[0] === 'report') expect(stderr).toContain(message);
    expect(stderr.trimEnd()).not.toContain('\n');
  });
});

describe.skipIf(choice.kind === 'missing')(`on this machine${reason}`, () => {
  test('a run that was cut off goes on where it was, and says when nothing is left', async () => {
    const measure = () =>
      inFolder('bench', 'kernels', '--only', 'layer-norm', '--threads', '1', '--rounds', '2', '--out', 'l.jsonl');
    const path = join(folder, 'l.jsonl');
    const before = await measure();
    // Where other programs leave no quiet moment, nothing is measured, and that is what must be said.
    if (before.code !== 0) {
      expect(before.stderr).toMatch(/^circuitscope: The clock moved by \d+ %/);
      return;
    }
    const [first] = parseBenchFile(readFileSync(path, 'utf8'), 'l.jsonl');
    expect(first?.results.map(({ outcome }) => outcome.kind)).not.toContain('wrong');
    expect(first?.run.machine.peaks.every(({ flops }) => flops > 0)).toBe(true);
    const cut = readFileSync(path, 'utf8').slice(0, -20);
    writeFileSync(path, cut);
    const again = await measure();
    if (again.code !== 0) {
      expect(again.stderr).toMatch(/^circuitscope: The clock moved by \d+ %/);
      return;
    }
    const sections = parseBenchFile(readFileSync(path, 'utf8'), 'l.jsonl');
    expect(sections).toHaveLength(2);
    const undisturbed = first?.results.every(({ outcome }) => outcome.kind === 'timed');
    if (undisturbed) expect(again.stderr).toContain('holds all of it already');
  }, 240_000);
});

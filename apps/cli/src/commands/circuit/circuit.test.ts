import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashTask } from '@circuitscope/core/circuits';
import { type Circuit, Circuit as CircuitSchema, mustParse, type Task } from '@circuitscope/schema';
import { zooMember } from '@circuitscope/zoo';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { circuitscope } from '../../recorded-io.ts';
import { sharedFolder, sharedPath, withoutShared } from '../../shared-data.ts';

const HANDWRITTEN = 'zoo:induction-handwritten';

/** What was written by hand, and what of it resampling can see: positions are the same in clean and corrupt prompts. */
const WRITTEN = ['0.0→1.0.K', '1.0→logits', 'input→0.0.K', 'input→0.0.Q', 'input→0.0.V', 'input→1.0.Q', 'input→1.0.V'];
const RESAMPLED = ['0.0→1.0.K', '1.0→logits', 'input→0.0.V', 'input→1.0.Q', 'input→1.0.V'];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'circuitscope-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const circuit = (...words: string[]) => circuitscope(['circuit', ...words], { cwd: folder });

async function json(...words: string[]) {
  const { code, stdout, stderr } = await circuit(...words, '--json');
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

async function mistake(...words: string[]) {
  const { code, stdout, stderr } = await circuit(...words);
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^circuitscope: [^\n]+\n$/);
  return stderr;
}

const inside = (found: Circuit) =>
  found.edges
    .filter(({ inCircuit }) => inCircuit)
    .map(({ id }) => id)
    .sort();
const exact = (ablation: string, ...more: string[]) => [
  'discover',
  '--model',
  HANDWRITTEN,
  '--metric',
  'accuracy',
  '--ablation',
  ablation,
  '--threshold',
  '0',
  ...more,
];
const scores = (found: Circuit) =>
  Object.fromEntries(found.evidence.flatMap((one) => (one.kind === 'score' ? [[one.name, one.value]] : [])));

function write(name: string, value: unknown): string {
  writeFileSync(join(folder, name), JSON.stringify(value));
  return name;
}

const taskOf = (seed: number, examples = 32): Task => zooMember('induction-handwritten').task({ seed, examples });

describe('circuit discover', () => {
  test('by accuracy and zero ablation exactly the seven written edges, and no proof yet', async () => {
    const { kind, version, circuit: found } = await json(...exact('zero'));
    expect([kind, version]).toEqual(['circuit_discovery', 1]);
    expect(mustParse(CircuitSchema, found, 'circuit')).toEqual(found);
    expect(inside(found)).toEqual(WRITTEN);
    expect(found.edges).toHaveLength(12);
    expect(found.metrics).toBeUndefined();
    expect(scores(found)).toEqual({
      'accuracy, whole model': 1,
      'accuracy, circuit alone': 1,
      'accuracy, every edge cut': 0,
    });
  });

  test('by accuracy and resampling the five that two prompts can tell apart', async () => {
    const { circuit: found } = await json(...exact('resample'));
    expect(inside(found)).toEqual(RESAMPLED);
    expect(scores(found)['accuracy, circuit alone']).toBe(1);
  });

  test('the logit difference of the whole model is 4, and its cut key path takes 5.33', async () => {
    const { circuit: found } = await json(
      'discover',
      '--model',
      HANDWRITTEN,
      '--metric',
      'logit_diff',
      '--ablation',
      'zero',
    );
    expect(scores(found)['logit_diff, whole model']).toBe(4);
    const key = found.edges.find(({ id }: { id: string }) => id === '0.0→1.0.K');
    const cut = key.weights.find(
      (weight: { kind: string; ablation?: string }) => weight.kind === 'patch_effect' && weight.ablation === 'zero',
    );
    expect(cut).toMatchObject({ sign: 'clean_minus_cut', unit: 'logit_diff', n: 64 });
    expect(4 - cut.value).toBeCloseTo(-1.33, 1);
  });

  test('the same question is found again, another one is computed, --again computes anew to the same bytes', async () => {
    const first = await json(...exact('zero'));
    const second = await json(...exact('zero'));
    const anew = await json(...exact('zero', '--again'));
    const other = await json(...exact('zero', '--seed', '1'));
    expect([first.found, second.found, anew.found, other.found]).toEqual([false, true, false, false]);
    expect([second.hash, anew.hash]).toEqual([first.hash, first.hash]);
    expect(other.hash).not.toBe(first.hash);
    const { stdout } = await circuitscope(['workspace', 'show', first.hash, '--json'], { cwd: folder });
    expect(JSON.parse(stdout)).toMatchObject({
      record: { id: first.circuit.id },
      actions: [expect.stringMatching(/^sha256:/)],
    });
  });

  test('a task file gives the examples; metric and ablation can be asked for', async () => {
    const task = taskOf(7);
    const given = await json(
      'discover',
      '--model',
      HANDWRITTEN,
      '--task',
      write('task.json', task),
      '--ablation',
      'zero',
      '--threshold',
      '0',
    );
    expect(inside(given.circuit)).toEqual(WRITTEN);
    expect(given.circuit.provenance.data).toEqual([{ hash: hashTask(task), n: 32, how: 'given; found the circuit' }]);
    expect(given.task).toBe(hashTask(task));
    const loss = await json(
      'discover',
      '--model',
      HANDWRITTEN,
      '--task',
      'task.json',
      '--metric',
      'loss',
      '--recover',
      '0.95',
    );
    expect(loss.circuit).toMatchObject({
      task: { metric: 'loss' },
      prune: { rule: 'backward', threshold: 0.95, ablation: 'resample' },
    });
    const [whole, alone, empty] = Object.values<number>(scores(loss.circuit));
    expect((alone! - empty!) / (whole! - empty!)).toBeGreaterThan(0.9);
  });

  test('text shows the edges with their weights, the ends and the hash', async () => {
    const { code, stdout } = await circuit(...exact('zero'));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^0\.0→1\.0\.K +1\.000 +0\.\d+ +40\.00 +0\.90 +0\.354 \(\+0\.195\)$/m);
    expect(stdout).toContain(
      'accuracy, whole model 1.000; accuracy, circuit alone 1.000; accuracy, every edge cut 0.000',
    );
    expect(stdout).toMatch(/^Kept: circuit sha256:[0-9a-f]{64}$/m);
  });

  test('a task that is wrong is one line with the place', async () => {
    const task = taskOf(7);
    const bend = (change: object) => ({ ...task, examples: [task.examples[0], { ...task.examples[1], ...change }] });
    const cases = [
      [{ ...task, examples: 'none' }, 'Not a valid task in bad.json: at examples,'],
      [bend({ corrupt: [1] }), 'at examples[1].corrupt, clean has'],
      [bend({ answer: 99 }), 'at examples[1].answer, the token 99 is not in its vocabulary of 8'],
      [
        bend({ clean: Array(40).fill(1), corrupt: Array(40).fill(2), positions: { END: 3 } }),
        'at examples[1].clean, 40 tokens are more than its context of 24',
      ],
      [{ ...task, examples: task.examples.slice(0, 1) }, 'has 1 examples'],
    ] as const;
    for (const [value, message] of cases) {
      expect(await mistake('discover', '--model', HANDWRITTEN, '--task', write('bad.json', value))).toContain(message);
    }
    writeFileSync(join(folder, 'bad.json'), '{');
    expect(await mistake('discover', '--model', HANDWRITTEN, '--task', 'bad.json')).toContain(
      'bad.json is not valid JSON',
    );
    expect(await mistake('discover', '--model', HANDWRITTEN, '--task', 'no.json')).toContain('no.json does not exist');
  });

  test('two rules at once, and a behaviour that is not there, are one line', async () => {
    expect(await mistake(...exact('zero', '--recover', '0.9'))).toContain('keep one of them');
    const task = taskOf(7);
    const backwards = { ...task, examples: task.examples.map((one) => ({ ...one, answer: 0, wrongAnswer: 0 })) };
    const words = ['--task', write('none.json', backwards), '--metric', 'logit_diff', '--recover', '0.9'];
    expect(await mistake('discover', '--model', HANDWRITTEN, ...words)).toContain('there is no behaviour to recover');
  });
});

describe('circuit validate', () => {
  test('the written circuit holds on other examples, beats 200 random ones, and its weight edit breaks the model', async () => {
    const { hash, circuit: found } = await json(...exact('zero'));
    const tested = await json('validate', hash.slice(7, 19));
    expect(tested).toMatchObject({ kind: 'circuit_validation', version: 1, tested: hash, seed: 1 });
    expect(mustParse(CircuitSchema, tested.circuit, 'circuit')).toEqual(tested.circuit);
    expect(tested.hash).not.toBe(hash);
    expect(inside(tested.circuit)).toEqual(WRITTEN);
    const [faithfulness, ...others] = tested.circuit.metrics;
    expect(faithfulness).toMatchObject({
      name: 'faithfulness',
      value: 1,
      heldBack: true,
      random: { count: 200, mean: 0, p: 1 / 201 },
    });
    expect(others.find(({ name }: { name: string }) => name === 'complement').value).toBe(0);
    expect(tested.weightEdit).toMatchObject({
      edges: ['0.0→1.0.K'],
      before: 1,
      predicted: 0,
      after: 0,
      controls: { count: 20, lowest: 1 },
    });
    const { data } = tested.circuit.provenance;
    expect(data[0]).toEqual(found.provenance.data[0]);
    expect(data[1].hash).not.toBe(data[0].hash);
    expect(data[1].how).toBe('generated from seed 1; tested the circuit');
    // What cutting does is measured on the held-back examples now; what the weights say is as it was.
    const kinds = (record: Circuit, kind: string) =>
      record.edges.flatMap(({ weights }) => weights.filter((weight) => weight.kind === kind));
    expect(kinds(tested.circuit, 'composition')).toEqual(kinds(found, 'composition'));
    expect(kinds(tested.circuit, 'patch_effect')).toHaveLength(kinds(found, 'patch_effect').length);
  });

  test('a record in a file is tested as one in the workspace is, and so is what --json printed', async () => {
    const found = await json(...exact('zero', '--examples', '16'));
    const words = ['--random-circuits', '20', '--workspace', 'elsewhere'];
    const whole = await json('validate', write('found.json', found), ...words);
    const record = await json('validate', write('record.json', found.circuit), ...words);
    expect([whole.tested, record.tested]).toEqual([found.hash, found.hash]);
    expect(record.hash).toBe(whole.hash);
  });

  test('a circuit of a task file is tested on another file, never on its own', async () => {
    const words = [
      '--model',
      HANDWRITTEN,
      '--task',
      write('a.json', taskOf(7)),
      '--ablation',
      'zero',
      '--threshold',
      '0',
    ];
    const { hash } = await json('discover', ...words);
    expect(await mistake('validate', hash)).toContain(
      'give other examples of the same behaviour with --task FILE.json',
    );
    expect(await mistake('validate', hash, '--task', 'a.json')).toContain('were already read');
    // Half of these are the ones that found it; they are left out.
    const mixed = { ...taskOf(8), examples: [...taskOf(7).examples.slice(0, 16), ...taskOf(8).examples.slice(0, 16)] };
    const tested = await json('validate', hash, '--task', write('b.json', mixed), '--random-circuits', '20');
    expect(tested.examples).toBe(16);
    expect(tested.circuit.metrics[0]).toMatchObject({ name: 'faithfulness', value: 1, n: 16 });
  });

  test('the wrong model, a seed that was seen, and what is no circuit are one line', async () => {
    const { hash, task, circuit: found } = await json(...exact('zero', '--examples', '16'));
    expect(await mistake('validate', hash, '--model', 'zoo:induction-handwritten-rotated')).toContain(
      'has other weights',
    );
    expect(await mistake('validate', hash, '--seed', '0')).toContain('choose another --seed, such as 1');
    expect(await mistake('validate', task)).toContain('Not a valid record');
    expect(await mistake('validate', 'no.json')).toContain('no.json does not exist');
    expect(await mistake('validate', '0000')).toContain('nothing whose hash begins');
    const bare = { ...found, edges: found.edges.map((edge: object) => ({ ...edge, inCircuit: false })) };
    expect(await mistake('validate', write('bare.json', bare))).toContain('has no edge in it');
    const { source, ...model } = found.model;
    expect(source).toBe(HANDWRITTEN);
    expect(await mistake('validate', write('lost.json', { ...found, model }))).toContain('name it with --model');
    const [edge] = found.edges;
    const foreign = { ...found, edges: [{ ...edge, id: 'x', from: '1.0', to: '0.0', port: 'k', inCircuit: true }] };
    expect(await mistake('validate', write('foreign.json', foreign))).toContain('This model has no edge x');
  });

  test('a learnt circuit of the zoo keeps its faithfulness on other examples', async () => {
    const { hash } = await json('discover', '--model', 'zoo:induction-attn-2l/seed-0', '--examples', '16');
    const tested = await json('validate', hash, '--random-circuits', '20');
    const [{ value, random }] = tested.circuit.metrics;
    expect(value).toBeGreaterThan(0.8);
    expect(random.max).toBeLessThan(value);
    expect(tested.weightEdit.after).toBeLessThan(tested.weightEdit.before / 2);
  });
});

describe('circuit weights', () => {
  test('the induction head composes by its keys alone: 1/√8 raw, Q and V are 0', async () => {
    const { kind, composition } = await json('weights', '--model', HANDWRITTEN);
    expect(kind).toBe('edge_weights');
    const raw = Object.fromEntries(composition.map(({ edge, raw }: { edge: string; raw: number }) => [edge, raw]));
    expect(raw['0.0→1.0.K']).toBeCloseTo(1 / Math.sqrt(8), 12);
    expect([raw['0.0→1.0.Q'], raw['0.0→1.0.V']]).toEqual([0, 0]);
    for (const { raw, baseline, excess } of composition) expect(excess).toBe(raw - baseline);
    const { stdout } = await circuit('weights', '--model', HANDWRITTEN);
    expect(stdout).toMatch(/^0\.0→1\.0\.K +1\.0 +K +0\.35355 +0\.\d+ +0\.\d+$/m);
  });

  test('effective weights are signed and come largest first: the key path has b = 40, the copy g = 5', async () => {
    const { effective } = await json('weights', '--model', HANDWRITTEN, '--kind', 'effective');
    const sizes = effective.map(({ value }: { value: number }) => Math.abs(value));
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
    const values = Object.fromEntries(
      effective.map(({ edge, value }: { edge: string; value: number }) => [edge, value]),
    );
    expect(values['0.0→1.0.K']).toBeCloseTo(40, 9);
    expect(values['1.0→logits']).toBeCloseTo(5, 9);
    const top = await json('weights', '--model', HANDWRITTEN, '--kind', 'effective', '--top', '2');
    expect(top.effective).toEqual(effective.slice(0, 2));
  });

  test('one edge shows both kinds', async () => {
    const { composition, effective } = await json('weights', '--model', HANDWRITTEN, '--edge', '0.0->1.0.k');
    expect(composition.map(({ edge }: { edge: string }) => edge)).toEqual(['0.0→1.0.K']);
    expect(effective).toMatchObject([{ edge: '0.0→1.0.K', kind: 'effective_qk' }]);
    expect(await mistake('weights', '--model', HANDWRITTEN, '--edge', '1.0->0.0.K')).toContain('has no edge 1.0→0.0.K');
    expect(await mistake('weights', '--model', HANDWRITTEN, '--edge', 'x')).toContain('names no edge');
  });
});

describe.skipIf(!sharedFolder)(`on recorded models${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  test.each(['gpt2', 'llama', 'llama-bias-headdim'])(
    '%s: a circuit is found and tested, with norms, MLPs and shared heads',
    async (name) => {
      const model = sharedPath('golden/models', name);
      const found = await json('discover', '--model', model, '--examples', '8', '--threshold', '0.3');
      expect(inside(found.circuit).length).toBeGreaterThan(0);
      const tested = await json('validate', found.hash, '--random-circuits', '20');
      expect(inside(tested.circuit)).toEqual(inside(found.circuit));
      expect(tested.circuit.metrics[0]).toMatchObject({ name: 'faithfulness', heldBack: true, n: 8 });
      const { composition } = await json('weights', '--model', model);
      expect(composition).toHaveLength(4 * 4 * 3);
    },
  );

  test('shared keys: an edge lists each query head that reads through it', async () => {
    const model = sharedPath('golden/models/llama');
    const { composition, effective } = await json('weights', '--model', model, '--edge', '0.1->1.1.K');
    expect(composition.map(({ head }: { head: string }) => head).sort()).toEqual(['1.2', '1.3']);
    expect(effective.map(({ head }: { head: string }) => head).sort()).toEqual(['1.2', '1.3']);
  });
});

import { type Circuit, canonicalJson, parseReport, type Report } from '@circuitscope/schema';
import { beforeAll, describe, expect, test } from 'vitest';
import { repeatedRandomTask } from '../circuits/index.ts';
import { randomGroupedLlama } from '../circuits/random-model.fixture.ts';
import { inductionModel } from '../features/hand-written.fixture.ts';
import { type Act, type ExamineOptions, examineModel } from './examine-model.ts';

const known = inductionModel(16, 12);
const options: ExamineOptions = {
  name: 'induction',
  task: ({ seed, examples }) => repeatedRandomTask({ name: 'induction', vocab: 16, bos: 0, half: 4, seed, examples }),
  metric: 'accuracy',
  ablation: 'zero',
  prune: { rule: 'threshold', threshold: 0 },
  seed: 1,
  examples: 10,
  randomCircuits: 20,
  bos: 0,
  source: 'test',
};
const written = ['0.0→1.0.K', '1.0→logits', 'input→0.0.K', 'input→0.0.Q', 'input→0.0.V', 'input→1.0.Q', 'input→1.0.V'];

describe('the examination of a model whose circuit is known', () => {
  let report: Report;
  let circuit: Circuit;
  let seen: Act[];
  let shares: number[];

  beforeAll(async () => {
    seen = [];
    shares = [];
    const examined = await examineModel(known.engine, known.model, {
      ...options,
      onAct: (act, share) => {
        if (seen.at(-1) !== act) seen.push(act);
        shares.push(share);
      },
    });
    ({ report, circuit } = examined);
  });

  test('gives a report that the schema takes, the same to the byte when it is made again', async () => {
    expect(parseReport(JSON.parse(canonicalJson(report)))).toMatchObject({ ok: true });
    const again = await examineModel(known.engine, known.model, options);
    expect(canonicalJson(again.report)).toBe(canonicalJson(report));
  });

  test('finds the written circuit and proves it', () => {
    expect(
      circuit.edges
        .filter(({ inCircuit }) => inCircuit)
        .map(({ id }) => id)
        .sort(),
    ).toEqual(written);
    const metric = (name: string) => circuit.metrics?.find((one) => one.name === name);
    expect(metric('faithfulness')).toMatchObject({ value: 1, heldBack: true, n: 10 });
    expect(metric('faithfulness')?.random).toMatchObject({ count: 20, p: 1 / 21 });
    expect(metric('complement')?.value).toBe(0);
    expect(metric('minimality (share of edges)')?.value).toBe(1);
    expect(report.weightEdit).toMatchObject({ edges: ['0.0→1.0.K'], before: 1, predicted: 0, after: 0 });
  });

  test('knows its heads and a direction that matters', () => {
    const head = (layer: number, index: number) =>
      report.heads.find((one) => one.layer === layer && one.head === index);
    expect(head(0, 0)?.previousToken.estimate.value).toBeCloseTo(1, 6);
    expect(head(1, 0)?.induction.estimate.value).toBeCloseTo(1, 6);
    expect(report.direction?.auroc.value).toBe(1);
    expect(report.direction?.effect.change.value).toBeGreaterThan(1);
  });

  test('tests on examples that did not find the circuit, and says which data did what', () => {
    expect(report.data.discovery).not.toBe(report.data.proof);
    expect(circuit.task?.hash).toBe(report.data.proof);
    expect(circuit.provenance.data.map(({ hash }) => hash)).toEqual([report.data.discovery, report.data.proof]);
  });

  test('leaves nothing out where there is a direction to find and a weight to edit', () => {
    expect(report.notPerformed).toEqual([]);
  });

  test('reports its acts in order, each share from 0 to 1', () => {
    expect(seen).toEqual(['load', 'features', 'circuit', 'proof']);
    expect(Math.min(...shares)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...shares)).toBeLessThanOrEqual(1 + 1e-9);
  });
});

describe('held-back examples', () => {
  test('share no prompt with those that found the circuit, even where few prompts can be drawn', async () => {
    const prompts = (seed: number): string[] =>
      options.task({ seed, examples: 10 }).examples.map(({ clean }) => clean.join());
    // The second draw begins with the first one's examples.
    const overlapping: ExamineOptions['task'] = ({ seed, examples }) => {
      const task = options.task({ seed: 1, examples: seed === 1 ? 10 : 2 * examples });
      return { ...task, name: `induction-${seed}` };
    };
    const { task } = await examineModel(known.engine, known.model, { ...options, task: overlapping });
    const used = new Set(prompts(1));
    expect(task.examples).toHaveLength(10);
    expect(task.examples.filter(({ clean }) => used.has(clean.join()))).toEqual([]);
  });

  test('a task that always gives the same examples cannot be tested', async () => {
    const fixed: ExamineOptions['task'] = () => options.task({ seed: 1, examples: 10 });
    await expect(examineModel(known.engine, known.model, { ...options, task: fixed })).rejects.toMatchObject({
      code: 'too_few_examples',
    });
  });
});

describe('a model of random weights, with MLPs and shared keys and values', () => {
  test('gets a circuit that recovers what it should on the examples that found it, and a proof that does not hold', async () => {
    const { engine, model } = randomGroupedLlama();
    const task: ExamineOptions['task'] = ({ seed, examples }) =>
      repeatedRandomTask({ name: 'induction', vocab: 11, bos: 0, half: 3, seed, examples });
    const { report, proof, circuit } = await examineModel(engine, model, {
      ...options,
      task,
      metric: 'logit_diff',
      ablation: 'resample',
      prune: { rule: 'backward', recover: 0.9 },
      examples: 6,
    });
    expect(parseReport(JSON.parse(canonicalJson(report)))).toMatchObject({ ok: true });
    expect(circuit.nodes.map(({ id }) => id)).toContain('mlp1');
    expect(circuit.edges.filter(({ id }) => id.endsWith('through 1.1.K')).length).toBeGreaterThan(4);
    const { random, relabelled } = proof.faithfulness;
    expect(Math.max(random.p, relabelled?.p ?? 1)).toBeGreaterThan(0.05);
    expect(proof.minimality.share).toBeLessThan(0.5);
  });
});

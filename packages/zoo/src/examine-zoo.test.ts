import {
  chooseExecutor,
  decompose,
  type Edge,
  type ExamineOptions,
  edgesOf,
  engineFor,
  examineModel,
  proveCircuit,
  referenceExecutor,
  taskData,
} from '@circuitscope/core';
import { canonicalJson, parseEdgeLabel, parseReport } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { handwrittenInduction, inductionWithDistractors } from './handwritten-induction.ts';
import { trainedInduction } from './trained-induction.ts';
import type { ZooMember } from './zoo-member.ts';

const optionsFor = (
  member: ZooMember,
  rest: Pick<ExamineOptions, 'metric' | 'ablation' | 'prune' | 'examples' | 'randomCircuits'>,
): ExamineOptions => ({
  name: member.name,
  task: member.task,
  seed: 1,
  bos: member.bos,
  source: `zoo:${member.name}`,
  ...rest,
});

describe('the examination of the hand-written transformer', () => {
  const member = handwrittenInduction;
  const options = optionsFor(member, {
    metric: 'accuracy',
    ablation: 'zero',
    prune: { rule: 'threshold', threshold: 0 },
    examples: 13,
    randomCircuits: 40,
  });

  test('finds its 7 edges of 12, proves them, and gives the same bytes twice', async () => {
    const model = member.model();
    const engine = engineFor(model, referenceExecutor());
    const { report, circuit, proof } = await examineModel(engine, model, options);
    expect(circuit.edges.filter(({ inCircuit }) => inCircuit)).toHaveLength(7);
    expect(circuit.edges).toHaveLength(12);
    expect(proof).toMatchObject({
      whole: 1,
      empty: 0,
      faithfulness: { value: 1 },
      complement: { value: 0 },
      completeness: { max: 0 },
      minimality: { share: 1, smallest: 1 },
    });
    expect(report.weightEdit).toMatchObject({ edges: ['0.0→1.0.K'], before: 1, predicted: 0, after: 0 });
    const [composition] =
      circuit.edges.find(({ id }) => id === '0.0→1.0.K')?.weights.filter(({ kind }) => kind === 'composition') ?? [];
    expect(composition?.value).toBeCloseTo(Math.sqrt(1 / 8), 9);
    expect(
      report.heads.map(({ previousToken, induction }) =>
        [previousToken.estimate.value, induction.estimate.value].map(Math.round),
      ),
    ).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expect(parseReport(report)).toMatchObject({ ok: true });
    expect(canonicalJson((await examineModel(engine, model, options)).report)).toBe(canonicalJson(report));
  });
});

describe('a backup head', async () => {
  const model = inductionWithDistractors.model();
  const { executor } = await chooseExecutor();
  const engine = engineFor(model, executor);
  const edges = edgesOf(decompose(model.graph));
  const data = taskData(inductionWithDistractors.task({ seed: 2, examples: 26 }));
  const options = { ablation: 'zero', metric: 'accuracy', seed: 1, randomCircuits: 20, subsets: 24 } as const;
  const written: Edge[] = handwrittenInduction.truth[0]?.edges.slice() ?? [];
  const backup = ['0.0→2.0.K', 'input→2.0.Q', 'input→2.0.K', 'input→2.0.V', '1.0→2.0.Q', '2.0→logits'].map(
    parseEdgeLabel,
  );

  test('makes the circuit without it incomplete: faithful, yet the model does without it and the circuit does not', async () => {
    const proof = await proveCircuit(engine, data, edges, written, options);
    expect(proof.faithfulness.value).toBe(1);
    expect(proof.completeness.max).toBeGreaterThan(0.5);
  });

  test('leaves a smaller gap once it is in the circuit', async () => {
    const without = await proveCircuit(engine, data, edges, written, options);
    const wider = await proveCircuit(engine, data, edges, [...written, ...backup], options);
    expect(wider.faithfulness.value).toBe(1);
    expect(wider.completeness.mean).toBeLessThan(0.5 * without.completeness.mean);
  });
});

describe('the examination of a model that was trained', () => {
  test('finds the induction circuit: faithful, beyond any random circuit, and broken by the predicted weight edit', async () => {
    const member = trainedInduction(0);
    const model = member.model();
    const { executor } = await chooseExecutor();
    const options = optionsFor(member, {
      metric: 'logit_diff',
      ablation: 'resample',
      prune: { rule: 'backward', recover: 0.9 },
      examples: 16,
      randomCircuits: 50,
    });
    const { report, proof, circuit } = await examineModel(engineFor(model, executor), model, options);
    const previous = [...report.heads]
      .filter(({ layer }) => layer === 0)
      .sort((a, b) => b.previousToken.estimate.value - a.previousToken.estimate.value)[0];
    const inside = circuit.edges.filter(({ inCircuit }) => inCircuit).map(({ id }) => id);
    expect(inside.some((id) => id.startsWith(`0.${previous?.head}→1.`) && id.endsWith('.K'))).toBe(true);
    expect(proof.faithfulness.value).toBeGreaterThan(0.75);
    expect(proof.faithfulness.interval?.[0]).toBeGreaterThan(0.6);
    expect(proof.complement.value).toBeLessThan(0.3);
    expect(proof.faithfulness.random.p).toBe(1 / 51);
    // The circuit holds all four heads of layer 1 alike, so only another previous-token head makes another circuit.
    const renamed = proof.faithfulness.relabelled;
    expect(renamed?.p).toBe(1 / (1 + (renamed?.count ?? 0)));
    expect(renamed?.max).toBeLessThan(0.3);
    const edit = report.weightEdit;
    if (!edit) throw new Error('no weight edit');
    expect(edit.edges.every((label) => label.startsWith(`0.${previous?.head}→1.`))).toBe(true);
    // Most of what the cut takes, the edit takes, and it takes more than any random edit of that rank.
    expect((edit.before - edit.after) / (edit.before - edit.predicted)).toBeGreaterThan(0.9);
    expect((edit.before - edit.after) / (edit.before - edit.predicted)).toBeLessThan(1.1);
    expect(edit.controls.lowest).toBeGreaterThan(edit.after);
    expect(report.direction?.auroc.value).toBeGreaterThan(0.9);
  });
});

import {
  composition,
  cutEdges,
  decompose,
  discoverCircuit,
  edgeEffects,
  edgesOf,
  effectiveWeights,
  embedding,
  engineFor,
  type Metric,
  meanValue,
  measure,
  multiply,
  readingMatrix,
  referenceExecutor,
  sourceRuns,
  taskData,
  transposed,
  writingMatrix,
} from '@circuitscope/core';
import { edgeLabel, type Intervention, parseEdgeLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { handwrittenInduction, inductionWithDistractors, rotatedInduction } from './handwritten-induction.ts';
import type { ZooMember } from './zoo-member.ts';

const labels = (
  edges: readonly {
    readonly from: Parameters<typeof edgeLabel>[0]['from'];
    readonly to: Parameters<typeof edgeLabel>[0]['to'];
  }[],
): string[] => edges.map(edgeLabel).sort();

function open(member: ZooMember, examples = 26) {
  const model = member.model();
  const engine = engineFor(model, referenceExecutor());
  const data = taskData(member.task({ seed: 1, examples }));
  return { model, engine, data, edges: edgesOf(decompose(model.graph)) };
}

async function read(member: ZooMember, metric: Metric, cut: Intervention[] = []): Promise<number> {
  const { engine, data } = open(member);
  return meanValue(await measure(engine, data, metric, [cut]), 0);
}

describe('the hand-written induction transformer', () => {
  test('names the next token every time, and its logit leads the current token by exactly 4', async () => {
    expect(await read(handwrittenInduction, 'accuracy')).toBe(1);
    expect(await read(handwrittenInduction, 'logit_diff')).toBe(4);
  });

  test('composes through keys alone: 1/√8 raw, and nothing through queries and values', () => {
    const { model } = open(handwrittenInduction);
    const between = (port: 'q' | 'k' | 'v') =>
      composition(model, { layer: 0, head: 0 }, { layer: 1, head: 0 }, port).raw;
    expect(between('k')).toBeCloseTo(0.35355, 5);
    expect(between('q')).toBe(0);
    expect(between('v')).toBe(0);
  });

  test('its key path is 40 times the identity between tokens and what 0.0 writes for them', () => {
    const { model } = open(handwrittenInduction);
    const written = multiply(multiply(embedding(model), readingMatrix(model, 0, 0, 'v')), writingMatrix(model, 0, 0));
    const keys = multiply(written, readingMatrix(model, 1, 0, 'k'));
    const queries = multiply(embedding(model), readingMatrix(model, 1, 0, 'q'));
    const scores = multiply(queries, transposed(keys));
    scores.data.forEach((value, at) => {
      expect(value).toBe(Math.floor(at / 8) === at % 8 ? 40 : 0);
    });
    const [weight] = effectiveWeights(model, parseEdgeLabel('0.0→1.0.K'));
    expect(weight).toMatchObject({ kind: 'effective_qk', value: 40, matched: 40, unmatched: 0 });
    expect(effectiveWeights(model, parseEdgeLabel('0.0→1.0.Q'))[0]?.value).toBe(0);
    expect(effectiveWeights(model, parseEdgeLabel('1.0→logits'))[0]).toMatchObject({ kind: 'effective_ov', value: 5 });
    expect(effectiveWeights(model, parseEdgeLabel('input→0.0.Q'))[1]).toMatchObject({
      from: 'position p',
      value: expect.closeTo(40, 9),
    });
  });

  test('cutting 0.0→1.0.K leaves nothing of it; cutting the other two ports of that pair changes nothing', async () => {
    const cut = (label: string) => cutEdges([parseEdgeLabel(label)], 'zero');
    expect(await read(handwrittenInduction, 'accuracy', cut('0.0→1.0.K'))).toBe(0);
    expect(await read(handwrittenInduction, 'logit_diff', cut('0.0→1.0.K'))).toBeCloseTo(-1.33, 1);
    for (const port of ['Q', 'V']) {
      expect(await read(handwrittenInduction, 'accuracy', cut(`0.0→1.0.${port}`))).toBe(1);
      expect(await read(handwrittenInduction, 'logit_diff', cut(`0.0→1.0.${port}`))).toBe(4);
    }
  });

  for (const truth of handwrittenInduction.truth) {
    test(`under ${truth.ablation} ablation, read by ${truth.metric}, exactly the ${truth.edges.length} true edges of 12 are found`, async () => {
      const { engine, data, edges } = open(handwrittenInduction);
      expect(edges).toHaveLength(12);
      const found = await discoverCircuit(engine, data, edges, {
        ablation: truth.ablation,
        metric: truth.metric,
        prune: { rule: 'threshold', threshold: 0 },
      });
      expect(labels(found.edges)).toEqual(labels(truth.edges));
    });
  }

  test('by the gap an eighth edge shows: without the direct path the gap grows by 1', async () => {
    const { engine, data, edges } = open(handwrittenInduction);
    const { effects } = await edgeEffects(engine, data, edges, { ablation: 'zero', metric: 'logit_diff' });
    const effective = effects.filter(({ effect }) => effect !== 0);
    expect(effective).toHaveLength(8);
    expect(effects.find(({ edge }) => edgeLabel(edge) === 'input→logits')?.effect).toBe(-1);
  });

  test('a turned stream changes no answer: same accuracy, same gap, same composition', async () => {
    expect(await read(rotatedInduction, 'accuracy')).toBe(1);
    expect(await read(rotatedInduction, 'logit_diff')).toBeCloseTo(4, 4);
    const { model } = open(rotatedInduction);
    expect(composition(model, { layer: 0, head: 0 }, { layer: 1, head: 0 }, 'k').raw).toBeCloseTo(0.35355, 5);
    expect(composition(model, { layer: 0, head: 0 }, { layer: 1, head: 0 }, 'q').raw).toBeLessThan(1e-5);
  });
});

describe('its distractors', () => {
  const effectOf = async (...cut: string[]): Promise<number> => {
    const { engine, data } = open(inductionWithDistractors);
    const runs = await sourceRuns(engine, data, 'zero');
    const measured = await measure(engine, data, 'logit_diff', [[], cutEdges(cut.map(parseEdgeLabel), 'zero')], {
      runs,
    });
    return meanValue(measured, 0) - meanValue(measured, 1);
  };

  test('change neither the answers nor the gap', async () => {
    expect(await read(inductionWithDistractors, 'accuracy')).toBe(1);
    expect(await read(inductionWithDistractors, 'logit_diff')).toBeCloseTo(4, 5);
  });

  test('a dead head has no effect at all', async () => {
    expect(await effectOf('0.1→logits')).toBe(0);
    expect(await effectOf('1.1→logits', '1.1→2.0.Q', '1.1→2.0.K', '1.1→2.0.V')).toBe(0);
  });

  test('a pair that cancels: each alone matters, both together do not', async () => {
    expect(await effectOf('0.2→logits')).not.toBe(0);
    expect(await effectOf('1.2→logits')).not.toBe(0);
    expect(Math.abs(await effectOf('0.2→logits', '1.2→logits'))).toBeLessThan(1e-5);
  });

  test('the backup is silent while 1.0 works and takes over when it is cut off', async () => {
    const zeroed = (layer: number): Intervention => ({
      kind: 'write',
      at: { site: `blocks.${layer}.attn.hook_z`, head: [0] },
      op: 'set',
      value: { kind: 'const', value: 0 },
    });
    expect(await read(inductionWithDistractors, 'logit_diff', [zeroed(2)])).toBeCloseTo(4, 5);
    expect(await read(inductionWithDistractors, 'accuracy', [zeroed(1)])).toBe(1);
    expect(await read(inductionWithDistractors, 'accuracy', [zeroed(1), zeroed(2)])).toBe(0);
  });
});

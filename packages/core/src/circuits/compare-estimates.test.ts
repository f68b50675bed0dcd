import { expect, test } from 'vitest';
import { inductionModel } from '../features/hand-written.fixture.ts';
import { decompose, edgesOf } from '../graph/index.ts';
import { compareEstimates, type Estimate } from './compare-estimates.ts';
import { repeatedRandomTask } from './repeated-random-task.ts';
import { taskData } from './task-data.ts';

test('the report names what an estimate misses, and how it agrees with the exact effects', async () => {
  const { engine } = inductionModel(16, 10);
  const data = taskData(repeatedRandomTask({ name: 'induction', vocab: 16, bos: 0, half: 4, seed: 1, examples: 12 }));
  const edges = edgesOf(decompose(engine.graph));
  const methods: readonly Estimate[] = [{ kind: 'eap' }, { kind: 'eap-ig', steps: 5 }, { kind: 'attribution' }];
  const { exact, estimates } = await compareEstimates(engine, data, edges, methods, {
    ablation: 'resample',
    metric: 'logit_diff',
  });
  const [eap, integrated, units] = estimates;
  expect(eap?.missed).toEqual(['0.0→1.0.K', 'input→0.0.V', 'input→1.0.Q'].sort((a, b) => edgeAt(a) - edgeAt(b)));
  expect([eap?.sameSign, eap?.signed]).toEqual([1, 2]);
  expect(integrated?.missed).toEqual([]);
  expect(integrated?.sameSign).toBe(0.4);
  expect(integrated?.rank).toBeGreaterThan(0.99);
  expect(units?.method).toBe('attribution patching, of the weaker end');
  expect(exact.scores.forwards).toBe(edges.length + 2);

  function edgeAt(label: string): number {
    return exact.scores.edges.findIndex(({ from, to }) => label === labelOf(from, to));
  }
  function labelOf(from: (typeof edges)[number]['from'], to: (typeof edges)[number]['to']): string {
    const writer = from.kind === 'head' ? `${from.layer}.${from.head}` : from.kind;
    return to.kind === 'head' ? `${writer}→${to.layer}.${to.head}.${to.port.toUpperCase()}` : `${writer}→logits`;
  }
});

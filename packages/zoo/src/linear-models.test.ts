import {
  cutEdges,
  decompose,
  type Edge,
  edgesOf,
  engineFor,
  makePlan,
  measure,
  readoutTensor,
  referenceExecutor,
  rowValues,
  runPlan,
  sourceRuns,
  taskData,
} from '@circuitscope/core';
import type { Intervention } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { linearMembers } from './linear-models.ts';

for (const member of linearMembers) {
  describe(member.name, () => {
    const model = member.model();
    const edges = edgesOf(decompose(model.graph));

    test('is made of linear operations, but for an attention that depends on nothing', async () => {
      const nonlinear = new Set(['activation', 'norm_scale', 'normalize', 'mul']);
      expect(model.graph.nodes.filter(({ op }) => nonlinear.has(op))).toEqual([]);
      const { clean } = taskData(member.task({ seed: 1, examples: 3 }));
      const plan = makePlan(model.graph, {
        readouts: [{ kind: 'capture', at: { site: 'blocks.1.attn.hook_pattern' } }],
      });
      const { data } = readoutTensor(await runPlan(engineFor(model, referenceExecutor()), plan, clean), 0);
      data.forEach((value, at) => {
        const [query, key] = [Math.floor(at / 6) % 6, at % 6];
        expect(value).toBeCloseTo(key <= query ? 1 / (query + 1) : 0, 6);
      });
    });

    for (const law of member.laws ?? []) {
      if (law.kind !== 'edge_sum') continue;
      const counted = ({ from, to }: Edge): boolean =>
        law.edges === 'from_input' ? from.kind === 'input' : to.kind === 'logits';

      test(`the effects of single edges ${law.edges} sum to the whole effect, ${law.ablation} ablation`, async () => {
        const sum = async (precision: 'f32' | 'f64'): Promise<number> => {
          const engine = engineFor(model, referenceExecutor({ precision }));
          const data = taskData(member.task({ seed: 3, examples: 20 }));
          const runs = await sourceRuns(engine, data, law.ablation);
          const chosen = edges.filter(counted);
          const variants = [[], cutEdges(edges, law.ablation), ...chosen.map((edge) => cutEdges([edge], law.ablation))];
          const measured = await measure(engine, data, 'logit_diff', variants, { runs });
          const [whole, none] = [rowValues(measured, 0), rowValues(measured, 1)];
          const errors = whole.map((value, at) => {
            const total = value - (none[at] ?? 0);
            const parts = chosen.reduce((all, _, k) => all + value - (rowValues(measured, k + 2)[at] ?? 0), 0);
            return Math.abs(parts - total) / Math.max(1, Math.abs(total));
          });
          return Math.max(...errors);
        };
        expect(await sum('f32')).toBeLessThan(law.tolerance);
        expect(await sum('f64')).toBeLessThan(1e-12);
      });
    }

    test('what a layer writes, taken away by half, has half its effect, so its slope anywhere is its effect', async () => {
      const engine = engineFor(model, referenceExecutor({ precision: 'f64' }));
      const data = taskData(member.task({ seed: 4, examples: 6 }));
      const scaled = (value: number): Intervention[] => [
        { kind: 'write', at: { site: 'blocks.0.hook_attn_out' }, op: 'scale', value: { kind: 'const', value } },
      ];
      const measured = await measure(engine, data, 'logit_diff', [[], scaled(0.5), scaled(0)]);
      rowValues(measured, 0).forEach((whole, at) => {
        const [half = 0, none = 0] = [1, 2].map((variant) => rowValues(measured, variant)[at]);
        expect(whole - half).toBeCloseTo((whole - none) / 2, 10);
      });
    });
  });
}

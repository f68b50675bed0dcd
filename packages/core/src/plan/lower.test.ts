import type { Intervention, Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { listSites } from '../graph/index.ts';
import type { GraphIntervention } from './apply-interventions.ts';
import { compile } from './compile.ts';
import { smallModelNames, smallModels } from './fixtures/small-models.ts';
import type { Program } from './program.ts';

const logits: Readout = { kind: 'capture', at: { site: 'logits' } };
const ablate = (layer: number, head: number): GraphIntervention => ({
  kind: 'write',
  at: { site: `blocks.${layer}.attn.hook_z`, head: [head] },
  op: 'set',
  value: { kind: 'const', value: 0 },
});

function programOf(
  name: keyof typeof smallModels,
  variants: GraphIntervention[][],
  readouts: Readout[] = [logits],
): Program {
  return compile({ graph: smallModels[name]().graph, variants, readouts }).program;
}

const kernels = (program: Program): string[] => program.steps.map(({ kernel }) => kernel);
const count = (program: Program, kernel: string): number => kernels(program).filter((name) => name === kernel).length;

describe('a program', () => {
  test('computes only what the readouts need', () => {
    const readouts: Readout[] = [{ kind: 'capture', at: { site: 'blocks.0.attn.hook_pattern' } }];
    const program = programOf('gpt2', [[]], readouts);
    expect(count(program, 'activation')).toBe(0);
    expect(program.params.some((name) => name.startsWith('blocks.1') || name.includes('W_V'))).toBe(false);
  });

  test('fuses norms and attention, looked at or not', () => {
    const blind = programOf('gpt2', [[]]);
    expect(count(blind, 'norm')).toBe(5);
    expect(count(blind, 'attention')).toBe(2);
    for (const kernel of ['norm_scale', 'normalize', 'affine', 'scores', 'softmax', 'mix']) {
      expect(count(blind, kernel)).toBe(0);
    }
    const all = listSites(smallModels.gpt2().graph).map(({ site }): Readout => ({ kind: 'capture', at: { site } }));
    const looked = programOf('gpt2', [[]], all);
    for (const kernel of ['norm', 'attention']) expect(count(looked, kernel)).toBe(count(blind, kernel));
  });

  test('a product takes its activation along, and the stream that it is added to, where nobody sees it alone', () => {
    const blind = programOf('gpt2', [[]]);
    const withAttr = (program: Program, name: string) =>
      program.steps.filter(({ kernel, attrs }) => kernel === 'linear' && attrs[name] !== undefined);
    // Of two layers: the activation of each MLP, and what attention and MLP add to the stream. Embeddings are a sum.
    expect(withAttr(blind, 'fn')).toHaveLength(2);
    expect(withAttr(blind, 'beta').map(({ in: inputs }) => inputs.length)).toEqual([2, 2, 2, 2]);
    expect([count(blind, 'activation'), count(blind, 'sum')]).toEqual([0, 1]);
    const seen = programOf('gpt2', [[]], [logits, { kind: 'capture', at: { site: 'blocks.0.mlp.hook_pre' } }]);
    expect([withAttr(seen, 'fn').length, count(seen, 'activation')]).toEqual([1, 1]);
    const halved: GraphIntervention = {
      kind: 'write',
      at: { site: 'blocks.1.hook_mlp_out' },
      op: 'scale',
      value: { kind: 'const', value: 0.5 },
    };
    expect([
      withAttr(programOf('gpt2', [[halved]]), 'beta').length,
      count(programOf('gpt2', [[halved]]), 'sum'),
    ]).toEqual([3, 2]);
    // The slope is read from what the activation reads.
    const readouts: Readout[] = [
      {
        kind: 'gradient',
        of: [{ kind: 'loss', reduce: 'mean' }],
        wrt: { kind: 'site', at: { site: 'blocks.0.hook_resid_pre' } },
      },
    ];
    expect(withAttr(programOf('gpt2', [[]], readouts), 'fn')).toHaveLength(0);
  });

  test('computes an expert where tokens are sent to it alone, unless somebody looks inside', () => {
    const blind = programOf('experts', [[]]);
    expect(count(blind, 'expert')).toBe(10);
    expect(count(blind, 'activation') + count(blind, 'add_gated')).toBe(0);
    const site = 'blocks.1.mlp.experts.3.hook_post';
    const looked = programOf('experts', [[]], [logits, { kind: 'capture', at: { site } }]);
    expect(count(looked, 'expert')).toBe(9);
    expect(count(looked, 'add_gated')).toBe(1);
    const changed = programOf('experts', [
      [{ kind: 'write', at: { site, unit: [1] }, op: 'set', value: { kind: 'const', value: 0 } }],
    ]);
    expect([count(changed, 'expert'), count(changed, 'edit')]).toEqual([9, 1]);
  });

  test('fuses what happens on scores too, there and back, where it stands in the order of the one step', () => {
    const all = listSites(smallModels.capped().graph).map(({ site }): Readout => ({ kind: 'capture', at: { site } }));
    const slopes = ['blocks.0.attn.alibi_slopes', 'blocks.1.attn.alibi_slopes', 'blocks.0.attn.W_K'].map(
      (name): Readout => ({
        kind: 'gradient',
        of: [{ kind: 'loss', reduce: 'mean' }],
        wrt: { kind: 'param', name },
      }),
    );
    // The second layer caps what ALiBi made: step by step.
    for (const readouts of [[logits], [logits, ...all]]) {
      const program = programOf('capped', [[]], readouts);
      expect(count(program, 'attention')).toBe(1);
      expect(count(program, 'scores')).toBe(1);
      expect(count(program, 'add_alibi')).toBe(1);
      expect(count(program, 'soft_cap')).toBe(2);
    }
    const back = programOf('capped', [[]], slopes);
    expect(count(back, 'attention_grad')).toBe(1);
    expect(count(back, 'add_alibi_grad')).toBe(2);
    expect(count(back, 'softmax_grad')).toBe(1);
    expect(count(back, 'attention')).toBe(1);
  });

  test('takes attention apart where a pattern is changed', () => {
    const change: GraphIntervention = {
      kind: 'write',
      at: { site: 'blocks.0.attn.hook_pattern' },
      op: 'scale',
      value: { kind: 'const', value: 0.5 },
    };
    const program = programOf('gpt2', [[change]]);
    expect(count(program, 'attention')).toBe(1);
    expect(kernels(program).filter((kernel) => ['scores', 'softmax', 'edit', 'mix'].includes(kernel))).toEqual([
      'scores',
      'softmax',
      'edit',
      'mix',
    ]);
  });

  test('a logit difference at one position multiplies two columns, not the vocabulary', () => {
    const readouts: Readout[] = [{ kind: 'logitDiff', at: { kind: 'last' }, answer: [1], wrong: [2] }];
    const program = programOf('gpt2', [[]], readouts);
    expect(kernels(program).slice(-3)).toEqual(['linear', 'norm', 'columns']);
    const of = (name: string) => program.values[program.steps.findLast(({ kernel }) => kernel === name)?.out[0] ?? -1];
    expect([of('attention'), of('linear'), of('columns')].map((value) => value?.shape[1])).toEqual(['pos', 1, 1]);
  });
});

describe('a sweep', () => {
  const sweep = [0, 1, 2].map((head) => [ablate(1, head)]);

  test('computes once per example what no variant changes, and joins the batch at the change', () => {
    const { values, steps } = programOf('gpt2', sweep);
    const rowsOf = (step: (typeof steps)[number]) => values[step.out[0] ?? -1]?.shape[0];
    const joined = steps.findIndex((step) => rowsOf(step) === 'rows');
    const [first] = steps.slice(joined);
    expect(first?.kernel).toBe('repeat');
    expect(steps.slice(0, joined).some(({ kernel }) => kernel === 'attention')).toBe(true);
    expect(steps.filter((step) => rowsOf(step) === 'batch').map(({ kernel }) => kernel)).toContain('attention');
    expect(rowsOf(steps[steps.length - 1] ?? { kernel: '', in: [], out: [], params: [], attrs: {} })).toBe('rows');
  });

  test('over heads is one edit, whatever the number of variants', () => {
    expect(count(programOf('gpt2', sweep), 'edit')).toBe(1);
    expect(programOf('gpt2', [...sweep, ...sweep, ...sweep]).steps).toEqual(programOf('gpt2', sweep).steps);
  });

  test('over edges is one read per port, whose mask is data', () => {
    const cut = (head: number, to: number): GraphIntervention => ({
      kind: 'edge',
      from: { kind: 'head', layer: 0, head },
      to: { kind: 'head', layer: 1, head: to, port: 'k' },
      value: { kind: 'const', value: 0 },
    });
    const edges = [0, 1, 2].flatMap((from) => [0, 1, 2].map((to) => [cut(from, to)]));
    const program = programOf('gpt2', edges);
    expect(count(program, 'edge_read')).toBe(1);
    expect(count(program, 'head_result')).toBe(3);
  });

  test('with one variant is the plan without sweep', () => {
    const single = compile({ graph: smallModels.llama().graph, variants: [[ablate(0, 1)]], readouts: [logits] });
    expect(single.program.values.some(({ shape }) => shape[0] === 'rows')).toBe(false);
    expect(count(single.program, 'repeat')).toBe(0);
  });
});

describe('slots', () => {
  const changes: Intervention[][] = [[], [ablate(0, 0)], [ablate(1, 1), ablate(0, 2)]];
  const variants = changes.map((list) => list.filter((change) => change.kind !== 'weight' && change.kind !== 'detach'));

  test.each(smallModelNames)('%s: no value is overwritten before its last reader, outputs never', (name) => {
    const readouts: Readout[] = [
      logits,
      { kind: 'capture', at: { site: 'blocks.0.attn.hook_pattern' } },
      { kind: 'loss' },
    ];
    const { values, slots, steps, inputs, outputs } = programOf(name, variants, readouts);
    const holds = new Array<number>(slots).fill(-1);
    const slotOf = (value: number): number => values[value]?.slot ?? -1;
    for (const { value } of inputs) {
      expect(holds[slotOf(value)]).toBe(-1);
      holds[slotOf(value)] = value;
    }
    for (const step of steps) {
      for (const value of step.in) if (value >= 0) expect(holds[slotOf(value)], step.kernel).toBe(value);
      for (const value of step.out) {
        if (value < 0) continue;
        for (const input of step.in) if (input >= 0) expect(slotOf(value), step.kernel).not.toBe(slotOf(input));
        holds[slotOf(value)] = value;
      }
    }
    for (const { value } of outputs) expect(holds[slotOf(value)]).toBe(value);
    expect(slots).toBeLessThan(values.length);
  });
});

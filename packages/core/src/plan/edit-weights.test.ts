import type { Hash, Intervention, Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { engineFor } from '../architectures/index.ts';
import { chooseNative } from '../kernels/index.ts';
import { digestTensor, type Tensor } from '../tensor/index.ts';
import { editWeights, type WeightEdit } from './edit-weights.ts';
import type { Executor } from './executor.ts';
import { randomTensor, randomTokens, smallModels } from './fixtures/small-models.ts';
import { nativeExecutor } from './native-executor.ts';
import { referenceExecutor } from './reference-executor.ts';
import { captured, readoutTensor } from './run.ts';
import { makePlan, runPlan } from './run-plan.ts';
import { readWeight } from './weights.ts';

const model = smallModels.gpt2();
const tokens = randomTokens(4, 2, 5);
const logits: Readout = { kind: 'capture', at: { site: 'logits' } };
const choice = await chooseNative({});
const executors: [string, Executor | null][] = [
  ['reference', referenceExecutor()],
  ['native', choice.kind === 'native' ? nativeExecutor(choice.addon) : null],
];

function edited(
  edits: readonly Omit<WeightEdit, 'kind'>[],
  artefacts: ReadonlyMap<Hash, Tensor> = new Map(),
): (name: string) => Tensor {
  const list = edits.map((edit): WeightEdit => ({ kind: 'weight', ...edit }));
  const { weights, renamed } = editWeights(model.graph, model.weights, list, artefacts);
  return (name) => readWeight(weights, renamed.get(name) ?? name);
}

const W_Q = 'blocks.0.attn.W_Q';
const W_O = 'blocks.0.attn.W_O';

/** What an edit makes of [row, column], against the original. */
function expectEdit(edit: Omit<WeightEdit, 'kind'>, want: (old: number, row: number, column: number) => number): void {
  const before = readWeight(model.weights, edit.param);
  const columns = before.shape[before.shape.length - 1] ?? 1;
  const after = edited([edit])(edit.param);
  expect(after.shape).toEqual(before.shape);
  before.data.forEach((old, at) => {
    expect(after.data[at], `entry ${at}`).toBe(Math.fround(want(old, Math.floor(at / columns), at % columns)));
  });
}

describe('an edit covers', () => {
  const zero = { kind: 'const', value: 0 } as const;
  const two = { kind: 'const', value: 2 } as const;

  test('the whole weight', () => {
    expectEdit({ param: W_Q, op: 'scale', value: two }, (old) => 2 * old);
  });

  test("a head's columns of a reading matrix and of its bias", () => {
    expectEdit({ param: W_Q, head: 1, op: 'set', value: zero }, (old, _, c) => (c >= 7 && c < 14 ? 0 : old));
    expectEdit({ param: 'blocks.0.attn.b_Q', head: 2, op: 'add', value: two }, (old, _, c) =>
      c >= 14 ? old + 2 : old,
    );
  });

  test("a head's rows of the writing matrix", () => {
    expectEdit({ param: W_O, head: 0, op: 'set', value: zero }, (old, r) => (r < 7 ? 0 : old));
  });

  test('one row, one column, one cell, counted inside the head', () => {
    expectEdit({ param: W_O, row: 3, op: 'set', value: two }, (old, r) => (r === 3 ? 2 : old));
    expectEdit({ param: W_O, column: 4, op: 'set', value: two }, (old, _, c) => (c === 4 ? 2 : old));
    expectEdit({ param: W_O, head: 2, row: 1, column: 0, op: 'set', value: two }, (old, r, c) =>
      r === 15 && c === 0 ? 2 : old,
    );
  });
});

test('an artefact fills the covered cells in row-major order, and must have as many', () => {
  const value = randomTensor(1, [7, 21]);
  const hash = digestTensor(value);
  const edit = { param: W_O, head: 1, op: 'set', value: { kind: 'artefact', hash } } as const;
  const after = edited([edit], new Map([[hash, value]]))(W_O);
  expect(after.data.subarray(7 * 21, 14 * 21)).toEqual(value.data);
  const wrong = () => edited([{ ...edit, head: 1, row: 0 }], new Map([[hash, value]]));
  expect(wrong).toThrow(expect.objectContaining({ code: 'shape_mismatch', expected: '21' }));
  expect(() => edited([edit])).toThrow(expect.objectContaining({ code: 'shape_mismatch' }));
});

test('several edits of one weight are made in order', () => {
  const op = (kind: 'set' | 'add' | 'scale', value: number) =>
    ({ param: W_Q, op: kind, value: { kind: 'const', value } }) as const;
  expect(edited([op('set', 1), op('add', 2), op('scale', 5)])(W_Q).data[0]).toBe(15);
  expect(edited([op('scale', 5), op('add', 2), op('set', 1)])(W_Q).data[0]).toBe(1);
});

test('no edits, no copy', () => {
  expect(editWeights(model.graph, model.weights, [], new Map()).weights).toBe(model.weights);
});

for (const [name, executor] of executors) {
  describe(name, () => {
    const run = async (interventions: Intervention[], sweep?: Intervention[][]) => {
      const plan = makePlan(model.graph, { interventions, readouts: [logits], ...(sweep ? { sweep } : {}) });
      return runPlan(engineFor(model, executor ?? referenceExecutor()), plan, { tokens });
    };
    const kill = (head: number, layer = 1): Intervention => ({
      kind: 'weight',
      param: `blocks.${layer}.attn.W_O`,
      head,
      op: 'set',
      value: { kind: 'const', value: 0 },
    });

    test('zeroing rows of W_O is ablating that head, and the next plan sees the weights as they were', async (context) => {
      if (!executor) return context.skip('the addon does not load');
      const before = captured(await run([]), 'logits').data;
      const without = captured(await run([kill(1)]), 'logits').data;
      const ablated = await run([
        {
          kind: 'write',
          at: { site: 'blocks.1.attn.hook_z', head: [1] },
          op: 'set',
          value: { kind: 'const', value: 0 },
        },
      ]);
      expect(without).not.toEqual(before);
      without.forEach((value, at) => {
        expect(value).toBeCloseTo(captured(ablated, 'logits').data[at] ?? Number.NaN, 5);
      });
      expect(captured(await run([]), 'logits').data).toEqual(before);
      expect(captured(await run([kill(1)]), 'logits').data).toEqual(without);
    });

    test('variants with different edits each see their own', async (context) => {
      if (!executor) return context.skip('the addon does not load');
      const sweep = [[kill(0)], [], [kill(2)], [kill(0), kill(2)], [kill(0)]];
      const { data } = readoutTensor(await run([], sweep), 0);
      const size = data.length / sweep.length;
      const variant = (index: number) => [...data.subarray(index * size, (index + 1) * size)];
      expect(variant(4)).toEqual(variant(0));
      expect(new Set([0, 1, 2, 3].map((index) => variant(index).join())).size).toBe(4);
      for (const [index, list] of sweep.entries()) {
        expect(variant(index)).toEqual([...captured(await run(list), 'logits').data]);
      }
    });

    test('plans with the same edit may run at the same time', async (context) => {
      if (!executor) return context.skip('the addon does not load');
      const [a, b, c] = await Promise.all([run([kill(1)]), run([kill(1)]), run([])]);
      expect(captured(a, 'logits')).toEqual(captured(b, 'logits'));
      expect(captured(c, 'logits')).toEqual(captured(await run([]), 'logits'));
    });
  });
}

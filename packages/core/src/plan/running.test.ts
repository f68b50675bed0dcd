import type { Intervention, Readout } from '@circuitscope/schema';
import { describe, expect, type TestContext, test } from 'vitest';
import { engineFor } from '../architectures/index.ts';
import { chooseNative } from '../kernels/index.ts';
import type { Executor } from './executor.ts';
import { randomTokens, smallModels } from './fixtures/small-models.ts';
import { nativeExecutor } from './native-executor.ts';
import { type Program, programBytes } from './program.ts';
import { referenceExecutor } from './reference-executor.ts';
import { makePlan, runPlan } from './run-plan.ts';

// What a call does besides computing: it can be stopped, it tells how far it is, it keeps to a budget.

const model = smallModels.gpt2();
const logits: Readout = { kind: 'capture', at: { site: 'logits' } };
const choice = await chooseNative({});
const native = choice.kind === 'native' ? nativeExecutor(choice.addon) : null;
const executors: readonly { name: string; get: (context: TestContext) => Executor }[] = [
  { name: 'reference', get: () => referenceExecutor() },
  {
    name: 'native',
    get: (context) => {
      if (!native) context.skip('the addon does not load');
      return native ?? referenceExecutor();
    },
  },
];

/** One change for every head and position. */
const sweep = Array.from({ length: 60 }, (_, index): Intervention[] => [
  {
    kind: 'write',
    at: { site: 'blocks.0.attn.hook_z', head: [index % 3], at: { kind: 'positions', positions: [index % 17] } },
    op: 'set',
    value: { kind: 'const', value: 0 },
  },
]);

describe.each(executors)('$name', ({ get }) => {
  test('a run that is aborted rejects with the reason and goes no further', async (context) => {
    const controller = new AbortController();
    const reason = new Error('the user pressed stop');
    let furthest = 0;
    const plan = makePlan(model.graph, { readouts: [logits], sweep });
    const running = runPlan(
      engineFor(model, get(context)),
      plan,
      { tokens: randomTokens(1, 96, 17) },
      {
        signal: controller.signal,
        onProgress: (share) => {
          furthest = share;
        },
      },
    );
    setTimeout(() => controller.abort(reason), 5);
    await expect(running).rejects.toBe(reason);
    expect(furthest).toBeLessThan(1);
    const stopped = furthest;
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(furthest).toBe(stopped);
  });

  test('a signal that was aborted before lets nothing run', async (context) => {
    const plan = makePlan(model.graph, { readouts: [logits] });
    const reason = new Error('too late');
    const seen: number[] = [];
    const running = runPlan(
      engineFor(model, get(context)),
      plan,
      { tokens: [[1, 2]] },
      {
        signal: AbortSignal.abort(reason),
        onProgress: (share) => seen.push(share),
      },
    );
    await expect(running).rejects.toBe(reason);
    expect(seen).toEqual([]);
  });

  test('progress never goes back, passes between, and ends at 1', async (context) => {
    const plan = makePlan(model.graph, { readouts: [logits], sweep });
    const seen: number[] = [];
    await runPlan(
      engineFor(model, get(context)),
      plan,
      { tokens: randomTokens(1, 4, 17) },
      {
        memoryBytes: 2 ** 19,
        onProgress: (share) => seen.push(share),
      },
    );
    expect(seen.length).toBeGreaterThan(3);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen[0]).toBeGreaterThanOrEqual(0);
    expect(seen[seen.length - 1]).toBe(1);
  });

  test('a plan over its budget is refused, and the message says what would help', async (context) => {
    const plan = makePlan(model.graph, { readouts: [logits] });
    const running = runPlan(engineFor(model, get(context)), plan, { tokens: [[1, 2, 3]] }, { memoryBytes: 1000 });
    await expect(running).rejects.toMatchObject({
      code: 'memory',
      expected: 'at most 1000',
      message: expect.stringContaining('fewer examples'),
    });
  });

  test('the budget is checked before anything is allocated', async (context) => {
    // A tebibyte in one value; the input is not even there.
    const program: Program = {
      version: 1,
      values: [0, 1].map((slot) => ({ shape: ['rows', 2 ** 19, 2 ** 19], dtype: 'f32', slot })),
      slots: 2,
      inputs: [{ name: 'x', value: 0 }],
      params: [],
      steps: [{ kernel: 'activation', in: [0], out: [1], params: [], attrs: { fn: 'relu' } }],
      outputs: [{ name: 'y', value: 1 }],
    };
    expect(programBytes(program, { rows: 1 })).toBe(2 ** 41);
    const binding = { sizes: { rows: 1 }, inputs: {} };
    const running = get(context).execute(program, model.weights, binding, { memoryBytes: 2 ** 30 });
    await expect(running).rejects.toMatchObject({ code: 'memory', got: String(2 ** 41) });
  });

  test('runs of one model at the same time do not disturb each other', async (context) => {
    const engine = engineFor(model, get(context));
    const prompts = [1, 2, 3, 4].map((seed) => ({ tokens: randomTokens(seed, 2, 9) }));
    const plan = makePlan(model.graph, { readouts: [logits] });
    const together = await Promise.all(prompts.map((prompt) => runPlan(engine, plan, prompt)));
    for (const [index, prompt] of prompts.entries()) {
      expect(together[index]).toEqual(await runPlan(engine, plan, prompt));
    }
  });
});

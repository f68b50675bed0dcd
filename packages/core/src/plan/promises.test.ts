import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Intervention, Readout } from '@circuitscope/schema';
import { describe, expect, type TestContext, test } from 'vitest';
import { engineFor, type Model } from '../architectures/index.ts';
import { listSites } from '../graph/index.ts';
import { chooseNative } from '../kernels/index.ts';
import type { Tensor } from '../tensor/index.ts';
import { compile } from './compile.ts';
import type { Executor } from './executor.ts';
import { randomTokens, smallModelNames, smallModels } from './fixtures/small-models.ts';
import { nativeExecutor } from './native-executor.ts';
import { boundShape, type Program, programBytes } from './program.ts';
import { referenceExecutor } from './reference-executor.ts';
import { captured, type Run, readoutTensor } from './run.ts';
import { type Engine, makePlan, type RunOptions, runPlan } from './run-plan.ts';

// The promises of the numerics at the level of whole plans: to the bit, whatever the threads, the company in the batch or
// the sweep, what is looked at, the instruction set, the runtime.

const choice = await chooseNative({});
const native = choice.kind === 'native' ? nativeExecutor(choice.addon) : null;
const reason = choice.kind === 'missing' ? `the addon does not load: ${choice.reason}` : '';
const logits: Readout = { kind: 'capture', at: { site: 'logits' } };

const executors: readonly { readonly name: string; readonly get: (context: TestContext) => Executor }[] = [
  { name: 'reference', get: () => referenceExecutor() },
  {
    name: 'native',
    get: (context) => {
      if (!native) context.skip(reason);
      return native ?? referenceExecutor();
    },
  },
];

function captureAll(model: Model): Readout[] {
  const readers = ['q', 'k', 'v'].flatMap((port) => [0, 1].map((layer) => `blocks.${layer}.hook_${port}_input`));
  const results = [0, 1].map((layer) => `blocks.${layer}.attn.hook_result`);
  const sites = [...listSites(model.graph).map(({ site }) => site), ...readers, ...results];
  return sites.map((site) => ({ kind: 'capture', at: { site } }));
}

/** Changes of every kind that needs no other run. */
function changes(model: Model): Intervention[][] {
  const site = (name: string) => ({ site: `blocks.0.${name}` });
  const zero = { kind: 'const', value: 0 } as const;
  const heads = Array.from({ length: model.spec.heads }, (_, head): Intervention[] => [
    { kind: 'write', at: { ...site('attn.hook_z'), head: [head] }, op: 'set', value: zero },
  ]);
  const cuts = Array.from({ length: model.spec.heads }, (_, head): Intervention[] => [
    {
      kind: 'edge',
      from: { kind: 'head', layer: 0, head },
      to: { kind: 'head', layer: 1, head: 0, port: 'q' },
      value: zero,
    },
    { kind: 'edge', from: { kind: 'input' }, to: { kind: 'logits', port: 'in' }, value: zero },
  ]);
  return [
    [],
    ...heads,
    [
      {
        kind: 'write',
        at: { ...site('hook_resid_pre'), at: { kind: 'positions', positions: [1, -1] } },
        op: 'scale',
        value: { kind: 'const', value: 1.5 },
      },
      {
        kind: 'write',
        at: { site: 'blocks.1.attn.hook_pattern', head: [1] },
        op: 'scale',
        value: { kind: 'const', value: 0.5 },
      },
    ],
    ...cuts,
    // Terms are added in an order that these lists must not decide.
    cuts.flat().reverse(),
    [{ kind: 'weight', param: 'unembed.W_U', row: 3, op: 'scale', value: { kind: 'const', value: -1 } }],
  ];
}

/** A row of a tensor whose leading axis is `index`ed. */
function part(tensor: Tensor, index: number, count = 1): Tensor {
  const [, ...rest] = tensor.shape;
  const size = rest.reduce((a, b) => a * b, 1);
  return { shape: [count, ...rest], data: tensor.data.slice(index * size, (index + count) * size) };
}

/** Bits, so that −0 differs from 0 and NaN equals itself. */
function bits(tensor: Tensor): { shape: readonly number[]; words: number[] } {
  return { shape: tensor.shape, words: Array.from(new Int32Array(Float32Array.from(tensor.data).buffer)) };
}

function expectSame(got: Run, want: Run, what: string): void {
  expect(got.results.length).toBe(want.results.length);
  for (const index of want.results.keys()) {
    expect(bits(readoutTensor(got, index)), `${what}, readout ${index}`).toEqual(bits(readoutTensor(want, index)));
  }
}

describe.each(executors)('$name', ({ get }) => {
  describe.each(smallModelNames)('%s', (name) => {
    const model = smallModels[name]();
    const tokens = randomTokens(5, 4, 13);
    const run = (
      executor: Executor,
      readouts: Readout[],
      options: RunOptions & { interventions?: Intervention[]; sweep?: Intervention[][]; tokens?: number[][] } = {},
    ) => {
      const { interventions = [], sweep, tokens: own = tokens, ...rest } = options;
      const plan = makePlan(model.graph, { readouts, interventions, ...(sweep ? { sweep } : {}) });
      const engine: Engine = engineFor(model, executor);
      return runPlan(engine, plan, { tokens: own }, rest);
    };

    test('a prompt has the same bits alone and in a batch', async (context) => {
      const executor = get(context);
      const together = await run(executor, captureAll(model));
      for (const [example, row] of tokens.entries()) {
        const alone = await run(executor, captureAll(model), { tokens: [row] });
        for (const index of alone.results.keys()) {
          const want = part(readoutTensor(together, index), example);
          expect(bits(readoutTensor(alone, index)), `example ${example}, readout ${index}`).toEqual(bits(want));
        }
      }
    });

    test('a prompt has the same bits whatever follows it', async (context) => {
      const executor = get(context);
      const long = captured(await run(executor, [logits]), 'logits');
      const short = captured(await run(executor, [logits], { tokens: tokens.map((row) => row.slice(0, 6)) }), 'logits');
      const [batch = 0, pos = 0, vocab = 0] = long.shape;
      for (let example = 0; example < batch; example++) {
        const begin = { shape: [6, vocab], data: long.data.slice(example * pos * vocab, (example * pos + 6) * vocab) };
        const want = { shape: [6, vocab], data: short.data.slice(example * 6 * vocab, (example + 1) * 6 * vocab) };
        expect(bits(begin)).toEqual(bits(want));
      }
    });

    test('a variant has the same bits alone, in a sweep, and in a sweep of small chunks', async (context) => {
      const executor = get(context);
      const sweep = changes(model);
      const readouts: Readout[] = [logits, { kind: 'capture', at: { site: 'blocks.1.attn.hook_z' } }];
      const memoryBytes = smallBudget(model, tokens, readouts);
      let calls = 0;
      const counting: Executor = {
        info: executor.info,
        execute: (...call) => {
          calls += 1;
          return executor.execute(...call);
        },
      };
      const swept = await run(counting, readouts, { sweep });
      const groups = calls;
      const chunked = await run(counting, readouts, { sweep, memoryBytes });
      expect(calls - groups).toBeGreaterThan(groups);
      expectSame(chunked, swept, 'chunked');
      for (const [variant, interventions] of sweep.entries()) {
        const alone = await run(executor, readouts, { interventions });
        for (const index of alone.results.keys()) {
          const whole = readoutTensor(swept, index);
          const want = part(whole, variant);
          expect(bits(readoutTensor(alone, index)), `variant ${variant}`).toEqual(
            bits({ shape: want.shape.slice(1), data: want.data }),
          );
        }
      }
      const distinct = new Set(sweep.map((_, variant) => bits(part(readoutTensor(swept, 0), variant)).words.join()));
      expect(distinct.size).toBe(sweep.length);
    });

    test('looking at every site changes no bit of the logits', async (context) => {
      const executor = get(context);
      const blind = await run(executor, [logits]);
      const watched = await run(executor, [logits, ...captureAll(model)]);
      expect(bits(captured(watched, 'logits'))).toEqual(bits(captured(blind, 'logits')));
      for (const readout of captureAll(model)) {
        if (readout.kind !== 'capture') continue;
        const alone = await run(executor, [logits, readout]);
        expect(bits(captured(alone, 'logits')), readout.at.site).toEqual(bits(captured(blind, 'logits')));
        const site = readout.at.site;
        expect(bits(captured(alone, site)), site).toEqual(bits(captured(watched, site)));
      }
    });

    test('changes that change nothing give every bit back', async (context) => {
      const executor = get(context);
      const clean = await run(executor, [logits, ...captureAll(model)]);
      const runs = new Map([['clean', clean]]);
      const own = { kind: 'run', name: 'clean' } as const;
      const sites = listSites(model.graph).map(({ site }) => site);
      const sweep: Intervention[][] = [
        ...sites.map((site): Intervention[] => [{ kind: 'write', at: { site }, op: 'set', value: own }]),
        ...sites.map((site): Intervention[] => [{ kind: 'freeze', at: { site }, value: own }]),
        ...sites.map((site): Intervention[] => [
          { kind: 'write', at: { site }, op: 'scale', value: { kind: 'const', value: 1 } },
        ]),
        // −0 + 0 is +0, a bit that no product or sum after it can see.
        ...sites.map((site): Intervention[] => [
          { kind: 'write', at: { site }, op: 'add', value: { kind: 'const', value: 0 } },
        ]),
        ...model.graph.params
          .slice(0, 4)
          .map(({ name: param }): Intervention[] => [
            { kind: 'weight', param, op: 'scale', value: { kind: 'const', value: 1 } },
          ]),
        [
          {
            kind: 'edge',
            from: { kind: 'head', layer: 0, head: 1 },
            to: { kind: 'head', layer: 1, head: 0, port: 'v' },
            value: own,
          },
          { kind: 'edge', from: { kind: 'input' }, to: { kind: 'logits', port: 'in' }, value: own },
        ],
      ];
      const result = captured(await run(executor, [logits], { sweep, runs }), 'logits');
      const want = bits(captured(clean, 'logits'));
      for (const [variant, list] of sweep.entries()) {
        const got = part(result, variant);
        expect(bits({ shape: got.shape.slice(1), data: got.data }), JSON.stringify(list)).toEqual(want);
      }
    });

    test('shared slots compute the same as a slot for every value', async (context) => {
      const executor = get(context);
      const sweep = changes(model).filter((list) => list.every(({ kind }) => kind !== 'weight'));
      const variants = sweep.map((list) =>
        list.filter((change) => change.kind !== 'weight' && change.kind !== 'detach'),
      );
      const readouts: Readout[] = [logits, { kind: 'loss' }, { kind: 'topK', at: { kind: 'last' }, k: 3 }];
      const { program, bind } = compile({ graph: model.graph, variants, readouts });
      const binding = bind({
        prompt: { tokens },
        batch: 4,
        pos: 13,
        variants: [...variants.keys()],
        runs: new Map(),
        artefacts: new Map(),
      });
      const spread: Program = {
        ...program,
        values: program.values.map((value, slot) => ({ ...value, slot })),
        slots: program.values.length,
      };
      expect(programBytes(program, binding.sizes)).toBeLessThan(0.65 * programBytes(spread, binding.sizes));
      const shared = await executor.execute(program, model.weights, binding);
      const apart = await executor.execute(spread, model.weights, binding);
      for (const { name: output, value } of program.outputs) {
        const length = boundShape(program.values[value]?.shape ?? [], binding.sizes).reduce((a, b) => a * b, 1);
        expect(shared[output]?.length).toBe(length);
        expect(shared[output]).toEqual(apart[output]);
      }
    });
  });
});

/** A budget in which a few variants fit at most. */
function smallBudget(model: Model, tokens: number[][], readouts: readonly Readout[]): number {
  let largest = 0;
  for (const list of changes(model)) {
    const alone = list.filter((change) => change.kind !== 'weight' && change.kind !== 'detach');
    const { program, bind } = compile({ graph: model.graph, variants: [alone, []], readouts });
    const { sizes } = bind({
      prompt: { tokens },
      batch: tokens.length,
      pos: tokens[0]?.length ?? 0,
      variants: [0],
      runs: new Map(),
      artefacts: new Map(),
    });
    largest = Math.max(largest, programBytes(program, sizes));
  }
  return Math.ceil(1.5 * largest);
}

describe('threads', () => {
  for (const name of smallModelNames) {
    test(`${name}: 1, 2, 3 and 7 give the same bits`, async (context) => {
      if (!native) return context.skip(reason);
      const model = smallModels[name]();
      const plan = makePlan(model.graph, { readouts: captureAll(model) });
      const tokens = randomTokens(9, 5, 17);
      const one = await runPlan(engineFor(model, native), plan, { tokens }, { threads: 1 });
      for (const threads of [2, 3, 7]) {
        expectSame(await runPlan(engineFor(model, native), plan, { tokens }, { threads }), one, `${threads} threads`);
      }
    });
  }
});

describe('processes', () => {
  const script = fileURLToPath(new URL('./fixtures/digest-plans.ts', import.meta.url));
  const tools = join(dirname(script), '../../../../../node_modules/.bin');
  const start = async (command: string, args: string[], env: { readonly [name: string]: string }): Promise<string> => {
    const { stdout } = await promisify(execFile)(command, args, { env: { ...process.env, ...env } });
    return stdout.trim();
  };

  for (const isa of ['portable', 'avx2', 'avx512', 'neon']) {
    test(`${isa} has the bits of the instruction set in use`, async (context) => {
      if (choice.kind === 'missing') return context.skip(reason);
      const { isas } = choice.addon.info();
      if (!isas.includes(isa)) return context.skip(`this processor has ${isas.join(', ')}, not ${isa}`);
      const env = { CIRCUITSCOPE_EXECUTOR: 'native' };
      const [pinned, free] = await Promise.all([
        start(process.execPath, [script], { ...env, CIRCUITSCOPE_ISA: isa }),
        start(process.execPath, [script], env),
      ]);
      expect(pinned).toBe(`native ${isa} ${free.split(' ')[2]}`);
      expect(free).toMatch(/ sha256:[0-9a-f]{64}$/);
    });
  }

  for (const executor of ['native', 'reference']) {
    test(`${executor}: Bun and Node compute the same bits`, async (context) => {
      if (executor === 'native' && !native) return context.skip(reason);
      const [node, tsx] = [join(tools, 'node'), join(tools, 'tsx')];
      if (!existsSync(node) || !existsSync(tsx))
        return context.skip('Node and tsx are not installed beside this package');
      const env = { CIRCUITSCOPE_EXECUTOR: executor };
      const [inBun, inNode] = await Promise.all([
        start(process.execPath, [script], env),
        start(tsx, [script], { ...env, PATH: `${tools}${delimiter}${process.env.PATH}` }),
      ]);
      expect(inBun).toMatch(new RegExp(`^${executor} \\w+ sha256:[0-9a-f]{64}$`));
      expect(inNode).toBe(inBun);
    });
  }
});

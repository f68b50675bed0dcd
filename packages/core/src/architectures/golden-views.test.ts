import { describe, expect, test } from 'vitest';
import { listSites } from '../graph/index.ts';
import {
  captured,
  chooseExecutor,
  type Engine,
  type Executor,
  makePlan,
  readoutTensor,
  readWeight,
  referenceExecutor,
  runPlan,
} from '../plan/index.ts';
import { lensCase, lensCases, lensFloat64Bound, lensModel, siteOfHook } from './lens-cases.fixture.ts';
import { engineFor, modelRef } from './load-model.ts';
import { ParityTable, transformerKinds } from './parity-table.fixture.ts';
import { recorded, relativeError, sharedFolder, withoutShared } from './shared-data.ts';
import { viewModel } from './views.ts';

// Both views against TransformerLens's caches: `HookedTransformer` without processing, and with all of it.

const executors: { readonly name: string; readonly get: () => Promise<Executor>; readonly bound: number }[] = [
  { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), bound: 2e-7 },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, bound: 1e-4 },
];

const logitsOf = async (engine: Engine, tokens: readonly (readonly number[])[]) =>
  captured(
    await runPlan(engine, makePlan(engine.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] }), {
      tokens,
    }),
    'logits',
  );

const table = new ParityTable('Views of models and toys', transformerKinds.slice(2));

describe.skipIf(!sharedFolder)(`recorded views${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const name of lensCases) {
    for (const { name: by, get, bound: usual } of executors) {
      const bound = Math.max(usual, lensFloat64Bound(name));
      for (const view of ['raw', 'folded'] as const) {
        test(`${name}, ${view}: every recorded hook, computed by ${by}`, async () => {
          const engine = engineFor(viewModel(lensModel(name), view), await get());
          const file = recorded('golden/lens', name, `${view}.safetensors`);
          const known = new Set(listSites(engine.graph).map(({ site }) => site));
          const hooks = file.names.filter((hook) => known.has(siteOfHook(hook)) || hook.endsWith('.hook_result'));
          const missing = file.names.filter(
            (hook) => !hooks.includes(hook) && !['unembed.hook_in', 'loss'].includes(hook),
          );
          expect(missing).toEqual([]);
          const readouts = hooks.map((hook) => ({ kind: 'capture' as const, at: { site: siteOfHook(hook) } }));
          const { tokens } = lensCase(name);
          const plan = makePlan(engine.graph, { readouts: [...readouts, { kind: 'loss' }] });
          const run = await runPlan(engine, plan, { tokens });
          const losses = Float64Array.from(readoutTensor(run, readouts.length).data);
          const counted = tokens.length * ((tokens[0]?.length ?? 0) - 1);
          const mean = losses.reduce((sum, loss) => sum + loss, 0) / counted;
          const compare = (hook: string, error: number): void => {
            expect(error, hook).toBeLessThan(bound);
            table.add(`${name}, ${view}`, by, hook, error);
          };
          compare('loss', Math.abs(mean / file.read('loss').data[0]! - 1));
          for (const hook of hooks) {
            compare(siteOfHook(hook), relativeError(captured(run, siteOfHook(hook)), file.read(hook)));
          }
          expect(hooks.length).toBeGreaterThan(12);
        });
      }
    }

    test(`${name}: folding shifts each row of logits by a constant, and the raw view gives its old bits`, async () => {
      const model = lensModel(name);
      const { tokens } = lensCase(name);
      const executor = (await chooseExecutor()).executor;
      const before = await logitsOf(engineFor(model, executor), tokens);
      const folded = viewModel(model, 'folded');
      await logitsOf(engineFor(folded, executor), tokens);
      expect(await logitsOf(engineFor(model, executor), tokens)).toEqual(before);
      expect(viewModel(folded, 'raw').graph).toBe(model.graph);

      const exact = referenceExecutor({ precision: 'f64' });
      const raw = (await logitsOf(engineFor(model, exact), tokens)).data;
      const shifted = (await logitsOf(engineFor(folded, exact), tokens)).data;
      const vocab = model.spec.vocab;
      for (let row = 0; row < raw.length / vocab; row++) {
        const shift = raw[row * vocab]! - shifted[row * vocab]!;
        for (let id = 0; id < vocab; id++)
          expect(raw[row * vocab + id]! - shifted[row * vocab + id]!).toBeCloseTo(shift, 10);
      }
    });
  }

  for (const name of ['gpt2', 'llama', 'toy-solu-ln']) {
    test(`${name}: processed weights are those that were recorded`, () => {
      const folded = viewModel(lensModel(name), 'folded');
      const file = recorded('golden/lens', name, 'weights.folded.safetensors');
      const { headWidth, width } = folded.spec;
      let compared = 0;
      for (const recordedName of file.names) {
        const weight = recordedName.replace('._', '.');
        if (!folded.weights.has(weight)) continue;
        const expected = file.read(recordedName);
        const got = readWeight(folded.weights, weight);
        if (expected.shape.length < 3 || weight.endsWith('W_O')) {
          expect(relativeError({ shape: expected.shape, data: got.data }, expected), weight).toBeLessThan(
            0.5 * lensFloat64Bound(name),
          );
        } else {
          // [head, model, d_head] there, [model, head · d_head] here.
          const columns = got.shape[1] ?? 0;
          expected.data.forEach((value, at) => {
            const [head, row, unit] = [
              Math.floor(at / (width * headWidth)),
              Math.floor(at / headWidth) % width,
              at % headWidth,
            ];
            expect(got.data[row * columns + head * headWidth + unit]).toBeCloseTo(value, 6);
          });
        }
        compared += 1;
      }
      expect(compared).toBeGreaterThan(6);
      // Norms that were folded away stand in the record as ones and zeros.
      const gone = file.names.filter((recordedName) => /\.ln\w*\.[wb]$/.test(recordedName));
      for (const norm of gone) {
        expect(
          folded.graph.params.some((param) => param.name === norm),
          norm,
        ).toBe(false);
        expect(new Set(file.read(norm).data), norm).toEqual(new Set([norm.endsWith('w') ? 1 : 0]));
      }
    });
  }

  test('the parity table has both views of every model', () => {
    table.finish(
      lensCases.flatMap((name) => [`${name}, raw`, `${name}, folded`]),
      executors.map(({ name }) => name),
    );
  });

  test('what is stored untouched stays a view of the file, and a reference names its view', async () => {
    const model = lensModel('llama');
    const folded = viewModel(model, 'folded');
    expect(folded.weights.get('blocks.0.attn.W_O')?.mapping).toEqual(model.weights.get('blocks.0.attn.W_O')?.mapping);
    expect(folded.weights.get('blocks.0.attn.W_Q')?.mapping).toBeUndefined();
    expect((await modelRef(folded)).view).toBe('folded');
    expect((await modelRef(viewModel(folded, 'raw'))).view).toBe('raw');
    expect(folded.unfolded).toEqual([]);
  });
});

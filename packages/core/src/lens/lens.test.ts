import type { Pos } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { engineFor, viewModel } from '../architectures/index.ts';
import { lensCase, lensCases, lensFloat64Bound, lensModel } from '../architectures/lens-cases.fixture.ts';
import { recorded, relativeError, sharedFolder, withoutShared } from '../architectures/shared-data.ts';
import { captured, chooseExecutor, makePlan, referenceExecutor, runPlan } from '../plan/index.ts';
import { attributeLogits } from './attribute-logits.ts';
import { decomposeStream, type StreamParts } from './decompose-stream.ts';
import { logitLens } from './logit-lens.ts';

const LAST: Pos = { kind: 'last' };

const executors = [
  { by: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), bound: 2e-7, sum: 1e-9 },
  { by: 'the chosen executor', get: async () => (await chooseExecutor()).executor, bound: 1e-4, sum: 1e-5 },
] as const;

/** Recorded stacks at the last position, with the names of their labels. */
const stacks: readonly { file: string; labels: string; parts: StreamParts; applyNorm: boolean }[] = [
  ...([false, true] as const).flatMap((mid) =>
    [false, true].map((applyNorm) => ({
      file: `accumulated_resid${mid ? '_with_mid' : ''}${applyNorm ? '_ln' : ''}`,
      labels: `accumulated_resid${mid ? '_with_mid' : ''}`,
      parts: { kind: 'accumulated', mid } as const,
      applyNorm,
    })),
  ),
  ...(['all', 'attn', 'mlp'] as const).map((of) => ({
    file: `decompose_resid_${of}`,
    labels: `decompose_resid_${of}`,
    parts: { kind: 'layers', of } as const,
    applyNorm: false,
  })),
  { file: 'stack_head_results', labels: 'stack_head_results', parts: { kind: 'heads' }, applyNorm: false },
  { file: 'full_decomposition_ln', labels: 'full_decomposition', parts: { kind: 'full' }, applyNorm: true },
];

describe.skipIf(!sharedFolder)(`recorded decompositions${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const { by, get, bound: usual, sum } of executors) {
    for (const name of lensCases) {
      const bound = Math.max(usual, lensFloat64Bound(name));
      for (const view of ['raw', 'folded'] as const) {
        test(`${name}, ${view}: every stack and attribution of TransformerLens, by ${by}`, async () => {
          const engine = engineFor(viewModel(lensModel(name), view), await get());
          const { tokens, labels, answer, wrong_answer: wrong } = lensCase(name);
          const file = recorded('golden/lens', name, `analysis.${view}.safetensors`);
          let compared = 0;
          for (const { file: stored, labels: key, parts, applyNorm } of stacks) {
            const expected = `${stored}[component,batch,d_model]`;
            if (!file.names.includes(expected)) continue;
            const stack = await decomposeStream(engine, { tokens }, parts, { at: LAST, applyNorm });
            const { shape, data } = stack.tensor;
            expect(stack.labels, stored).toEqual(labels[key]);
            expect(shape[2]).toBe(1);
            const flat = { shape: [shape[0] ?? 0, shape[1] ?? 0, shape[3] ?? 0], data };
            expect(relativeError(flat, file.read(expected)), stored).toBeLessThan(bound);
            compared += 1;
          }
          expect(compared).toBeGreaterThan(4);

          // The raw view's records leave the gain of the last norm out, so only the folded ones are attributions.
          for (const by_ of ['layers', 'heads'] as const) {
            const found = await attributeLogits(engine, { tokens }, { answer, wrong, at: LAST, by: by_ });
            found.sum.forEach((total, example) => {
              const scale = Math.max(1, Math.abs(found.logit[example] ?? 0));
              expect(Math.abs(total - (found.logit[example] ?? 0)) / scale).toBeLessThan(sum);
            });
            if (view === 'raw') continue;
            const recordedName = by_ === 'layers' ? 'components' : 'heads';
            const expected = file.read(`logit_attrs_difference_${recordedName}[component,batch]`);
            const order = labels[by_ === 'layers' ? 'decompose_resid_all' : 'stack_head_results'] ?? [];
            const size = found.examples;
            const largest = Math.max(...Array.from(expected.data, Math.abs));
            order.forEach((label, row) => {
              if (label === 'remainder') return;
              const part = found.labels.indexOf(label);
              for (let example = 0; example < size; example++) {
                const difference =
                  (found.values[part * size + example] ?? Number.NaN) - expected.data[row * size + example]!;
                expect(Math.abs(difference) / largest, label).toBeLessThan(bound);
              }
            });
          }
        });
      }
    }
  }

  test('the lens says at the end what the model says, and before it what the recorded stream would', async () => {
    for (const view of ['raw', 'folded'] as const) {
      const engine = engineFor(viewModel(lensModel('gpt2'), view), referenceExecutor({ precision: 'f64' }));
      const { tokens } = lensCase('gpt2');
      const target = tokens.map((row) => row.map((id) => (id + 1) % 97));
      const lens = await logitLens(engine, { tokens }, { at: { kind: 'all' }, topK: 5, target, bytesAtOnce: 20_000 });
      const plan = makePlan(engine.graph, { readouts: [{ kind: 'capture', at: { site: 'logits' } }] });
      const logits = captured(await runPlan(engine, plan, { tokens }), 'logits').data;
      const places = lens.batch * lens.positions;
      expect(lens.labels).toEqual(['0_pre', '1_pre', 'final_post']);
      for (let place = 0; place < places; place++) {
        const row = Array.from(logits.subarray(place * 97, (place + 1) * 97));
        const at = 2 * places + place;
        const best = row.map((value, id) => ({ value, id })).sort((a, b) => b.value - a.value || a.id - b.id);
        for (let i = 0; i < 5; i++) {
          expect(lens.topK.ids[at * 5 + i]).toBe(best[i]?.id);
          expect(lens.topK.logits[at * 5 + i]).toBe(best[i]?.value);
        }
        const logZ = Math.log(row.reduce((total, value) => total + Math.exp(value), 0));
        const entropy = row.reduce((total, value) => total + Math.exp(value - logZ) * (logZ - value), 0);
        expect(lens.entropy[at]).toBeCloseTo(entropy, 10);
        expect(lens.klToFinal[at]).toBe(0);
        const id = target.flat()[place] ?? 0;
        expect(lens.target?.logProb[at]).toBeCloseTo((row[id] ?? 0) - logZ, 10);
        expect(lens.target?.rank[at]).toBe(best.findIndex((one) => one.id === id));
      }
    }
  });

  test('divergence from the end is that of the distributions, whatever the chunk', async () => {
    const engine = engineFor(lensModel('llama'), referenceExecutor({ precision: 'f64' }));
    const { tokens } = lensCase('llama');
    const whole = await logitLens(engine, { tokens }, { at: LAST, topK: 97 });
    const parts = await logitLens(engine, { tokens }, { at: LAST, topK: 97, bytesAtOnce: 1 });
    expect(parts).toEqual(whole);
    const [streams, batch] = [whole.labels.length, whole.batch];
    const p = (stream: number, example: number): Map<number, number> =>
      new Map(
        Array.from({ length: 97 }, (_, i) => {
          const at = (stream * batch + example) * 97 + i;
          return [whole.topK.ids[at] ?? -1, whole.topK.logProbs[at] ?? 0];
        }),
      );
    for (let stream = 0; stream < streams; stream++) {
      for (let example = 0; example < batch; example++) {
        const [model, here] = [p(streams - 1, example), p(stream, example)];
        let kl = 0;
        for (const [id, logP] of model) kl += Math.exp(logP) * (logP - (here.get(id) ?? 0));
        expect(whole.klToFinal[stream * batch + example]).toBeCloseTo(kl, 9);
      }
    }
  });

  test('the native lens has the bits of the model own logits, and the reference numbers', async () => {
    const model = lensModel('gpt2');
    const { tokens } = lensCase('gpt2');
    const native = engineFor(model, (await chooseExecutor()).executor);
    const lens = await logitLens(native, { tokens }, { at: { kind: 'all' }, topK: 1 });
    const top = await runPlan(
      native,
      makePlan(model.graph, { readouts: [{ kind: 'topK', at: { kind: 'all' }, k: 1 }] }),
      { tokens },
    );
    const [result] = top.results;
    const places = lens.batch * lens.positions;
    if (result?.kind !== 'topK') throw new Error('no topK');
    expect(lens.topK.ids.subarray(2 * places)).toEqual(result.indices.data);
    expect(lens.topK.logits.subarray(2 * places)).toEqual(result.values.data);
    const exact = await logitLens(
      engineFor(model, referenceExecutor({ precision: 'f64' })),
      { tokens },
      {
        at: { kind: 'all' },
        topK: 1,
      },
    );
    lens.klToFinal.forEach((kl, at) => {
      expect(kl).toBeCloseTo(exact.klToFinal[at] ?? 0, 4);
    });
    lens.entropy.forEach((entropy, at) => {
      expect(entropy).toBeCloseTo(exact.entropy[at] ?? 0, 4);
    });
  });

  test('neurons of a layer add up to their MLP, and their attributions too', async () => {
    for (const name of ['gpt2', 'llama', 'toy-gelu-nonorm']) {
      const engine = engineFor(lensModel(name), referenceExecutor({ precision: 'f64' }));
      const { tokens, answer, wrong_answer: wrong } = lensCase(name);
      const layers = await decomposeStream(engine, { tokens }, { kind: 'layers' }, { at: LAST });
      const full = await decomposeStream(engine, { tokens }, { kind: 'full', neurons: [0] }, { at: LAST });
      const size = full.tensor.data.length / full.labels.length;
      const total = (stack: typeof full): number[] => {
        const sums = new Array<number>(size).fill(0);
        stack.tensor.data.forEach((value, at) => {
          sums[at % size] = (sums[at % size] ?? 0) + value;
        });
        return sums;
      };
      const expected = total(layers);
      total(full).forEach((value, at) => {
        expect(value).toBeCloseTo(expected[at] ?? 0, 9);
      });
      expect(full.labels.filter((label) => label.startsWith('L0N'))).toHaveLength(lensModel(name).spec.inner);

      const whole = await attributeLogits(engine, { tokens }, { answer, at: LAST, by: 'layers' });
      const split = await attributeLogits(engine, { tokens }, { answer, wrong, at: LAST, by: 'heads', neurons: [0] });
      whole.sum.forEach((sum, example) => {
        expect(sum).toBeCloseTo(whole.logit[example] ?? 0, 9);
      });
      split.sum.forEach((sum, example) => {
        expect(sum).toBeCloseTo(split.logit[example] ?? 0, 9);
      });
    }
  });

  test('mistakes', async () => {
    const engine = engineFor(lensModel('gpt2'), referenceExecutor());
    const { tokens } = lensCase('gpt2');
    const common = { at: LAST, by: 'layers' } as const;
    const refused = (options: Parameters<typeof attributeLogits>[2]) => attributeLogits(engine, { tokens }, options);
    await expect(refused({ ...common, answer: [1] })).rejects.toMatchObject({ code: 'bad_readout' });
    await expect(refused({ ...common, answer: [1, 97] })).rejects.toMatchObject({ code: 'bad_readout' });
    await expect(refused({ ...common, answer: [1, 2], at: { kind: 'all' } })).rejects.toMatchObject({
      code: 'bad_readout',
    });
    await expect(refused({ ...common, answer: [1, 2], neurons: [2] })).rejects.toMatchObject({ code: 'unknown_layer' });
    await expect(logitLens(engine, { tokens }, { at: LAST, target: [[1]] })).rejects.toMatchObject({
      code: 'bad_readout',
    });
  });
});

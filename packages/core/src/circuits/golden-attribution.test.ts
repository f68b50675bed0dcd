import type { Task } from '@circuitscope/schema';
import { edgeLabel } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { loadModel } from '../architectures/load-model.ts';
import { recorded, sharedFolder, sharedJson, sharedPath, withoutShared } from '../architectures/shared-data.ts';
import { decompose, edgesOf } from '../graph/index.ts';
import { chooseExecutor, type Engine, type Executor, referenceExecutor } from '../plan/index.ts';
import { attributionPatching } from './attribution-patching.ts';
import { eapScores } from './eap.ts';
import { asEffects, exactPatchScores } from './edge-scores.ts';
import { judgeAgainst } from './judge-edges.ts';
import { taskData } from './task-data.ts';

// Attribution patching, EAP and EAP-IG on a small random GPT-2, against a plain float64 implementation with autograd.

interface Case {
  readonly clean_tokens: number[][];
  readonly corrupt_tokens: number[][];
  readonly answer: number[];
  readonly wrong_answer: number[];
  readonly edges: readonly string[];
  readonly ig_steps: number;
}

const precisions: readonly { readonly name: string; readonly get: () => Promise<Executor>; readonly bound: number }[] =
  [
    { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), bound: 1e-8 },
    { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, bound: 5e-4 },
  ];
const about = { ablation: 'resample', metric: 'logit_diff' } as const;

describe.skipIf(!sharedFolder)(`recorded attributions${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const { name, get, bound } of precisions) {
    describe(name, async () => {
      if (!sharedFolder) return;
      const { engine, data, edges, order } = await prepare(await get());

      test('every recorded attribution of a site agrees, with the sign turned', async () => {
        const file = recorded('golden/circuits/patching.safetensors');
        const names = file.names.filter((one) => one.startsWith('attribution/'));
        const sites = names.map((one) => one.replace(/^attribution\/|\[.*\]$/g, ''));
        const { sites: found } = await attributionPatching(engine, data, sites, about);
        for (const [at, one] of names.entries()) {
          const expected = file.read(one);
          expect(found[at]?.shape, one).toEqual(expected.shape);
          expect(
            error(
              found[at]?.values.map((value) => -value),
              expected.data,
            ),
            one,
          ).toBeLessThan(bound);
        }
        expect(names.length).toBe(18);
      });

      test.each([
        ['eap', undefined],
        ['eap_ig_paper_k_1_to_m', 'paper'],
        ['eap_ig_code_k_0_to_m_minus_1', 'code'],
      ] as const)('%s agrees on every edge, with the sign turned, in one chunk or in many', async (recording, sum) => {
        const expected = order(recorded('golden/circuits/edges.safetensors').read(`edges/${recording}`).data);
        const integrate = sum ? { integrate: { steps: steps(), sum } } : {};
        for (const memory of [{}, { memoryBytes: 3 << 20 }]) {
          const scores = await eapScores(engine, data, edges, { ...about, ...integrate, ...memory });
          expect(
            error(
              scores.scores.map((value) => -value),
              expected,
            ),
          ).toBeLessThan(bound);
          expect(scores.backwards).toBe(sum ? steps() : 1);
          expect(asEffects(scores)).toEqual(scores.scores);
        }
      });
    });
  }

  test('on random weights EAP agrees with the exact effects in rank and sign', async () => {
    const { engine, data, edges } = await prepare(referenceExecutor({ precision: 'f64' }));
    const exact = await exactPatchScores(engine, data, edges, about);
    const agreement = judgeAgainst(await eapScores(engine, data, edges, about), exact);
    expect(agreement.rank).toBeGreaterThan(0.5);
    expect(agreement.sameSign).toBeGreaterThan(0.5);
  });
});

const steps = (): number => (sharedJson('golden/circuits/case.json') as Case).ig_steps;

async function prepare(executor: Executor) {
  const record = sharedJson('golden/circuits/case.json') as Case;
  const model = loadModel(sharedPath('golden/models/gpt2'));
  const engine: Engine = { graph: model.graph, weights: model.weights, executor };
  const task: Task = {
    kind: 'task',
    version: 1,
    name: 'recorded',
    metric: { kind: 'logit_diff' },
    examples: record.clean_tokens.map((clean, at) => ({
      clean,
      corrupt: record.corrupt_tokens[at] ?? [],
      answer: record.answer[at] ?? 0,
      wrongAnswer: record.wrong_answer[at] ?? 0,
    })),
  };
  const edges = edgesOf(decompose(engine.graph));
  // The record says `a0.h1->a1.h2<q>`, we say `0.1→1.2.Q`.
  const places = new Map(record.edges.map((text, at) => [text, at]));
  const named = ({ from, to }: (typeof edges)[number]): string => {
    const writer =
      from.kind === 'head' ? `a${from.layer}.h${from.head}` : from.kind === 'mlp' ? `m${from.layer}` : 'input';
    const reader =
      to.kind === 'head' ? `a${to.layer}.h${to.head}<${to.port}>` : to.kind === 'mlp' ? `m${to.layer}` : 'logits';
    return `${writer}->${reader}`;
  };
  const order = (values: ArrayLike<number>): Float64Array =>
    Float64Array.from(edges, (edge) => {
      const at = places.get(named(edge));
      if (at === undefined) throw new Error(`${edgeLabel(edge)} is not in the record`);
      return values[at] ?? Number.NaN;
    });
  return { engine, data: taskData(task), edges, order };
}

function error(got: ArrayLike<number> = [], expected: ArrayLike<number>): number {
  let [worst, largest] = [0, 0];
  for (let at = 0; at < expected.length; at++) {
    worst = Math.max(worst, Math.abs((got[at] ?? Number.NaN) - (expected[at] as number)));
    largest = Math.max(largest, Math.abs(expected[at] as number));
  }
  return worst / largest;
}

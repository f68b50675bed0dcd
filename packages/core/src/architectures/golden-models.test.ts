import { describe, expect, test } from 'vitest';
import {
  captured,
  chooseExecutor,
  type Executor,
  makePlan,
  type Prompt,
  referenceExecutor,
  runPlan,
} from '../plan/index.ts';
import { loadModel } from './load-model.ts';
import { recorded, relativeError, sharedFolder, sharedJson, sharedPath, withoutShared } from './shared-data.ts';

// Every site that transformers computes in float64 for small random models of each family, with and without padding.

interface Case {
  readonly runs: readonly {
    readonly name: string;
    readonly file: string;
    readonly tokens: number[][];
    readonly attention_mask?: number[][];
    readonly logit_diff: { readonly position: number[]; readonly answer: number[]; readonly wrong_answer: number[] };
  }[];
  readonly tolerance: {
    readonly float32: number;
    readonly float64: number;
    readonly float64_of_tensors_stored_as_F32: number;
  };
}

const families = ['gpt2', 'gpt2-inverse-layer-scale', 'llama', 'llama-bias-headdim'];

const executors: { readonly name: string; readonly get: () => Promise<Executor>; readonly double: boolean }[] = [
  { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), double: true },
  { name: 'the reference in float32', get: async () => referenceExecutor(), double: false },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, double: false },
];

describe.skipIf(!sharedFolder)(`recorded models${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const family of families) {
    for (const { name, get, double } of executors) {
      test(`${family}: every recorded site agrees, computed by ${name}`, async () => {
        const model = loadModel(sharedPath('golden/models', family));
        const { runs, tolerance } = sharedJson('golden/models', family, 'case.json') as Case;
        const executor = await get();
        for (const run of runs) {
          const file = recorded('golden/models', family, run.file);
          const sites = file.names.filter(
            (site) => !site.startsWith('grad/') && site !== 'loss' && site !== 'logit_diff',
          );
          const prompt: Prompt = run.attention_mask
            ? { tokens: run.tokens, mask: run.attention_mask }
            : { tokens: run.tokens };
          const { position, answer, wrong_answer: wrong } = run.logit_diff;
          const plan = makePlan(model.graph, {
            readouts: [
              { kind: 'logitDiff', at: { kind: 'perExample', positions: position }, answer, wrong },
              { kind: 'loss' },
              ...sites.map((site) => ({ kind: 'capture' as const, at: { site } })),
            ],
          });
          const result = await runPlan({ graph: model.graph, weights: model.weights, executor }, plan, prompt);
          const bound = double ? tolerance.float64_of_tensors_stored_as_F32 : tolerance.float32;
          for (const site of sites) {
            const expectedTensor = file.read(site);
            const got = captured(result, site);
            const ignore = run.attention_mask ? hidePadding(site, got.shape, run.attention_mask) : null;
            if (ignore) for (const tensor of [got, expectedTensor]) for (const at of ignore) tensor.data[at] = 0;
            expect(relativeError(got, expectedTensor), `${run.name} ${site}`).toBeLessThan(bound);
          }
          const [difference, loss] = result.results;
          if (difference?.kind !== 'logitDiff' || loss?.kind !== 'loss') throw new Error('readouts come in plan order');
          expect(
            relativeError({ shape: [run.tokens.length], data: difference.tensor.data }, file.read('logit_diff')),
          ).toBeLessThan(bound);
          const real = (example: number, at: number): boolean => (run.attention_mask?.[example]?.[at] ?? 1) !== 0;
          let counted = 0;
          run.tokens.forEach((row, example) => {
            for (let at = 0; at + 1 < row.length; at++) if (real(example, at) && real(example, at + 1)) counted++;
          });
          const mean = Array.from(loss.tensor.data).reduce((a, b) => a + b, 0) / counted;
          expect(Math.abs(mean / (file.read('loss').data[0] ?? 0) - 1)).toBeLessThan(bound);
        }
      });
    }
  }
});

/** Flat indices of padded queries, where the records hold zeros that mean nothing. */
function hidePadding(site: string, shape: readonly number[], mask: readonly (readonly number[])[]): number[] {
  const pattern = /hook_pattern|hook_attn_scores/.test(site);
  const posAxis = pattern ? 2 : 1;
  const inner = shape.slice(posAxis + 1).reduce((a, b) => a * b, 1);
  const pos = shape[posAxis] ?? 1;
  const perExample = shape.slice(1).reduce((a, b) => a * b, 1);
  const hidden: number[] = [];
  for (let at = 0; at < perExample * (shape[0] ?? 1); at++) {
    const example = Math.floor(at / perExample);
    if (mask[example]?.[Math.floor(at / inner) % pos] === 0) hidden.push(at);
  }
  return hidden;
}

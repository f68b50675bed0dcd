import { type Intervention, PatchAxis, PatchSite, type Task } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { engineFor, loadModel, type ModelView, viewModel } from '../architectures/index.ts';
import { lensCase, lensCases, lensFloat64Bound, lensModel } from '../architectures/lens-cases.fixture.ts';
import {
  recorded,
  relativeError,
  sharedFolder,
  sharedJson,
  sharedPath,
  withoutShared,
} from '../architectures/shared-data.ts';
import { taskData } from '../circuits/index.ts';
import { randomAttentionOnly } from '../circuits/random-model.fixture.ts';
import { chooseExecutor, makePlan, type Run, readoutTensor, referenceExecutor, runPlan } from '../plan/index.ts';
import { namedGrids, type PatchGridShape, patchGrids, patchSweep } from './patch-grid.ts';

interface Pairs {
  readonly clean: number[][];
  readonly corrupt: number[][];
  readonly answer: number[];
  readonly wrong: number[];
}

function dataOf({ clean, corrupt, answer, wrong }: Pairs) {
  const task: Task = {
    kind: 'task',
    version: 1,
    name: 'recorded',
    examples: clean.map((row, at) => ({
      clean: row,
      corrupt: corrupt[at] ?? [],
      answer: answer[at] ?? 0,
      wrongAnswer: wrong[at] ?? 0,
    })),
    metric: { kind: 'logit_diff' },
  };
  return taskData(task);
}

/** The grids that a file records as `denoise/SITE[AXES]`, in that order. */
function recordedGrids(names: readonly string[]): { readonly name: string; readonly grid: PatchGridShape }[] {
  return names.flatMap((name) => {
    const [, site, axes] = /^denoise\/(\w+)\[(.*)\]$/.exec(name) ?? [];
    if (site === undefined || axes === undefined) return [];
    return [
      { name, grid: { site: PatchSite.parse(site), axes: axes.split(',').map((axis) => PatchAxis.parse(axis)) } },
    ];
  });
}

const executors = [
  { by: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), bound: 1e-9 },
  { by: 'the chosen executor', get: async () => (await chooseExecutor()).executor, bound: 1e-4 },
] as const;

describe.skipIf(!sharedFolder)(`recorded patching grids${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const { by, get, bound: usual } of executors) {
    for (const name of lensCases) {
      const bound = Math.max(usual, lensFloat64Bound(name));
      for (const view of ['raw', 'folded'] as const satisfies readonly ModelView[]) {
        test(`${name}, ${view}: every grid of TransformerLens, by ${by}`, async () => {
          const { tokens: clean, corrupt_tokens: corrupt, answer, wrong_answer: wrong } = lensCase(name);
          const engine = engineFor(viewModel(lensModel(name), view), await get());
          const file = recorded('golden/lens', name, `analysis.${view}.safetensors`);
          const asked = recordedGrids(file.names);
          const grids = asked.map(({ grid }) => grid);
          const data = dataOf({ clean, corrupt, answer, wrong });
          const swept = await patchSweep(engine, data, { grids, direction: 'denoise' });
          swept.grids.forEach(({ shape, values }, at) => {
            const key = asked[at]?.name ?? '';
            expect(relativeError({ shape, data: values }, file.read(key)), key).toBeLessThan(bound);
          });
          expect(asked.length).toBeGreaterThan(6);
        });
      }
    }

    test(`the grids of a plain GPT-2, cells of patterns among them, by ${by}`, async () => {
      const found = sharedJson('golden/circuits/case.json') as {
        readonly clean_tokens: number[][];
        readonly corrupt_tokens: number[][];
        readonly answer: number[];
        readonly wrong_answer: number[];
      };
      const { clean_tokens: clean, corrupt_tokens: corrupt, answer, wrong_answer: wrong } = found;
      const engine = engineFor(loadModel(sharedPath('golden/models/gpt2')), await get());
      const file = recorded('golden/circuits/patching.safetensors');
      const asked = recordedGrids(file.names);
      const data = dataOf({ clean, corrupt, answer, wrong });
      const swept = await patchSweep(engine, data, { grids: asked.map(({ grid }) => grid), direction: 'denoise' });
      swept.grids.forEach(({ shape, values }, at) => {
        const key = asked[at]?.name ?? '';
        expect(relativeError({ shape, data: values }, file.read(key)), key).toBeLessThan(usual);
      });
      expect(asked.map(({ name }) => name)).toContain('denoise/pattern[layer,head,query,key]');
    });
  }
});

describe('a patching grid', () => {
  const { model } = randomAttentionOnly('LN');
  const pairs: Pairs = {
    clean: [
      [1, 2, 3, 4, 5, 6],
      [6, 5, 4, 3, 2],
      [7, 8, 9, 10, 1, 0],
    ],
    corrupt: [
      [1, 9, 3, 4, 5, 6],
      [6, 5, 4, 8, 2],
      [7, 8, 2, 10, 1, 0],
    ],
    answer: [3, 4, 5],
    wrong: [5, 6, 1],
  };
  const data = dataOf(pairs);

  for (const direction of ['denoise', 'noise'] as const) {
    test(`${direction}: each cell has the bits of a run of its own`, async () => {
      const engine = engineFor(model, (await chooseExecutor()).executor);
      const grids = [
        ...patchGrids['head-position'],
        ...patchGrids.ports,
        { site: 'resid_pre', axes: ['layer', 'position'] },
      ] as const;
      const swept = await patchSweep(engine, data, { grids, direction });
      const [from, into] = direction === 'denoise' ? [data.clean, data.corrupt] : [data.corrupt, data.clean];
      let compared = 0;
      for (const { site, axes, shape, perExample } of swept.grids) {
        const inner = shape.slice(1).reduce((a, b) => a * b, 1);
        for (let cell = 0; cell < perExample.length / 3; cell += 5) {
          const place = Object.fromEntries(
            axes.map((axis, i) => {
              const below = shape.slice(i + 1).reduce((a, b) => a * b, 1);
              return [axis, Math.floor(cell / below) % (shape[i] ?? 1)];
            }),
          );
          const at = {
            site: `blocks.${Math.floor(cell / inner)}.${site === 'resid_pre' ? '' : 'attn.'}hook_${site}`,
            ...(place.position === undefined
              ? {}
              : { at: { kind: 'positions' as const, positions: [place.position] } }),
            ...(place.head === undefined ? {} : { head: [place.head] }),
          };
          const source = await runPlan(
            engine,
            makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: at.site } }] }),
            from,
          );
          const interventions: Intervention[] = [
            { kind: 'write', at, op: 'set', value: { kind: 'run', name: 'source' } },
          ];
          const readouts = [{ kind: 'logitDiff' as const, at: data.at, answer: pairs.answer, wrong: pairs.wrong }];
          const alone = await runPlan(engine, makePlan(model.graph, { interventions, readouts }), into, {
            runs: new Map([['source', source]]),
          });
          expect(perExample.subarray(cell * 3, cell * 3 + 3), `${site} ${JSON.stringify(place)}`).toEqual(
            Float64Array.from(readoutTensor(alone, 0).data),
          );
          compared += 1;
        }
      }
      expect(compared).toBeGreaterThan(10);
    });
  }

  test('patching the whole of the first stream from a prompt gives that prompt, and costs less than a run per cell', async () => {
    const engine = engineFor(model, (await chooseExecutor()).executor);
    const grids = [{ site: 'resid_pre', axes: ['layer'] }] as const;
    const swept = await patchSweep(engine, data, { grids, direction: 'denoise' });
    expect(swept.grids[0]?.perExample.subarray(0, 3)).toEqual(swept.source);
    expect(swept.source).not.toEqual(swept.base);
    const wide = await patchSweep(engine, data, { grids: patchGrids['head-position'], direction: 'noise' });
    expect(wide.work.multiplyAdds).toBeLessThan(wide.work.dense / 2);
  });

  test.each(['denoise', 'noise'] as const)('%s: the metrics are those of the logits of each run', async (direction) => {
    const engine = engineFor(model, referenceExecutor({ precision: 'f64' }));
    const grids = namedGrids(model.graph, 'pattern');
    const [from, into] = direction === 'denoise' ? [data.clean, data.corrupt] : [data.corrupt, data.clean];
    const last = data.clean.mask?.map((row) => row.lastIndexOf(1)) ?? pairs.clean.map(({ length }) => length - 1);
    const readout = { kind: 'capture' as const, at: { site: 'logits' } };
    /** log softmax at the last token, by example. */
    const logProbs = (run: Run): number[][] => {
      const { shape, data: logits } = readoutTensor(run, 0);
      const [, pos = 0, vocab = 0] = shape;
      return last.map((at, example) => {
        const row = [...logits.subarray((example * pos + at) * vocab, (example * pos + at + 1) * vocab)];
        const all = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0));
        return row.map((value) => value - all);
      });
    };
    const clean = logProbs(await runPlan(engine, makePlan(model.graph, { readouts: [readout] }), data.clean));
    const source = await runPlan(
      engine,
      makePlan(model.graph, { readouts: [{ kind: 'capture', at: { site: 'blocks.1.attn.hook_pattern' } }] }),
      from,
    );
    const [query, key, head] = [4, 1, 1];
    const at = {
      site: 'blocks.1.attn.hook_pattern',
      at: { kind: 'positions' as const, positions: [query] },
      key: { kind: 'positions' as const, positions: [key] },
      head: [head],
    };
    const interventions: Intervention[] = [{ kind: 'write', at, op: 'set', value: { kind: 'run', name: 'source' } }];
    const plan = makePlan(model.graph, { interventions, readouts: [readout] });
    const patched = logProbs(await runPlan(engine, plan, into, { runs: new Map([['source', source]]) }));
    const answers = patched.map((row, example) => row[pairs.answer[example] ?? 0] ?? 0);
    const expected = {
      log_prob: answers,
      prob: answers.map(Math.exp),
      kl: patched.map((row, example) =>
        row.reduce((sum, p, id) => {
          const q = clean[example]?.[id] ?? 0;
          return sum + Math.exp(q) * (q - p);
        }, 0),
      ),
    };
    for (const metric of ['log_prob', 'prob', 'kl'] as const) {
      const swept = await patchSweep(engine, data, { grids, direction, metric });
      const [grid] = swept.grids;
      const [, heads = 0, pos = 0] = grid?.shape ?? [];
      const cell = ((heads + head) * pos + query) * pos + key;
      expected[metric].forEach((wish, example) => {
        expect(Math.abs((grid?.perExample[cell * 3 + example] ?? Number.NaN) - wish), metric).toBeLessThan(1e-9);
      });
      const ofClean = direction === 'denoise' ? swept.source : swept.base;
      if (metric === 'kl') for (const value of ofClean) expect(Math.abs(value)).toBeLessThan(1e-12);
    }
  });

  test('axes that a site lacks are refused', async () => {
    const engine = engineFor(model, referenceExecutor());
    for (const axes of [['position'], ['layer', 'key'], ['layer', 'position', 'position']] as const) {
      const grids = [{ site: 'z', axes }] as const;
      await expect(patchSweep(engine, data, { grids, direction: 'noise' })).rejects.toMatchObject({ code: 'bad_grid' });
    }
  });
});

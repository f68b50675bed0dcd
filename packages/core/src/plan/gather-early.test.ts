import type { Pos, Readout } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { listSites } from '../graph/index.ts';
import { chooseExecutor } from './choose-executor.ts';
import { randomTokens, smallModelNames, smallModels } from './fixtures/small-models.ts';
import { makePlan, runPlan } from './run-plan.ts';

const ends = [8, 6, 7];
const mask = ends.map((end) => Array.from({ length: 9 }, (_, at) => (at <= end ? 1 : 0)));
const prompt = { tokens: randomTokens(5, 3, 9), mask };
const places: Pos[] = [
  { kind: 'last' },
  { kind: 'perExample', positions: ends },
  { kind: 'positions', positions: [2, 5] },
];

describe.each(smallModelNames)('%s', (name) => {
  const model = smallModels[name]();
  const sites = listSites(model.graph).filter(({ site }) => site !== 'logits');
  const everything = sites.map(({ site }): Readout => ({ kind: 'capture', at: { site } }));

  const run = async (readouts: readonly Readout[]) => {
    const { executor } = await chooseExecutor();
    return runPlan(
      { graph: model.graph, weights: model.weights, executor },
      makePlan(model.graph, { readouts }),
      prompt,
    );
  };

  test.each(places)('the bits that it has where the whole stream is made, at $kind', async (at) => {
    const asked: Readout[] = [
      { kind: 'logitDiff', at, answer: [1, 2, 3], wrong: [4, 5, 6] },
      { kind: 'topK', at, k: 3 },
      { kind: 'entropy', at },
    ];
    const [few, all] = [await run(asked), await run([...asked, ...everything])];
    expect(few.results).toEqual(all.results.slice(0, asked.length));
    expect(few.multiplyAdds).toBeLessThan(0.97 * all.multiplyAdds);
  });

  test('readouts of two places keep the stream that both need', async () => {
    const asked = places.map((at): Readout => ({ kind: 'logitDiff', at, answer: [1, 2, 3], wrong: [4, 5, 6] }));
    const [few, all] = [await run(asked), await run([...asked, ...everything])];
    expect(few.results).toEqual(all.results.slice(0, asked.length));
    // Both places read the last MLP, so it is made once, everywhere.
    const [first = { kind: 'entropy', at: { kind: 'last' } }] = asked;
    expect((await run([first])).multiplyAdds).toBeLessThan(few.multiplyAdds);
  });
});

import { describe, expect, test } from 'vitest';
import { makePlan, runPlan } from '../plan/index.ts';
import { collectActivations } from './collect-activations.ts';
import { type FeatureProperty, featureData } from './feature-data.ts';
import { inductionModel } from './hand-written.fixture.ts';
import { perExample } from './per-example.ts';
import { recallPrompts } from './recall-prompts.ts';

const properties: readonly FeatureProperty[] = [{ kind: 'repeated' }, { kind: 'previousIs', token: 3 }];

for (const property of properties) {
  describe(`recall by ${property.kind}`, async () => {
    const { engine, model } = inductionModel(12, 12);
    const data = featureData(model.spec, property, { seed: 1, pairs: 30, length: 10, bos: 0 });
    const recall = recallPrompts(data);

    test('the answer followed the query’s token before, the wrong answer is another token of the prompt', () => {
      recall.tokens.forEach((prompt, pair) => {
        const query = recall.at[pair] ?? -1;
        const earlier = prompt.indexOf(prompt[query] ?? -1);
        expect(earlier).toBeLessThan(query - 1);
        expect(prompt[earlier + 1]).toBe(recall.answer[pair]);
        expect(prompt).toContain(recall.wrong[pair]);
        expect([recall.answer[pair], prompt[query], 0]).not.toContain(recall.wrong[pair]);
      });
    });

    test('a model that does induction by construction answers each one', async () => {
      const prompt = { tokens: recall.tokens };
      const readout = {
        kind: 'logitDiff' as const,
        at: { kind: 'perExample' as const, positions: recall.at },
        answer: recall.answer,
        wrong: recall.wrong,
      };
      const [differences = new Float64Array()] = perExample(
        await runPlan(engine, makePlan(engine.graph, { readouts: [readout] }), prompt),
        0,
        prompt,
      );
      for (const difference of differences) expect(difference).toBeCloseTo(5, 6);
    });

    test('before any attention both classes are the same to the bit at the position that is read', async () => {
      const [positives, negatives] = await Promise.all(
        [data.positives, data.nearMisses].map((tokens) =>
          collectActivations(engine, 'blocks.0.hook_resid_pre', { tokens, at: data.at }),
        ),
      );
      expect(positives).toEqual(negatives);
      expect(positives?.shape).toEqual([30, 36]);
    });
  });
}

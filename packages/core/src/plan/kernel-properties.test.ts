import { describe, expect, test } from 'vitest';
import { chooseNative, kernels } from '../kernels/index.ts';
import { properties } from '../kernels/properties/index.ts';
import { checkProperties } from './check-properties.fixture.ts';
import { deviations } from './deviations.fixture.ts';
import { type Executor, nativeExecutor, referenceExecutor } from './index.ts';

const choice = await chooseNative({});
const executor = choice.kind === 'native' ? nativeExecutor(choice.addon) : referenceExecutor();

test('every kernel of the contract has a property', () => {
  expect(Object.keys(properties).sort()).toEqual(Object.keys(kernels).sort());
});

describe('forward', () => {
  checkProperties((name) => !/grad|pool|conv|channel/.test(name), executor);
});

test('a wrong entry, and one that is not a number, are found', async () => {
  let planted = 1;
  const wrong: Executor = {
    ...executor,
    async execute(...given) {
      const results = await executor.execute(...given);
      for (const data of Object.values(results)) if (data.length > 0) data[0] = (data[0] as number) + planted;
      return results;
    },
  };
  let caught = 0;
  for (planted of [1, Number.NaN])
    for (let at = 0; at < 40; at++)
      for (const name of ['gram', 'softmax', 'qr'] as const)
        caught += (await deviations(wrong, name, at)).length > 0 ? 1 : 0;
  expect(caught).toBeGreaterThan(200);
});

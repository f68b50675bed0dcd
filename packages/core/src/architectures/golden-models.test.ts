import { describe, expect, test } from 'vitest';
import { chooseExecutor, type Executor, referenceExecutor } from '../plan/index.ts';
import { loadDecoder } from './load-model.ts';
import { measureParity, recordedCase } from './parity.fixture.ts';
import { ParityTable, transformerKinds } from './parity-table.fixture.ts';
import { float64Bound, recordedFamilies } from './recorded-families.fixture.ts';
import { sharedFolder, sharedPath, withoutShared } from './shared-data.ts';

// Every site that transformers computes in float64 for small random models of each family, with and without padding.

const executors: { readonly name: string; readonly get: () => Promise<Executor>; readonly double: boolean }[] = [
  { name: 'the reference in float64', get: async () => referenceExecutor({ precision: 'f64' }), double: true },
  { name: 'the reference in float32', get: async () => referenceExecutor(), double: false },
  { name: 'the chosen executor', get: async () => (await chooseExecutor()).executor, double: false },
];

const table = new ParityTable('Decoders: what they compute', transformerKinds.slice(2));

describe.skipIf(!sharedFolder)(`recorded models${sharedFolder ? '' : ` (skipped: ${withoutShared})`}`, () => {
  for (const family of recordedFamilies) {
    for (const { name, get, double } of executors) {
      test(`${family}: every recorded site agrees, computed by ${name}`, async () => {
        const { tolerance } = recordedCase(family);
        const sites = await measureParity(loadDecoder(sharedPath('golden/models', family)), family, await get());
        for (const { run, site, error, wide } of sites) {
          const exact = float64Bound(family, wide ? tolerance.float64 : tolerance.float64_of_tensors_stored_as_F32);
          expect(error, `${run} ${site}`).toBeLessThan(double ? exact : tolerance.float32);
          table.add(family, name, site, error);
        }
        expect(sites.length).toBeGreaterThanOrEqual(10);
      });
    }
  }

  test('the parity table has every family, with all that was recorded of it', () => {
    table.finish(
      recordedFamilies,
      executors.map(({ name }) => name),
    );
  });
});

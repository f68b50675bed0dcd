import { expect, test } from 'vitest';
import { isKernelName, type KernelName, kernels } from '../kernels/index.ts';
import { deviations } from './deviations.fixture.ts';
import type { Executor } from './executor.ts';

// Thousands of random shapes a kernel, native against float64. `CIRCUITSCOPE_PROPERTIES` is how many; a failure names the
// number of its call, and `CIRCUITSCOPE_PROPERTY_FROM` begins there.

const cases = Number(process.env.CIRCUITSCOPE_PROPERTIES ?? 2000);
const first = Number(process.env.CIRCUITSCOPE_PROPERTY_FROM ?? 0);

/** For tests alone: a test for each kernel of a kind. */
export function checkProperties(belongs: (name: KernelName) => boolean, executor: Executor): void {
  for (const name of Object.keys(kernels).filter(isKernelName).filter(belongs)) {
    test(`${name}, ${cases} calls`, { timeout: 30_000 + 20 * cases }, async () => {
      for (let at = first; at < first + cases; at++) {
        const found = await deviations(executor, name, at);
        if (found.length > 0) expect.fail(`call ${at} of ${name}, ${executor.info.path}: ${found.join('; ')}`);
      }
    });
  }
}

import { CircuitscopeError } from '@circuitscope/schema';
import { describe, expect, test } from 'vitest';
import { type ConformanceCase, conformanceCases, findDeviations } from '../kernels/conformance.ts';
import { chooseNative } from '../kernels/index.ts';
import type { Executor } from './executor.ts';
import { nativeExecutor } from './native-executor.ts';
import { runKernel } from './run-kernel.ts';

// The addon runs programs, not kernels: each conformance case is a program of one step, compared as the reference is.

const choice = await chooseNative({});

describe('native', () => {
  for (const entry of conformanceCases) {
    test(entry.name, async (context) => {
      if (choice.kind === 'missing') context.skip(`the addon does not load: ${choice.reason}`);
      else await check(entry, nativeExecutor(choice.addon));
    });
  }
});

async function check(entry: ConformanceCase, executor: Executor): Promise<void> {
  if (entry.fails) {
    const error = await runKernel(executor, entry).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(CircuitscopeError);
    expect(error).toHaveProperty('code', entry.fails);
  } else expect(findDeviations(entry, await runKernel(executor, entry), { bits: true })).toEqual([]);
}

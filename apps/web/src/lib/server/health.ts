import { chooseExecutor } from '@circuitscope/core';

/** What computes behind the pages; the reason stands where the reference executor serves. */
export async function health() {
  const { executor, fallbackReason } = await chooseExecutor();
  const { kind, path, threads } = executor.info;
  return { executor: kind, path, threads, ...(fallbackReason === null ? {} : { reason: fallbackReason }) };
}

import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/**
 * What every package's tests share. Threads, because Vitest's process pool does not work under Bun; one module graph
 * per thread, because starting each file afresh costs eight times the time. A test that changes global state restores it.
 */
export const base = defineConfig({
  test: {
    include: ['src/**/*.test.ts'],
    pool: 'threads',
    isolate: false,
    maxWorkers: Math.min(4, availableParallelism()),
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});

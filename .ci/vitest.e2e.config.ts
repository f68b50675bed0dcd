import { defineConfig } from 'vitest/config';
import { base } from './vitest.base.ts';

/** The tests that drive a browser; one at a time, for they share the machine with it. Merging would join the includes. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: ['e2e/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});

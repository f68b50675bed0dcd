import { mergeConfig } from 'vitest/config';
import { base } from '../.ci/vitest.base.ts';

export default mergeConfig(base, { test: { include: ['peers/*.test.ts'] } });

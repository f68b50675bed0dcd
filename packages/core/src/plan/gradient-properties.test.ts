import { describe } from 'vitest';
import { chooseNative } from '../kernels/index.ts';
import { checkProperties } from './check-properties.fixture.ts';
import { nativeExecutor, referenceExecutor } from './index.ts';

const choice = await chooseNative({});
const executor = choice.kind === 'native' ? nativeExecutor(choice.addon) : referenceExecutor();

// The other half of kernel-properties.test.ts, so that both run side by side.
describe('ways back, and images', () => {
  checkProperties((name) => /grad|pool|conv|channel/.test(name), executor);
});

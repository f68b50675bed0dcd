export { base as default } from '../../.ci/vitest.base.ts';

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { svelteTesting } from '@testing-library/svelte/vite';
import { mergeConfig } from 'vitest/config';
import { base } from '../../.ci/vitest.base.ts';

/** Server code is tested as it runs, without a page; a component's test asks for one with `@vitest-environment happy-dom`. */
export default mergeConfig(base, { plugins: [svelte(), svelteTesting()] });

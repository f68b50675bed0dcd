import { svelte } from '@sveltejs/vite-plugin-svelte';
import { svelteTesting } from '@testing-library/svelte/vite';
import { mergeConfig } from 'vitest/config';
import { base } from '../../.ci/vitest.base.ts';

export default mergeConfig(base, {
  plugins: [svelte(), svelteTesting()],
  // Every file gets a page of its own: what one leaves in the document is no business of the next.
  test: { environment: 'happy-dom', isolate: true },
});

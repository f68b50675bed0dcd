// Each custom element becomes one self-contained ES module. One build with two entries would put what they share into a
// third file, so they are built one after the other, each named by $VIEWS_ELEMENT.

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

const element = process.env.VIEWS_ELEMENT ?? 'circuit-graph';

export default defineConfig({
  plugins: [
    svelte({
      // Styles travel inside the module: a shadow root sees no style sheet of the page.
      compilerOptions: { css: 'injected' },
    }),
  ],
  build: {
    lib: { entry: `src/elements/${element}.ts`, formats: ['es'], fileName: () => `${element}.js` },
    emptyOutDir: false,
    minify: 'oxc',
  },
});

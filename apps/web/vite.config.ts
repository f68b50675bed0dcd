import adapter from '@sveltejs/adapter-node';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [
    sveltekit({
      adapter: adapter({ precompress: false }),
      csp: {
        mode: 'nonce',
        directives: {
          'default-src': ['none'],
          'script-src': ['self'],
          'style-src': ['self'],
          // Attributes only: positions inside figures. No sheet and no script comes in this way.
          'style-src-attr': ['unsafe-inline'],
          'img-src': ['self'],
          'connect-src': ['self'],
          'base-uri': ['none'],
          'form-action': ['none'],
          'frame-ancestors': ['none'],
          'object-src': ['none'],
          // Text becomes markup through Svelte's own templates or not at all.
          'require-trusted-types-for': ['script'],
          'trusted-types': ['svelte-trusted-html', 'sveltekit-trusted-url'],
        },
      },
    }),
  ],
  environments: {
    ssr: {
      build: {
        rolldownOptions: {
          // The server's own packages stay outside the bundle: inside it the path to the addon and to the zoo's weights
          // would break (and the reference would take over unseen), and one class would exist twice.
          external: [/^@circuitscope\/(core|native|schema|workspace|zoo)(\/|$)/],
        },
      },
    },
  },
});

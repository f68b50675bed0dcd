import { LogitLensElement } from './logit-lens-element.svelte.ts';

if (!customElements.get('logit-lens')) customElements.define('logit-lens', LogitLensElement);

export { LogitLensElement };

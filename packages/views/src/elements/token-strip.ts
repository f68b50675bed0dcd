import { TokenStripElement } from './token-strip-element.svelte.ts';

if (!customElements.get('token-strip')) customElements.define('token-strip', TokenStripElement);

export { TokenStripElement };

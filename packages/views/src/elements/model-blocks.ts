import { ModelBlocksElement } from './model-blocks-element.svelte.ts';

if (!customElements.get('model-blocks')) customElements.define('model-blocks', ModelBlocksElement);

export { ModelBlocksElement };

import { AttentionPatternElement } from './attention-pattern-element.svelte.ts';

// Two scripts on one page may both bring it.
if (!customElements.get('attention-pattern')) customElements.define('attention-pattern', AttentionPatternElement);

export { AttentionPatternElement };

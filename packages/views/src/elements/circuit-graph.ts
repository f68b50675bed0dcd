import { CircuitGraphElement } from './circuit-graph-element.svelte.ts';

// Two scripts on one page may both bring it.
if (!customElements.get('circuit-graph')) customElements.define('circuit-graph', CircuitGraphElement);

export { CircuitGraphElement };

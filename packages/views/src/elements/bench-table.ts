import { BenchTableElement } from './bench-table-element.ts';

// Two scripts on one page may both bring it.
if (!customElements.get('bench-table')) customElements.define('bench-table', BenchTableElement);

export { BenchTableElement };

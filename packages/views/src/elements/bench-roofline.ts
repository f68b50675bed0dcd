import { BenchRooflineElement } from './bench-roofline-element.ts';

// Two scripts on one page may both bring it.
if (!customElements.get('bench-roofline')) customElements.define('bench-roofline', BenchRooflineElement);

export { BenchRooflineElement };

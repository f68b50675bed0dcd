import { AttributionBarsElement } from './attribution-bars-element.svelte.ts';

if (!customElements.get('attribution-bars')) customElements.define('attribution-bars', AttributionBarsElement);

export { AttributionBarsElement };

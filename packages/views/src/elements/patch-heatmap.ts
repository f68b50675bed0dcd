import { PatchHeatmapElement } from './patch-heatmap-element.svelte.ts';

if (!customElements.get('patch-heatmap')) customElements.define('patch-heatmap', PatchHeatmapElement);

export { PatchHeatmapElement };

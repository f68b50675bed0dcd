export { byLayer } from './by-layer.ts';
export { type HeatMap, heatMap } from './heat-map.ts';
export * as numbers from './numbers.ts';
export { note, print } from './print.ts';
export { type Progress, progress } from './progress.ts';
export { oneLine, reportError } from './report-error.ts';
export { plain, type Style, styleFor } from './style.ts';
export { type Column, properties, table } from './table.ts';

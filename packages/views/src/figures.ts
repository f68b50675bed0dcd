// Pictures as text, for whoever has a record and no page: plain functions, no component.

export { type BenchRecord, type Roofline, rooflineOf, threadsOf } from './bench-roofline/roofline.ts';
export { rooflineSvg } from './bench-roofline/roofline-svg.ts';

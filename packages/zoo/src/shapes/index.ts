export { type CurveTestImages, type CurveTestOptions, curveTestImages } from './curve-test-images.ts';
export { type DrawOptions, drawShape, standardised } from './draw-shape.ts';
export { type HandCurves, handCurves } from './hand-curves.ts';
export type { Shape } from './shape.ts';
export { type ShapeImages, type ShapeImagesOptions, type ShapeKind, shapeImages, shapeKinds } from './shape-images.ts';
export { drawAll, type TuningDesign, type TuningStimuli, tuningStimuli } from './tuning-stimuli.ts';

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ConvnetModel, loadConvnet } from '@circuitscope/core';

/** The small net that tells drawn bars, edges and curves apart; trained/shapes/README.md says how it was made. */
export function trainedShapes(): ConvnetModel {
  const folder = join(dirname(fileURLToPath(import.meta.url)), '../trained/shapes/seed-0');
  return { ...loadConvnet(folder), name: 'zoo:shapes/seed-0' };
}

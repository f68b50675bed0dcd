import type { KernelName } from '../contract.ts';
import { attentionProperties } from './attention.ts';
import { doubleProperties } from './doubles.ts';
import type { Property } from './draw.ts';
import { elementwiseProperties } from './elementwise.ts';
import { expertProperties } from './experts.ts';
import { gradientProperties } from './gradients.ts';
import { productProperties } from './products.ts';
import { visionProperties } from './vision.ts';

/** For each kernel random calls and what they are held to; a kernel without any does not compile. */
export const properties: { readonly [kernel in KernelName]: Property } = {
  ...elementwiseProperties,
  ...productProperties,
  ...attentionProperties,
  ...gradientProperties,
  ...visionProperties,
  ...expertProperties,
  ...doubleProperties,
};

import type { GraphBuilder } from '../graph/index.ts';
import type { Norm } from './decoder-spec.ts';

export interface NormOptions {
  readonly width: number;
  /** Names of the output besides `hook_out`. */
  readonly sites?: readonly string[];
}

/** Scale, normalised and output of a norm are values of their own, so that each can be read, frozen or changed. */
export function addNorm(
  builder: GraphBuilder,
  { kind, eps }: Norm,
  at: string,
  x: number,
  { width, sites = [] }: NormOptions,
): number {
  const scale = builder.add('norm_scale', [x], { attrs: { kind, eps }, sites: [`${at}.hook_scale`] });
  const normalized = builder.add('normalize', [x, scale], { attrs: { kind }, sites: [`${at}.hook_normalized`] });
  const gain = builder.param(`${at}.w`, [width]);
  const shift = kind === 'layer' ? builder.param(`${at}.b`, [width]) : null;
  return builder.add('affine', [normalized], { params: [gain, shift], sites: [`${at}.hook_out`, ...sites] });
}

import type { GraphBuilder } from '../graph/index.ts';

export interface NormParts {
  /** What its sites and weights begin with: `encoder.0.ln1`. */
  readonly at: string;
  readonly kind: 'layer' | 'rms';
  readonly eps: number;
  readonly width: number;
}

/** Scale, normalised and output of a norm are values of their own, so that each can be read, frozen or changed. */
export function addNorm(builder: GraphBuilder, { at, kind, eps, width }: NormParts, x: number): number {
  const scale = builder.add('norm_scale', [x], { attrs: { kind, eps }, sites: [`${at}.hook_scale`] });
  const normalized = builder.add('normalize', [x, scale], { attrs: { kind }, sites: [`${at}.hook_normalized`] });
  const shift = kind === 'layer' ? builder.param(`${at}.b`, [width]) : null;
  return builder.add('affine', [normalized], {
    params: [builder.param(`${at}.w`, [width]), shift],
    sites: [`${at}.hook_out`],
  });
}

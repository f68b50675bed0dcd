/**
 * What is drawn on a grey square. Lengths are pixels, angles radians counter-clockwise from the x axis, y upwards, both
 * from the image's centre. `direction` is that of the normal: a bar or an edge lies across it, a curve bends and a corner
 * opens towards it. `offset` moves the drawing along its normal.
 */
export type Shape =
  | {
      readonly kind: 'bar';
      readonly direction: number;
      readonly width: number;
      readonly offset?: number;
      readonly length?: number;
    }
  /** Light on the side that the direction points to. */
  | { readonly kind: 'edge'; readonly direction: number; readonly offset?: number }
  | Curved
  /** Two sides with `opening` between them; their meeting is rounded with `radius`, 0 for a sharp corner. */
  | ({ readonly kind: 'corner'; readonly opening: number } & Omit<Curved, 'kind'>)
  /** ½ + ½·cos along the normal. */
  | { readonly kind: 'grating'; readonly direction: number; readonly period: number; readonly phase?: number }
  | { readonly kind: 'dots'; readonly direction: number; readonly spacing: number; readonly radius: number }
  /** Independent grey levels. */
  | { readonly kind: 'noise'; readonly seed: number };

interface Curved {
  readonly kind: 'curve';
  readonly direction: number;
  readonly radius: number;
  /** Of the line; a filled shape has none. */
  readonly width?: number;
  readonly filled?: boolean;
  readonly offset?: number;
  /** Nothing is drawn farther than this from the middle of the curve. */
  readonly extent?: number;
}

/** How one cell of a heat grid looks. */
export interface HeatCell {
  /** From −1 to 1: the sign is the colour, the size the opacity, linear. */
  readonly share: number;
  readonly text?: string;
  /** A small second line. */
  readonly note?: string;
}

/** How a weight of the folded view comes from stored ones; every sum and product in float64, rounded once. */
export type Folding =
  | {
      readonly kind: 'matrix';
      readonly from: string;
      /** Read as its transpose: the table of a tied embedding, from the unembedding. */
      readonly transposed: boolean;
      /** Gain of the norm, multiplied into the rows. */
      readonly gain: string | null;
      /** A layer norm is read: take the mean over rows out of each column. */
      readonly centreColumns: boolean;
      /** Take the mean over columns out of each row: what is written to the stream, or the unembedding. */
      readonly centreRows: boolean;
    }
  | {
      readonly kind: 'bias';
      readonly from: string | null;
      /** The norm's shift, through the stored matrix. */
      readonly shift: { readonly vector: string; readonly matrix: string } | null;
      /** Biases of values, through the heads' output: each key/value head serves `heads / kvHeads` heads. */
      readonly values: {
        readonly bias: Extract<Folding, { kind: 'bias' }>;
        readonly matrix: string;
        readonly heads: number;
        readonly kvHeads: number;
      } | null;
      readonly centre: boolean;
    };

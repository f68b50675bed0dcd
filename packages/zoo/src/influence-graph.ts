/** A weighted graph whose influences are known. Nodes are 0 … nodes − 1; an edge's target is what it acts on. */
export interface InfluenceGraph {
  readonly nodes: number;
  readonly edges: readonly { readonly source: number; readonly target: number; readonly weight: number }[];
  /** Where influence starts, with its share. */
  readonly logits: readonly { readonly node: number; readonly probability: number }[];
  /** By node: Σ over all paths to the logits of the product of the edges' shares; a share is |weight| / Σ |weight into the target|. */
  readonly influence: readonly number[];
}

const into = (target: number, sources: readonly number[]): InfluenceGraph['edges'] =>
  sources.map((source) => ({ source, target, weight: 1 }));

/**
 * The graph of circuit-tracer's own test of influence (Ameisen et al. 2025), worked out by hand: node 11 is the logit; 1, 3,
 * 6 and 8 share it equally; 3 hands a third of its quarter to each of 0, 1 and 6, so 1 has 1/4 + 1/12, and so on.
 * 2, 4, 5 and 7 have no edges.
 */
export const twelveNodes: InfluenceGraph = {
  nodes: 12,
  edges: [...into(11, [1, 3, 6, 8]), ...into(3, [0, 1, 6]), ...into(1, [9, 10]), ...into(0, [9])],
  logits: [{ node: 11, probability: 1 }],
  influence: [1 / 12, 1 / 3, 0, 1 / 4, 0, 0, 1 / 3, 0, 1 / 4, 1 / 4, 1 / 6, 0],
};

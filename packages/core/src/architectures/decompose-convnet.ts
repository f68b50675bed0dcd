import type { UnitRef } from '@circuitscope/schema';
import { type Graph, type GraphNode, termsOf } from '../graph/index.ts';

// Channels as units. In a residual net what a block reads is a sum of what convolutions before it wrote, if nothing but
// linear steps of one channel each lies between a convolution and the sum. A ReLU behind the sum, as He et al. 2016a have
// it, ends that: the next block reads a rectified whole, no longer a sum of units. Without it (2016b) the sum goes on.

/** The channels of one convolution: unit (layer, channel) is channel `channel` of `sites[layer]`. */
export interface ConvnetReader {
  /** Site of the convolution or linear layer that reads. */
  readonly reader: string;
  /** Sites whose values add up to what it reads, or to the sum behind the pooling and rectifying it reads through. */
  readonly writers: readonly string[];
  /** Whether the writers' values add up to what is read, each the output of one convolution and its own norm. */
  readonly exactSum: boolean;
}

export interface ConvnetDecomposition {
  /** By layer, the site of the convolution whose channels are its units. */
  readonly layers: readonly { readonly site: string; readonly channels: number }[];
  readonly units: readonly UnitRef[];
  readonly readers: readonly ConvnetReader[];
  /** True where every reader's sum is exact. */
  readonly exactSum: boolean;
}

/** @param graph of `buildConvnet` */
export function decomposeConvnet(graph: Graph): ConvnetDecomposition {
  const node = (id: number): GraphNode => {
    const found = graph.nodes[id];
    if (!found) throw new Error(`node ${id} is not in the graph`);
    return found;
  };
  const convolutions = graph.nodes.filter(({ op }) => op === 'conv2d');
  const layers = convolutions.map(({ sites, shape }) => ({ site: sites[0] ?? '', channels: Number(shape[1]) }));
  const readers = graph.nodes
    .filter(({ op }) => op === 'conv2d' || op === 'linear')
    .map((reader): ConvnetReader => {
      const terms = termsOf(graph, reader.in[0] ?? -1);
      const exactSum = terms.every((term) => isUnitOutput(term, node));
      return { reader: reader.sites[0] ?? '', writers: terms.map((term) => term.sites[0] ?? term.op), exactSum };
    });
  const channels = layers.flatMap(({ channels }, layer) =>
    Array.from({ length: channels }, (_, channel): UnitRef => ({ kind: 'channel', layer, channel })),
  );
  return {
    layers,
    units: [{ kind: 'input' }, ...channels, { kind: 'logits' }],
    readers,
    exactSum: readers.every((reader) => reader.exactSum),
  };
}

/**
 * The images, or a convolution behind which every step keeps channels apart: a norm, a ReLU of its own, a pool; or such ones
 * side by side, where each channel is still one unit's.
 */
function isUnitOutput(term: GraphNode, node: (id: number) => GraphNode): boolean {
  if (term.op === 'input' || term.op === 'conv2d') return true;
  if (term.op === 'concat_channels') return term.in.every((id) => isUnitOutput(node(id), node));
  const alone = ['channel_affine', 'activation', 'clip', 'max_pool2d', 'avg_pool2d'];
  return alone.includes(term.op) && isUnitOutput(node(term.in[0] ?? -1), node);
}

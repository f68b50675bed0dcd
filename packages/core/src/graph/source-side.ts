import type { GraphNode } from './graph.ts';

/**
 * What an encoder-decoder computes of the encoder's text alone, keys and values of cross-attention included: nothing that
 * the decoder writes changes it. Of other models there is none.
 * @param order ids, each behind those that it reads
 */
export function sourceSide(order: Iterable<number>, node: (id: number) => GraphNode): ReadonlySet<number> {
  const source = new Set<number>();
  // Masks and values of changes belong to what they change.
  const neutral = new Set<number>();
  for (const id of order) {
    const { op, in: from, shape } = node(id);
    const inputs = from.filter((input) => input >= 0);
    if (op === 'input') {
      if (shape.includes('source')) source.add(id);
    } else if (inputs.every((input) => neutral.has(input))) {
      neutral.add(id);
    } else if (inputs.every((input) => neutral.has(input) || source.has(input))) {
      source.add(id);
    }
  }
  return source;
}

import { CircuitscopeError } from '@circuitscope/schema';
import { type GraphRewrite, sourceSide } from '../graph/index.ts';
import type { ExternalInput } from './bind.ts';

// A decoder reads of its encoder the same keys and values at every token. A text that grows has them computed once, after
// all changes, and given from then on.

/** Values that an encoder makes, changes included, and its decoder reads. */
export function encodedNodes(rewrite: GraphRewrite, outputs: readonly { readonly node: number }[]): number[] {
  const order = rewrite.order(outputs.map(({ node }) => node));
  const source = sourceSide(order, (id) => rewrite.node(id));
  const read = new Set(order.filter((id) => !source.has(id)).flatMap((id) => rewrite.node(id).in));
  return order.filter((id) => source.has(id) && read.has(id) && rewrite.node(id).op !== 'input');
}

export function encodedName(index: number): string {
  return `encoded.${index}`;
}

/** Takes the nodes from the call (`BindContext.encoded`), in their order. */
export function giveEncoded(rewrite: GraphRewrite, nodes: readonly number[]): ExternalInput[] {
  return nodes.map((node, index) => {
    const name = encodedName(index);
    const { shape } = rewrite.node(node);
    rewrite.replaceNode(node, { op: 'external', in: [], params: [], attrs: { name, shape } });
    const make: ExternalInput['make'] = ({ encoded }) => {
      const found = encoded?.[index];
      if (found) return found;
      throw new CircuitscopeError('bad_program', `The encoder's run did not keep ${name}.`, { at: name });
    };
    return { node, make };
  });
}

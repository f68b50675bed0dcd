import { z } from 'zod';
import { Hash } from './hash.ts';
import { index, maybe, record } from './shape.ts';
import { Site } from './site.ts';

/**
 * Which stack of an encoder-decoder a unit belongs to: its encoder, its decoder, or the decoder's attention to what the
 * encoder gives (`cross`, heads alone). Left out in models of one stack.
 */
export const Stack = z.enum(['encoder', 'decoder', 'cross']);
export type Stack = z.infer<typeof Stack>;

const side = Stack.exclude(['cross']);

/**
 * A part of a model that writes. `input` is everything that enters the stream before block 0 (token and position
 * embedding); `embed` and `pos_embed` are its terms where a question keeps them apart. `error` is what a dictionary
 * leaves unexplained at a site.
 */
export const UnitRef = z.discriminatedUnion('kind', [
  record({ kind: z.literal('input'), stack: maybe(side) }),
  record({ kind: z.literal('embed') }),
  record({ kind: z.literal('pos_embed') }),
  record({ kind: z.literal('head'), stack: maybe(Stack), layer: index, head: index }),
  record({ kind: z.literal('mlp'), stack: maybe(side), layer: index }),
  record({ kind: z.literal('neuron'), layer: index, neuron: index }),
  record({ kind: z.literal('bias'), layer: index, of: z.enum(['attn', 'mlp']) }),
  record({ kind: z.literal('latent'), dictionary: Hash, index }),
  record({ kind: z.literal('channel'), layer: index, channel: index }),
  record({ kind: z.literal('error'), site: Site }),
  record({ kind: z.literal('logits') }),
]);
export type UnitRef = z.infer<typeof UnitRef>;

/** A part of a model that reads, and the port it reads through. */
export const ReaderRef = z.discriminatedUnion('kind', [
  record({
    kind: z.literal('head'),
    stack: maybe(Stack),
    layer: index,
    head: index,
    port: z.enum(['q', 'k', 'v']),
  }),
  record({ kind: z.literal('mlp'), stack: maybe(side), layer: index, port: z.literal('in') }),
  record({ kind: z.literal('logits'), port: z.literal('in') }),
]);
export type ReaderRef = z.infer<typeof ReaderRef>;

/** How a reader takes in: the query, key or value of a head, or the one input of everything else. */
export const Port = z.enum(['q', 'k', 'v', 'in']);
export type Port = z.infer<typeof Port>;

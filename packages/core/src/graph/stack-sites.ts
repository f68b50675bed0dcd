import type { Site, Stack } from '@circuitscope/schema';

// Where the sites of a model's parts lie. Models of one stack have `blocks.i`; an encoder-decoder has `encoder.i` and
// `decoder.i`, and the decoder's blocks hold a second attention, to what the encoder gives (`cross_attn`).

/** A block of a model, and which attention of it where there are two. */
export interface Place {
  readonly stack?: Stack;
  readonly layer: number;
}

/** `blocks.3`, `encoder.3`, `decoder.3`. */
export function blockSite({ stack, layer }: Place): string {
  if (stack === undefined) return `blocks.${layer}`;
  return `${stack === 'encoder' ? 'encoder' : 'decoder'}.${layer}`;
}

/** What an attention's inner sites begin with: `blocks.3.attn`, `decoder.3.cross_attn`. */
export function attentionSite(place: Place): string {
  return `${blockSite(place)}.${place.stack === 'cross' ? 'cross_attn' : 'attn'}`;
}

/** The site of what an attention adds to the stream. */
export function attentionOutSite(place: Place): Site {
  return `${blockSite(place)}.hook_${place.stack === 'cross' ? 'cross_attn' : 'attn'}_out`;
}

/** Names of the product through which heads write: with a norm behind it, and without. */
export function headProductSites(place: Place): readonly [normed: Site, plain: Site] {
  return [`${blockSite(place)}.attn_out_before_norm`, attentionOutSite(place)];
}

/** What an MLP first makes of what it reads, within its block: neurons, or the choice among experts. */
export const mlpProductNames: readonly string[] = ['mlp.hook_pre', 'mlp.hook_router_logits'];

/** The site of what each head reads of the stream through a port, before its norm. */
export function headInputSite(place: Place, port: 'q' | 'k' | 'v'): Site {
  return `${blockSite(place)}.hook_${place.stack === 'cross' ? 'cross_' : ''}${port}_input`;
}

/** The place of a site that lies in a block or its attention, and the rest of its name: `hook_z`, `hook_mlp_out`. */
export function placeOf(site: Site): { readonly place: Place; readonly rest: string } | undefined {
  const match = /^(blocks|encoder|decoder)\.(\d+)\.(?:(cross_attn|attn)\.)?(.+)$/.exec(site);
  if (!match) return undefined;
  const [, stack, number, attention, rest = ''] = match;
  const layer = Number(number);
  if (stack === 'blocks') return { place: { layer }, rest };
  if (stack === 'encoder') return { place: { stack: 'encoder', layer }, rest };
  const crosses = attention === 'cross_attn' || /^hook_cross_/.test(rest);
  return { place: { stack: crosses ? 'cross' : 'decoder', layer }, rest };
}

/** Sites that together are what enters a stream before its first block, of those that may be there. */
export function inputSites(has: (site: Site) => boolean, stack?: Stack): readonly Site[] {
  // A norm behind the embeddings ends their sum: what enters then is its output.
  if (stack === undefined && has('hook_full_embed')) return ['hook_full_embed'];
  const sites = stack === undefined ? ['hook_embed', 'hook_pos_embed'] : [`${stack}.hook_embed`];
  return sites.filter(has);
}

/** Whether a value is the stream itself, at which a reader's own norm begins even where another norm made it. */
export function isStream(sites: readonly Site[]): boolean {
  return sites.some((site) => /hook_(?:normalized_)?resid_(?:pre|mid|post)$|^hook_full_embed$/.test(site));
}
